# Claims that are moved into a Valkey store, and out of it: some at a time, creates come in between.

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.model import Kept, Record
from gateway.stores.valkey_link import Call
from gateway.stores.valkey_records import Keys, findable, moment, read_record, stored

_AT_ONCE = 250
"""Claims that are added in one commit: it holds up creates for about as long as a few of them take."""

Ask = Callable[..., Awaitable[Any]]
"""Runs one command that changes nothing between two batches."""
Run = Callable[[Call, int], Awaitable[list[Any]]]
"""Runs a script between two batches, of which so many replicas must have heard."""


class ValkeyMoves:
    """All methods raise StoreError."""

    def __init__(self, ask: Ask, run: Run, keys: Keys, node: bytes, replicas: int) -> None:
        """`replicas` must have what is added."""
        self._ask = ask
        self._run = run
        self._keys = keys
        self._node = node
        self._replicas = replicas

    async def add(self, kept: Sequence[Kept], now: int) -> list[Record | None]:
        """See Store.add."""
        found: list[Record | None] = []
        for at in range(0, len(kept), _AT_ONCE):
            found += await self._add(kept[at : at + _AT_ONCE], now)
        return found

    async def read(self, records: Sequence[Record]) -> list[Kept]:
        """See Store.read_kept."""
        found: list[Kept] = []
        for at in range(0, len(records), _AT_ONCE):
            some = records[at : at + _AT_ONCE]
            answers = await self._ask("MGET", *[self._keys.answer + record.fingerprint for record in some])
            for record, answer in zip(some, answers, strict=True):
                is_its_own = answer is not None and answer[:16] == record.owner
                found.append(Kept(record, answer[16:] if is_its_own else None))
        return found

    async def _add(self, kept: Sequence[Kept], now: int) -> list[Record | None]:
        keys = self._keys.of(self._node, [one.record.fingerprint for one in kept])
        arguments: list[bytes | int] = [b"", moment(now)]
        for one in kept:
            arguments += (stored(one.record), one.answer or b"", findable(one.record.expires_at or 0, now))
        _, _, *held = await self._run(Call("add", keys, arguments), self._replicas)
        met = dict(zip(held[::2], held[1::2], strict=True))
        return [read_record(one.record.fingerprint, met[at]) if at in met else None for at, one in enumerate(kept, 1)]
