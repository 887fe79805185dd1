# The words the rooms share. Knows nothing: no I/O, no clock, no other room.
#
# Times are whole milliseconds since the Unix epoch, passed in by the caller.

import enum

import msgspec

FOREVER = 2**63 - 1
"""The expiry, in milliseconds, of a claim that is kept for ever (the largest integer every store can hold)."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A JSON value as the parser of gateway.guard.body returns it."""


class State(enum.IntEnum):
    """What is known of the operation that holds a claim. The numbers are what stores write: never renumber."""

    IN_FLIGHT = 1
    CREATED = 2
    UNKNOWN = 3


class Claim(msgspec.Struct, frozen=True):
    """One fingerprint a create must hold, and what a store must remember to judge it later."""

    fingerprint: bytes
    """256 bit."""
    rule: str
    entry: str
    """The name of the rule's `unique` entry: what a caller is told was in conflict."""
    unknown_hold: int
    """Milliseconds for which the claim stays blocked once its outcome is unknown; FOREVER for no end."""


class Record(msgspec.Struct, frozen=True):
    """What a store holds about one fingerprint."""

    fingerprint: bytes
    owner: bytes
    state: State
    rule: str
    entry: str
    first_seen: int
    expires_at: int | None
    """None while in flight: such a claim never becomes free by the clock."""
    unknown_hold: int
    resource: str | None = None

    def is_held(self, now: int) -> bool:
        """Whether the claim blocks a create at `now`."""
        return self.expires_at is None or self.expires_at > now


class Settlement(msgspec.Struct, frozen=True):
    """How an operation ended. A state of None frees its claims."""

    state: State | None
    expires_at: int = 0
    resource: str | None = None


FREE = Settlement(None)


class Reserved(msgspec.Struct, frozen=True):
    """All claims are this owner's now, durably."""

    lapsed: tuple[Record, ...] = ()
    """Claims of unknown outcome whose hold had run out, and which this operation took over."""


class Held(msgspec.Struct, frozen=True):
    """At least one claim was not free; none was taken."""

    conflicts: tuple[tuple[Claim, Record], ...]


class Purged(msgspec.Struct, frozen=True):
    """What one step of a purge removed."""

    removed: int
    lapsed: int
    """How many of them were of unknown outcome and are free again by their hold's end."""
