# A Valkey server as one gateway sees it: whether its data is whole, and the gateway's count among the others'.

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Record
from gateway.stores.nodes import KEPT_STOPPED, Nodes
from gateway.stores.operations import Known
from gateway.stores.recovery import Seen, Server
from gateway.stores.valkey_link import Call, Link
from gateway.stores.valkey_records import Keys, in_flight, moment, read_record, settled

Check = Callable[[Mapping[str, Any]], Awaitable[None]]


class ValkeyServer(Server):
    """All methods raise the link's FAILURES."""

    def __init__(
        self,
        link: Link,
        keys: Keys,
        node: bytes,
        nodes: Nodes,
        check: Check,
        wall_clock: Callable[[], int],
        abandoned: Callable[[int], None],
    ) -> None:
        """`check` raises StoreError for a server that cannot keep a promise.

        `wall_clock` and `abandoned` are those of open_valkey.
        """
        self._link = link
        self._keys = keys
        self.node = node
        self._nodes = nodes
        self._check = check
        self._wall_clock = wall_clock
        self._abandoned = abandoned

    def __repr__(self) -> str:
        return f"ValkeyServer({self.name!r})"

    @property
    @override
    def name(self) -> bytes:
        return self._link.run_id

    @property
    @override
    def is_connected(self) -> bool:
        return self._link.is_connected

    @override
    async def connect(self) -> None:
        await self._check(await self._link.connect())
        await self._link.ask("HSETNX", self._keys.nodes, self.node, 0)  # before anything of it can be in flight

    @override
    async def check(self) -> None:
        await self._check(await self._link.facts())

    @override
    async def look(self) -> Seen:
        keys = self._keys
        whole, commits, restores = await self._link.ask("MGET", keys.server, keys.commits, keys.restores)
        return Seen(whole, int(commits or 0), restores=int(restores or 0))

    @override
    async def trust(self) -> None:
        await self._link.ask("SET", self._keys.server, self._link.run_id)

    @override
    async def distrust(self) -> None:
        await self._link.ask("SET", self._keys.server, b"")

    @override
    async def find(self, fingerprints: Sequence[bytes]) -> Sequence[Record]:
        stored = await self._link.ask("MGET", *[self._keys.claim + fingerprint for fingerprint in fingerprints])
        return [read_record(name, data) for name, data in zip(fingerprints, stored, strict=True) if data is not None]

    @override
    async def put_back(self, known: Sequence[Known]) -> tuple[int, int]:
        calls = [self._restoring(owner, [*claims]) for owner, claims in groupby(known, lambda one: one.owner)]
        answers, _ = await self._link.run(calls)
        restored = taken = 0
        for answer in answers:
            if isinstance(answer, Exception):
                raise StoreError("the server refuses to take back what it lost")
            restored += int(answer[0])
            taken += int(answer[1])
        return restored, taken

    def _restoring(self, owner: bytes, known: Sequence[Known]) -> Call:
        keys = [*self._keys.of(self.node, [one.claim.fingerprint for one in known]), self._keys.restores]
        arguments: list[bytes | int] = [self._link.run_id, owner, moment(known[0].reserved_at)]
        for one in known:
            if one.ended is None:
                arguments += (in_flight(one.claim, owner, one.reserved_at), b"")
            else:
                arguments += (settled(one.claim, owner, one.reserved_at, one.ended), one.answer or b"")
        return Call("restore", keys, arguments)

    async def beat(self) -> bool:
        """Count; False where the server is not known to be whole any more.

        What a stopped gateway had in flight becomes unknown, and never free. It may settle that all the same.
        """
        link, keys = self._link, self._keys
        if await link.ask("GET", keys.server) != link.run_id:
            return False
        await link.ask("HINCRBY", keys.nodes, self.node, 1)
        found = await link.ask("HGETALL", keys.nodes)
        counts = dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else found
        for node, count, seconds in self._nodes.stopped({node: int(count) for node, count in counts.items()}):
            await self._abandon(node, b"%d" % count, for_good=seconds >= KEPT_STOPPED)
        return True

    async def _abandon(self, node: bytes, count: bytes, *, for_good: bool) -> None:
        at = moment(self._wall_clock())
        arguments: list[bytes | int] = [self._link.run_id, at, node, count, self._keys.claim, int(for_good)]
        (answer,), _ = await self._link.run([Call("abandon", [*self._keys.of(node), self._keys.nodes], arguments)])
        if isinstance(answer, Exception):
            raise answer
        if answer[0] == b"ok" and answer[2]:
            self._abandoned(int(answer[2]))

    async def leave(self) -> None:
        """Say that this gateway ends, unless it leaves something in flight behind."""
        link = self._link
        try:
            if link.is_connected and not await link.ask("SCARD", self._keys.flights + self.node):
                await link.ask("HDEL", self._keys.nodes, self.node)
        finally:
            await link.close()
