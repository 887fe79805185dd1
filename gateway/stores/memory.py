# The reference implementation of the store protocol, in memory.

import asyncio
import heapq
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from typing_extensions import override

from gateway.model import Claim, Filter, Held, Kept, Overview, Page, Purged, Record, Reserved, Settlement, State
from gateway.stores.base import MAX_LINKED, Store, change_in, reserve_in, settle_in
from gateway.stores.memory_index import Records

T = TypeVar("T")


class MemoryStore(Store):
    """Claims in a dict, lost when the process ends. Each call completes synchronously, so calls cannot interleave."""

    def __init__(self) -> None:
        self._records = Records()
        self._answers: dict[bytes, tuple[bytes, bytes]] = {}  # by fingerprint: the owner and its answer
        self._expiring: list[tuple[int, bytes]] = []  # a heap; an entry is valid only while it matches its record

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._records)} claims)"

    @override
    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        found = reserve_in(self._records, claims, owner, now)
        if self._answers and isinstance(found, Reserved):
            for claim in claims:
                self._answers.pop(claim.fingerprint, None)  # of an operation that has expired
        return _done(found)

    @override
    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        changed = settle_in(self._records, claims, owner, settlement)
        if settlement.answer is not None:
            created = [record for record in changed if record is not None and record.state is State.CREATED]
            if created:
                self._answers[created[0].fingerprint] = (owner, settlement.answer)
        self._note_expiry(changed)
        if settlement.others and len(changed) == len(claims):
            self._note_expiry(change_in(self._records, settlement.others))
            for change in settlement.others:
                self._drop_answer_of_free(change.fingerprint)
        return _done(bool(changed))

    @override
    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        changed = settle_in(self._records, claims, owner, settlement, was)
        for claim in claims:
            self._drop_answer_of_free(claim.fingerprint)
        self._note_expiry(changed)
        return bool(changed)

    def _drop_answer_of_free(self, fingerprint: bytes) -> None:
        if fingerprint not in self._records:
            self._answers.pop(fingerprint, None)

    def _note_expiry(self, changed: Sequence[Record | None]) -> None:
        for record in changed:
            if record is not None and record.expires_at is not None:
                heapq.heappush(self._expiring, (record.expires_at, record.fingerprint))

    @override
    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        for claim in claims:
            stored = self._answers.get(claim.fingerprint)
            if stored is not None and stored[0] == owner:
                return stored[1]
        return None

    @override
    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        record = self._records.get(fingerprint)
        return record if record is not None and record.is_held(now) else None

    @override
    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        return [record for record in self._records.linked(link) if record.is_held(now)][:MAX_LINKED]

    @override
    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        answers: list[Record | None] = []
        for one in kept:
            record = one.record
            met = self._records.get(record.fingerprint)
            if met is not None and met.is_held(now):
                answers.append(met)
                continue
            answers.append(None)
            self._records[record.fingerprint] = record
            self._answers.pop(record.fingerprint, None)
            if one.answer is not None:
                self._answers[record.fingerprint] = (record.owner, one.answer)
            self._note_expiry([record])
        return answers

    @override
    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        found = []
        for record in records:
            owner, answer = self._answers.get(record.fingerprint, (b"", None))
            found.append(Kept(record, answer if owner == record.owner else None))
        return found

    @override
    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        later = (found for key, found in self._records.items() if key > after and found.is_held(now))
        return heapq.nsmallest(limit, later, key=lambda record: record.fingerprint)

    @override
    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        return self._records.page(only, after, limit, now)

    @override
    async def overview(self, now: int) -> Overview:
        return self._records.overview(now)

    @override
    async def forget(self, fingerprint: bytes) -> bool:
        record = self._records.get(fingerprint)
        if record is None or record.state is State.IN_FLIGHT:
            return False
        del self._records[fingerprint]
        self._answers.pop(fingerprint, None)
        return True

    @override
    async def purge(self, now: int, limit: int) -> Purged:
        removed = lapsed = 0
        while removed < limit and self._expiring and self._expiring[0][0] <= now:
            expires_at, fingerprint = heapq.heappop(self._expiring)
            record = self._records.get(fingerprint)
            if record is not None and record.expires_at == expires_at:
                del self._records[fingerprint]
                self._answers.pop(fingerprint, None)
                removed += 1
                lapsed += record.state is State.UNKNOWN
        return Purged(removed, lapsed, removed == limit)

    @override
    async def ping(self, now: int) -> None:
        """Return at once: there is nothing to write."""

    @override
    async def close(self) -> None:
        """Do nothing: there is nothing to write."""


def _done(result: T) -> Awaitable[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future
