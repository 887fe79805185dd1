# Makes a minute a second: in what deploy/monitoring ships, everything that lasts is divided by the same factor. Ratios
# between scrapes, windows and `for` stay as they are; what a gateway itself measures (a lag, the end of a certificate)
# does not.

import re

SCALE = 60
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?<=[\[ ])(\d+)([smhd])\b")
_AGES = re.compile(r"((?:gateway_unknown_oldest_seconds\)|process_start_time_seconds) [<>] )(\d+)\b")
"""Numbers of seconds that are ages of something in the campaign."""


def compress_duration(text: str) -> str:
    """A time as Prometheus writes it, divided: "5m" becomes "5000ms"."""
    number, unit = int(text[:-1]), text[-1]
    return f"{number * _UNITS[unit] * 1000 // SCALE}ms"


def compress(expression: str) -> str:
    """An expression whose ranges, offsets and ages are divided."""
    ranges = _DURATION.sub(lambda found: compress_duration(found[0]), expression)
    return _AGES.sub(lambda found: f"{found[1]}{int(found[2]) // SCALE}", ranges)
