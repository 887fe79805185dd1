# Normalisers of quantities: one text for each number, and for each point in time. Pure.

import re
from datetime import UTC, datetime
from decimal import Decimal

MAX_PLACES = 100
"""Digits before and behind the point of a number that is written out."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
"""RFC 8259 6. Leading zeros, a plus sign, blanks and groups of digits are read differently by APIs."""
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339 5.6, with the space that its note allows."""


def decimal(value: str) -> str:
    """Write a number without exponent, and without zeros that say nothing: 10, 10.00 and 1e1 are "10"."""
    if not _NUMBER.fullmatch(value):
        raise ValueError("is no number as JSON writes it, without leading zeros, plus sign and blanks")
    number = Decimal(value)
    if not number:
        return "0"
    if not -MAX_PLACES <= number.adjusted() < MAX_PLACES or len(number.as_tuple().digits) > MAX_PLACES:
        raise ValueError(f"has more than {MAX_PLACES} places before or behind its point")
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def instant(value: str) -> str:
    """Write a point in time (RFC 3339) in UTC, without zeros that say nothing: 10:00:00.50+01:00 is 09:00:00.5Z."""
    found = _INSTANT.fullmatch(value)
    if found is None:
        raise ValueError("is no time as RFC 3339 writes it, with an offset, as in 2026-01-31T09:30:00Z")
    date, time, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):  # also a leap second, which most APIs refuse or move
        raise ValueError("is no time that exists, with years from 1 to 9999 and seconds to 59") from None
    part = f".{fraction}".rstrip("0") if fraction and fraction.strip("0") else ""
    return f"{moment.isoformat()[:19]}{part}Z"
