# Who may know what exists: what a rule says of it, and what the API's answer means. Pure.

import enum

import msgspec

REFUSED = frozenset({401, 403})
"""Statuses by which an API refuses a caller (RFC 9110 15.5.2 and 15.5.4)."""


class Authorize(msgspec.Struct, frozen=True):
    """What a rule says of it."""

    path: str
    """What is asked for by GET."""
    cache: float
    """Seconds for which a caller who may know is remembered; 0 for not at all."""
    before_claim: bool
    """Whether it is asked before anything is claimed, not only before an answer that tells of another create."""
    left_out: frozenset[bytes] = frozenset()
    """Names, in lower case, of the caller's header fields left out: those that change a method."""


class Verdict(enum.Enum):
    """Whether a caller may know."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    """The API said neither."""


def judge(status: int) -> Verdict:
    """Say what the status of the API's answer means."""
    if 200 <= status < 300:
        return Verdict.ALLOWED
    return Verdict.REFUSED if status in REFUSED else Verdict.UNCLEAR
