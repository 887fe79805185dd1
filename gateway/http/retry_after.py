# Whether a Retry-After field says when to try again (RFC 9110 10.2.3). Pure.

import re
from datetime import datetime

_SECONDS = re.compile(rb"[0-9]+")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_SHORT_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        _SHORT_DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT",
        _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT",
        _SHORT_DAY + rb" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
    )
)
"""The three forms of an HTTP-date that a recipient must read (RFC 9110 5.6.7)."""
_LEAP_SECOND = 60


def is_retry_after(value: bytes) -> bool:
    """Whether a value is a number of seconds or an HTTP-date."""
    if _SECONDS.fullmatch(value):
        return True
    for form in _DATES:
        date = form.fullmatch(value)
        if date is not None:
            return _exists(date)
    return False


def _exists(date: re.Match[bytes]) -> bool:
    """Whether a date is in the calendar. The day of the week is not compared with it."""
    day, hour, minute, second = (int(date[part]) for part in ("day", "hour", "minute", "second"))
    year = int(date["year"]) + (2000 if len(date["year"]) == 2 else 0)
    try:
        datetime(year, _MONTHS.index(date["month"]) + 1, day, hour, minute)
    except ValueError:
        return False
    return second <= _LEAP_SECOND
