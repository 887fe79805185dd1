# The reference store: what the others must do, in the fewest words. Knows only the protocol.

import asyncio
import heapq
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from gateway.model import Claim, Held, Purged, Record, Reserved, Settlement, State
from gateway.stores.base import reserve_in, settle_in

T = TypeVar("T")


class MemoryStore:
    """Claims in a dict; all is forgotten when the process ends. Each call decides at once, so none can interleave."""

    def __init__(self) -> None:
        self._records: dict[bytes, Record] = {}
        self._expiring: list[tuple[int, bytes]] = []  # a heap; an entry counts only while its record agrees with it

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._records)} claims)"

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        """See Store."""
        return _done(reserve_in(self._records, claims, owner, now))

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        """See Store."""
        became = settle_in(self._records, claims, owner, settlement)
        for record in became:
            if record is not None and record.expires_at is not None:
                heapq.heappush(self._expiring, (record.expires_at, record.fingerprint))
        return _done(bool(became))

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        """See Store."""
        record = self._records.get(fingerprint)
        return record if record is not None and record.is_held(now) else None

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        """See Store."""
        later = (found for key, found in self._records.items() if key > after and found.is_held(now))
        return heapq.nsmallest(limit, later, key=lambda record: record.fingerprint)

    async def forget(self, fingerprint: bytes) -> bool:
        """See Store."""
        record = self._records.get(fingerprint)
        if record is None or record.state is State.IN_FLIGHT:
            return False
        del self._records[fingerprint]
        return True

    async def purge(self, now: int, limit: int) -> Purged:
        """See Store."""
        removed = lapsed = 0
        while removed < limit and self._expiring and self._expiring[0][0] <= now:
            expires_at, fingerprint = heapq.heappop(self._expiring)
            record = self._records.get(fingerprint)
            if record is not None and record.expires_at == expires_at:
                del self._records[fingerprint]
                removed += 1
                lapsed += record.state is State.UNKNOWN
        return Purged(removed, lapsed)

    async def ping(self, now: int) -> None:
        """See Store."""

    async def close(self) -> None:
        """See Store."""


def _done(result: T) -> Awaitable[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future
