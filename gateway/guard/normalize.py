# Named normalisers: what must be equal before two values count as the same identity. Pure.

import re
import unicodedata
from collections.abc import Callable, Mapping

_SPACES = re.compile(r"\s+")


def _email(value: str) -> str:
    """Trim, compose (NFC) and case-fold an address. Dots and +tags stay: only its owner knows what they mean."""
    folded = unicodedata.normalize("NFC", value.strip()).casefold()
    return unicodedata.normalize("NFC", folded)  # case-folding takes some composed characters apart


NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "trim": str.strip,
    "casefold": str.casefold,
    "nfc": lambda value: unicodedata.normalize("NFC", value),
    "nfkc": lambda value: unicodedata.normalize("NFKC", value),
    "digits": lambda value: "".join(c for c in value if c.isdecimal()),
    "email": _email,
    "collapse_space": lambda value: _SPACES.sub(" ", value),
}
"""Each takes and returns a string; values that are no strings are left alone."""
