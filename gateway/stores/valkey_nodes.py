# The gateways that share a server: which of them live, and what becomes of what a stopped one had in flight.
#
# No clock of another machine is believed. A node counts while it lives; one whose count has not changed for a while, by
# the clock of whoever looks, has stopped, or cannot reach the server: what it had in flight is unknown then, and never
# free. It may settle that all the same when it comes back.

import time

from gateway.stores.valkey_link import Call, Link
from gateway.stores.valkey_records import Keys, moment


class Nodes:
    """Mutable state: of each other node its count, and when it was seen to change."""

    def __init__(self, link: Link, keys: Keys, node: bytes, timeout: float) -> None:
        self._link = link
        self._keys = keys
        self._node = node
        self._timeout = timeout
        self._seen: dict[bytes, tuple[bytes, float]] = {}

    def __repr__(self) -> str:
        return f"Nodes({len(self._seen)} others)"

    async def beat(self) -> int:
        """Say that this node lives, and look after the others; how many claims became unknown. Raises FAILURES."""
        await self._link.ask("HINCRBY", self._keys.nodes, self._node, 1)
        found = await self._link.ask("HGETALL", self._keys.nodes)
        counts = dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else found
        now, abandoned = time.monotonic(), 0
        for node in [*self._seen]:
            if node not in counts:
                del self._seen[node]
        for node, count in counts.items():
            if node == self._node:
                continue
            seen = self._seen.get(node)
            if seen is None or seen[0] != count:
                self._seen[node] = (count, now)
            elif now - seen[1] >= self._timeout:
                abandoned += await self._abandon(node, count)
        return abandoned

    async def _abandon(self, node: bytes, count: bytes) -> int:
        keys = [*self._keys.of(node), self._keys.nodes]
        at = moment(round(time.time() * 1000))
        (answer,), _ = await self._link.run(
            [Call("abandon", keys, [self._link.run_id, at, node, count, self._keys.claim])]
        )
        if isinstance(answer, Exception):
            raise answer
        return int(answer[2]) if answer[0] == b"ok" else 0

    async def leave(self) -> None:
        """Say that this node ends, unless it leaves something in flight behind. Raises FAILURES."""
        if not await self._link.ask("SCARD", self._keys.flights + self._node):
            await self._link.ask("HDEL", self._keys.nodes, self._node)
