# The grammar of "201", "4xx except 408" and "503 with Retry-After": which answers of the API an entry names. Pure.

import re

import msgspec

_GRAMMAR = re.compile(
    r"(?P<named>[2-5](?:xx|[0-9]{2}))"
    r"(?: except (?P<except>[2-5][0-9]{2}(?:, [2-5][0-9]{2})*))?"
    r"(?P<retry_after> with (?i:retry-after))?"
)


class Statuses(msgspec.Struct, frozen=True):
    """What one entry of `success` or `refused` names."""

    codes: frozenset[int]
    needs_retry_after: bool
    """Whether it names only answers that have a well-formed Retry-After."""


def parse_statuses(text: str) -> Statuses:
    """Read a status, or a class with perhaps some statuses left out; either may be bound to Retry-After.

    Raises ValueError with a text that says what would be right.
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" is no status; write one such as "201", a class such as "2xx" (from 2xx to 5xx), '
            'or as in "4xx except 408" and "503 with Retry-After"'
        )
    named, left_out = found["named"], [int(status) for status in (found["except"] or "").split(", ") if status]
    if named.endswith("xx"):
        first = int(named[0]) * 100
        codes = frozenset(range(first, first + 100))
    elif left_out:
        raise ValueError(f'"{text}" leaves something out of a single status; only a class has an "except"')
    else:
        codes = frozenset({int(named)})
    outside = next((status for status in left_out if status not in codes), None)
    if outside is not None:
        raise ValueError(f'"{text}" leaves out {outside}, which is not in {named}')
    return Statuses(codes - frozenset(left_out), found["retry_after"] is not None)
