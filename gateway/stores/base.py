# What every store promises. Stores decide atomically; they never see HTTP, never hash, never read a clock.

from collections.abc import Awaitable, MutableMapping, Sequence
from typing import Protocol

import msgspec

from gateway.model import Claim, Held, Purged, Record, Reserved, Settlement, State


class Store(Protocol):
    """Where claims live.

    A call takes its place in the order of events when it is made, not when it is awaited: whoever stops waiting for
    `reserve` or `settle` (a cancelled request) changes nothing about its being carried out, and a `settle` made after a
    `reserve` is carried out after it. Every method may raise StoreError when the store cannot decide now.
    Times are milliseconds since the epoch.
    """

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        """Take all claims for `owner`, or none. Reserved is answered only once it is durable.

        When StoreError is raised, nothing was taken, or the store itself frees it before it takes anything else.
        """

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        """Write how an operation ended; False when `owner` does not hold the claims in flight (fenced out).

        When StoreError is raised, the store goes on trying until it is written; until then the claims stay held.
        """

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        """What is held under a fingerprint; None when it is free."""

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        """Held records in order of their fingerprints, from the first one greater than `after`."""

    async def forget(self, fingerprint: bytes) -> bool:
        """Free a claim that is not in flight, whatever is known of it; False when there is none such."""

    async def purge(self, now: int, limit: int) -> Purged:
        """Remove at most `limit` claims that are free by the clock: one small step that holds nobody up."""

    async def ping(self, now: int) -> None:
        """Return when the store has committed something: it can take creates."""

    async def close(self) -> None:
        """Write everything that waits, then close."""


def reserve_in(
    records: MutableMapping[bytes, Record], claims: Sequence[Claim], owner: bytes, now: int
) -> Reserved | Held:
    """Decide a reservation over `records`, and write it there: all claims, or none."""
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
            claim.fingerprint, owner, State.IN_FLIGHT, claim.rule, claim.entry, now, None, claim.unknown_hold
        )
    return Reserved(tuple(lapsed))


def settle_in(
    records: MutableMapping[bytes, Record], claims: Sequence[Claim], owner: bytes, settlement: Settlement
) -> list[Record | None]:
    """Apply a settlement to those `records` that `owner` holds in flight; returns what each became, None for free."""
    became: list[Record | None] = []
    for claim in claims:
        record = records.get(claim.fingerprint)
        if record is None or record.owner != owner or record.state is not State.IN_FLIGHT:
            continue
        if settlement.state is None:
            del records[claim.fingerprint]
            became.append(None)
            continue
        record = msgspec.structs.replace(
            record, state=settlement.state, expires_at=settlement.expires_at, resource=settlement.resource
        )
        records[claim.fingerprint] = record
        became.append(record)
    return became
