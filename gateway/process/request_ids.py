# Where request ids come from.

import os
from collections.abc import Iterator

_IDS_AT_ONCE = 64


def random_ids() -> Iterator[str]:
    """Yield 128 random bits each time, in hex; many are drawn at once, because one draw is slow."""
    while True:
        digits = os.urandom(16 * _IDS_AT_ONCE).hex()
        for start in range(0, len(digits), 32):
            yield digits[start : start + 32]
