# Parses and formats durations and sizes of the rules file. Pure.

import math
import re

from gateway.config.table import Duration, Size

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "B": 1}
_DURATION = re.compile(r"(?:[0-9]{1,15}(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)")
_NUMBER = re.compile(r"[0-9]{1,15}")

LONGEST_DAYS = 36_500
"""Days in the longest finite duration; the expiry time of a claim would overflow with a much longer one."""
FOREVER = "forever"


def parse_duration(text: str) -> Duration:
    """Parse "250ms", "30s", "24h", "1h30m" or "forever", which is infinite.

    Raises ValueError with a text that shows a valid value.
    """
    if text == FOREVER:
        return Duration(math.inf)
    if _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" has no unit; write "{text}s" if seconds were meant')
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f'"{text}" cannot be read; write whole numbers, each with one of the units ms, s, m, h, d, '
            'such as "250ms", "30s", "24h" or "1h30m"'
        )
    milliseconds = sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if milliseconds > LONGEST_DAYS * _MILLISECONDS["d"]:
        raise ValueError(f'"{text}" is too long; "{LONGEST_DAYS}d" is the most that can be counted')
    return Duration(milliseconds / 1000)


def format_duration(duration: Duration) -> str:
    """Format a duration for `parse_duration`, in the largest unit that is exact.

    One day is "24h"; days are used from two on.
    """
    if math.isinf(duration):
        return FOREVER
    milliseconds = round(duration * 1000)
    for unit, length in _MILLISECONDS.items():
        number, rest = divmod(milliseconds, length)
        if rest == 0 and number >= (2 if unit == "d" else 1):
            return f"{number}{unit}"
    return "0s"


def parse_size(text: str) -> Size:
    """Parse "512B", "64KiB", "1MiB" or "2GiB".

    Raises ValueError with a text that shows a valid value.
    """
    if _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" has no unit; write "{text}B" if bytes were meant')
    parts = _SIZE.fullmatch(text)
    if not parts:
        raise ValueError(
            f'"{text}" cannot be read; write a whole number with one of the units B, KiB, MiB, GiB, such as '
            '"512B", "64KiB" or "1MiB"'
        )
    return Size(int(parts[1]) * _BYTES[parts[2]])


def format_size(size: Size) -> str:
    """Format a size for `parse_size`, in the largest unit that is exact."""
    for unit, length in _BYTES.items():
        number, rest = divmod(size, length)
        if rest == 0 and number >= 1:
            return f"{number}{unit}"
    return "0B"
