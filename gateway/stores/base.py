# The store protocol. Stores decide atomically. They know nothing of HTTP or hashing, and never read a clock.

from collections.abc import Awaitable, Iterable, MutableMapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from gateway.histogram import Histogram
from gateway.model import (
    Change,
    Claim,
    Filter,
    Held,
    Kept,
    Overview,
    Page,
    Purged,
    Record,
    Reserved,
    Settlement,
    State,
    VersionCounts,
)
from gateway.stores.tally import Tally

MAX_LINKED = 200
"""Claims of one resource that are found: entries of `unique`, before and after each change whose outcome is unknown."""
_ANY = Filter()
_COUNTED_AT_ONCE = 500


class Store(Protocol):
    """Persistent claims.

    Calls are ordered by when they are made, not by when they are awaited. Cancelling the wait for `reserve` or `settle`
    does not cancel the operation, and a `settle` called after a `reserve` is executed after it. Every method may raise
    StoreError when the store is unavailable. Times are milliseconds since the epoch.
    """

    __slots__ = ()
    is_shared: ClassVar[bool] = False
    """Whether other processes hold claims in it, too."""

    @property
    def commits(self) -> Histogram | None:
        """How long batches of reservations and settlements took; None where each is done at once."""
        return None

    @property
    def waiting(self) -> int:
        """How many calls are queued."""
        return 0

    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        """What a reservation would meet, where that is known at once; None where `reserve` must find out.

        Most duplicates come soon after their create. This answers them before anything is prepared for forwarding.
        """
        return None

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        """Reserve all claims for `owner`, or none. Reserved is returned only once the reservation is durable.

        When StoreError is raised, either nothing was reserved, or the store frees it before any later reservation.
        """

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        """Write how an operation ended; False when `owner` does not hold the claims in flight (fenced out).

        Those that `settlement.apart` names end otherwise, in the same commit. So do claims of other operations as
        `settlement.others` says, but only when all of `claims` were still in flight; without `claims` in any case.
        After a StoreError the store keeps retrying the write; the claims stay held until it succeeds.
        """

    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        """Change how an operation ended, for those of `claims` that it still holds in the state `was`, not in flight.

        False when there is none. All are changed in one commit, or none when StoreError is raised. Cancelling the wait
        does not cancel it. `settlement.apart` and `settlement.others` are not looked at.
        """

    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        """The answer that was settled with one of `claims` while `owner` held it; None when there is none."""

    async def until_ended(self, fingerprint: bytes, owner: bytes) -> None:
        """Return once an operation of another process may have ended, which holds a claim in flight.

        Whoever waits asks the store again: this promises nothing. Without other processes there is nothing to wait for.
        """
        return

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        """The record held under a fingerprint; None when it is free."""

    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        """The held records that have a link, in order of fingerprint; of more than MAX_LINKED the first."""

    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        """Add claims that are settled already, each where nothing is held: all of them durably, in few commits.

        For each claim, in order, None when it was added, or the record that is held in its place: an equal one, when it
        had been added before. Of equal fingerprints the first is added. After a StoreError some may have been.
        """

    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        """The same records, each with the answer that is stored with it while its owner holds it."""

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        """Held records ordered by fingerprint, starting after `after`."""

    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """At most `limit` held claims that a filter takes; with `Filter.is_by_age` the oldest first, else in any order.

        `after` is b"", or `next` of the page before. However many claims there are, a call looks at a bounded number of
        them and holds up no reservation: so a page may be short, or empty, and not the last. A claim that is there all
        the time is on one of the pages, and on two only where the server has made room for more or fewer meanwhile.
        """

    async def count_versions(self, after: bytes, now: int) -> VersionCounts:
        """Count the held claims of one part of the store by rule, entry and identity version.

        `after` is b"", or `next` of the part before. As with `list_claims`, a call is short, and reservations go on.
        """
        page = await self.list_claims(_ANY, after, _COUNTED_AT_ONCE, now)
        tally = Tally()
        for record in page.records:
            tally.count((record.rule, record.entry, record.version), 1, record.expires_at)
        return VersionCounts(tally, page.next)

    async def overview(self, now: int) -> Overview:
        """How many claims there are. Costs about the same however many there are."""

    async def forget(self, fingerprint: bytes) -> bool:
        """Free a claim that is not in flight, whatever its outcome; False when there is no such claim."""

    async def purge(self, now: int, limit: int) -> Purged:
        """Remove at most `limit` expired claims: one short step that does not delay reservations.

        Call it again while there is `more` to do, and then after some seconds.
        """

    async def ping(self, now: int) -> None:
        """Return once a test write has been committed: the store can accept creates."""

    async def close(self) -> None:
        """Write everything that is queued, then close."""


class Opened(msgspec.Struct, frozen=True):
    """An open store, and what was found in it."""

    store: Store
    recovered: int
    """How many claims were in flight when its last process ended: they are unknown now."""
    is_new: bool
    """Whether it was missing or empty, and so contains no claims."""


def reserve_in(
    records: MutableMapping[bytes, Record], claims: Sequence[Claim], owner: bytes, now: int
) -> Reserved | Held:
    """Decide a reservation against `records`, and write it there: all claims, or none."""
    held, lapsed = [], []
    for claim in claims:
        record = records.get(claim.fingerprint)
        if record is None:
            continue
        if record.is_held(now):
            held.append((claim, record))
        elif record.state is State.UNKNOWN:
            lapsed.append(record)
    if held:
        return Held(tuple(held))
    for claim in claims:
        records[claim.fingerprint] = Record(
            claim.fingerprint,
            owner,
            State.IN_FLIGHT,
            claim.rule,
            claim.entry,
            now,
            None,
            claim.unknown_hold,
            None,
            claim.caller,
            claim.payload,
            claim.version,
            claim.link,
        )
    return Reserved(tuple(lapsed))


def settle_in(
    records: MutableMapping[bytes, Record],
    claims: Sequence[Claim],
    owner: bytes,
    settlement: Settlement,
    was: State = State.IN_FLIGHT,
) -> list[Record | None]:
    """Apply a settlement to the `records` that `owner` holds in a state; the new records, None for a freed one."""
    changed: list[Record | None] = []
    apart = settlement.apart if was is State.IN_FLIGHT else None
    for claim in claims:
        record = records.get(claim.fingerprint)
        if record is None or record.owner != owner or record.state is not was:
            continue
        ended = settlement if apart is None else apart.get(claim.fingerprint, settlement)
        if ended.state is None:
            del records[claim.fingerprint]
            changed.append(None)
            continue
        records[claim.fingerprint] = record = ended_as(record, ended)
        changed.append(record)
    return changed


def ended_as(record: Record, ended: Settlement) -> Record:
    """A record of a claim that ends, and is not free."""
    return msgspec.structs.replace(
        record,
        state=ended.state,
        expires_at=ended.expires_at,
        resource=ended.resource,
        link=record.link if ended.link is None else ended.link,
    )


def change_in(records: MutableMapping[bytes, Record], changes: Iterable[Change]) -> list[Record]:
    """Apply changes to claims of other operations; those that are not free now."""
    changed = []
    for change in changes:
        record = records.get(change.fingerprint)
        if record is None or record.owner != change.owner or record.state is not change.was:
            continue
        if change.settlement.state is None:
            del records[change.fingerprint]
        else:
            records[change.fingerprint] = record = ended_as(record, change.settlement)
            changed.append(record)
    return changed
