# What the C library does with memory that is free: large pieces of answers come and go, and must not stay with the
# process, nor be given back and fetched again with each piece. Knows nothing of requests.

import asyncio
import ctypes
from collections.abc import Callable

TRIM_THRESHOLD = 4 * 1024**2
"""Free bytes at the end of the heap that are kept: with less, pages are fetched anew for each piece."""
LARGE_USE = 16 * 1024**2
"""Bytes from which on it is worth to look for free pages amid the heap."""
_LOOK_EVERY = 1.0
"""Seconds."""
_M_TRIM_THRESHOLD = -1


def set_thresholds() -> None:
    """Set how much free memory the C library keeps; does nothing where it is not glibc."""
    if set_option := _function("mallopt"):
        set_option(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)


async def release_for_ever(used: Callable[[], int]) -> None:
    """Give free pages back to the system each time after much of what is `used`, in bytes, has been freed."""
    trim = _function("malloc_trim")
    most = 0
    while trim is not None:
        await asyncio.sleep(_LOOK_EVERY)
        now = used()
        if most >= LARGE_USE and now < most // 2:
            trim(0)
            most = 0
        most = max(most, now)


def _function(name: str) -> Callable[..., object] | None:
    found: Callable[..., object] | None = getattr(ctypes.CDLL(None), name, None)
    return found
