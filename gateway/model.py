# The data types that all packages share. No I/O, no clock, no imports from other packages.
#
# Times are whole milliseconds since the Unix epoch, passed in by the caller.

import enum
from collections.abc import Mapping

import msgspec

FOREVER = 2**63 - 1
"""The expiry, in milliseconds, of a claim that never expires (the largest integer that every store supports)."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A JSON value as the parser of gateway.guard.body returns it."""


class State(enum.IntEnum):
    """The state of the operation that holds a claim. Stores write these numbers: never change them."""

    IN_FLIGHT = 1
    CREATED = 2
    UNKNOWN = 3


class Claim(msgspec.Struct, frozen=True):
    """One fingerprint a create must hold, with the data that a store keeps for later decisions."""

    fingerprint: bytes
    """256 bit."""
    rule: str
    entry: str
    """The name of the rule's `unique` entry, or of the key's header, which the response to a duplicate contains."""
    unknown_hold: int
    """Milliseconds for which the claim stays blocked once its outcome is unknown; FOREVER for no end."""
    caller: bytes | None = None
    """A keyed hash of who sends the create; None for an anonymous caller, or where the rule does not need to know."""
    payload: bytes | None = None
    """A keyed hash of what is sent, or of the entry's values as they are sent; None where the rule needs neither."""
    is_key: bool = False
    """Whether the claim is that of an Idempotency-Key."""
    item: int | None = None
    """Which item of a batch it is of, counted from 0."""
    version: int | None = None
    """The identity version of its rule's entry: 31 bits that change when equal identities get another fingerprint."""
    link: bytes | None = None
    """16 bytes, a keyed hash by which the claims of a resource are found; while its link is not known, of where the
    create was sent alone. None where the rule does not follow resources."""


class Record(msgspec.Struct, frozen=True):
    """What a store knows about one fingerprint."""

    fingerprint: bytes
    owner: bytes
    state: State
    rule: str
    entry: str
    first_seen: int
    expires_at: int | None
    """None while in flight: such a claim never expires."""
    unknown_hold: int
    resource: str | None = None
    caller: bytes | None = None
    payload: bytes | None = None
    version: int | None = None
    """As that of its claim; None where an earlier release made it."""
    link: bytes | None = None
    """As that of its claim, until a settlement has another one."""

    def is_held(self, now: int) -> bool:
        """Whether the claim blocks a create at `now`."""
        return self.expires_at is None or self.expires_at > now


class Settlement(msgspec.Struct, frozen=True):
    """How an operation ended. A state of None frees its claims."""

    state: State | None
    expires_at: int = 0
    resource: str | None = None
    answer: bytes | None = None
    """The API's answer, encrypted, for retries; kept with the first claim that becomes created."""
    apart: "Mapping[bytes, Settlement] | None" = None
    """By fingerprint how single claims end otherwise, when an operation is settled; never looked at later."""
    link: bytes | None = None
    """What the claims are found by from now on; None leaves that as it is."""
    others: "tuple[Change, ...]" = ()
    """What changes in the same commit when an operation is settled that still holds all its claims in flight; never
    looked at later."""

    def of(self, claim: Claim) -> "Settlement":
        """How one claim ends."""
        return self if self.apart is None else self.apart.get(claim.fingerprint, self)


FREE = Settlement(None)


class Change(msgspec.Struct, frozen=True):
    """How a claim of another operation changes, where that one still holds it in a state."""

    fingerprint: bytes
    owner: bytes
    was: State
    """Not in flight."""
    settlement: Settlement
    """Without an answer, `apart` and `others`."""


class Kept(msgspec.Struct, frozen=True):
    """A claim that is not in flight, as it is moved from store to store."""

    record: Record
    answer: bytes | None = None
    """The answer that is stored with it, encrypted."""


class Filter(msgspec.Struct, frozen=True):
    """Which held claims an operator wants to see; None for any."""

    rule: str | None = None
    entry: str | None = None
    state: State | None = None
    before: int | None = None
    """First seen before that time."""

    def takes(self, record: Record) -> bool:
        """Whether a record is one of them."""
        return (
            (self.rule is None or record.rule == self.rule)
            and (self.entry is None or record.entry == self.entry)
            and (self.state is None or record.state is self.state)
            and (self.before is None or record.first_seen < self.before)
        )

    @property
    def is_by_age(self) -> bool:
        """Whether they are listed with the oldest first. Of those that are created there may be too many for that."""
        return self.state in {State.IN_FLIGHT, State.UNKNOWN}


class Page(msgspec.Struct, frozen=True):
    """Some of the claims that a filter takes."""

    records: tuple[Record, ...]
    next: bytes | None
    """Where the next page begins; None after the last one. One may be empty and not the last: see Store.list_claims."""


class VersionCounts(msgspec.Struct, frozen=True):
    """How many held claims there are in one part of a store, by what made them."""

    claims: Mapping[tuple[str, str, int | None], tuple[int, int | None]]
    """By rule, entry and identity version: how many, and when the last one expires; None where all are in flight."""
    next: bytes | None
    """Where the next part begins; None after the last one."""


class Overview(msgspec.Struct, frozen=True):
    """What a store holds."""

    claims: Mapping[tuple[str, State], int]
    """By rule and state, how many. Those that have expired count until they are removed."""
    oldest_unknown: Mapping[str, int]
    """By rule, when the oldest claim of unknown outcome was first seen."""
    size: int | None = None
    """Bytes that the store takes, where it knows."""


class Reserved(msgspec.Struct, frozen=True):
    """All claims now belong to this owner, durably."""

    lapsed: tuple[Record, ...] = ()
    """Expired claims of unknown outcome that this operation reserved again."""


class Held(msgspec.Struct, frozen=True):
    """At least one claim was not free; none was reserved."""

    conflicts: tuple[tuple[Claim, Record], ...]


class Purged(msgspec.Struct, frozen=True):
    """What one purge step removed."""

    removed: int
    lapsed: int
    """How many of them had an unknown outcome, whose hold has expired."""
    more: bool = False
    """Whether the next step is due at once; otherwise the store has done enough for now."""
