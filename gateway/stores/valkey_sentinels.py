# Where Sentinels say that the primary is. They need not agree: one that is cut off from the others knows an older one.

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import RedisError

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call fails with when the server does not answer, or refuses."""
Address = tuple[str, int]


class Sentinels:
    """Mutable state: a connection to each, which is made anew when it breaks, and whether they are being asked."""

    def __init__(self, hosts: Sequence[Address], service: str, options: Mapping[str, Any]) -> None:
        """`service` is what they call the server, `options` are those of a connection."""
        self._service = service
        self._clients = [
            redis.Redis(host=host, port=port, single_connection_client=True, **options) for host, port in hosts
        ]
        self._lock = asyncio.Lock()
        """The connections take one question at a time. Who looks for the server, and who watches, ask independently."""

    def __repr__(self) -> str:
        return f"Sentinels({len(self._clients)})"

    async def primary(self) -> Address:
        """Ask all at once: what more than half of them say, or else the newest. Raises RedisError when none knows."""
        async with self._lock:
            return await self._ask_all()

    async def _ask_all(self) -> Address:
        asking = [asyncio.create_task(self._ask(client)) for client in self._clients]
        votes: Counter[Address] = Counter()
        newest: tuple[int, Address] | None = None
        try:
            for next_one in asyncio.as_completed(asking):
                found = await next_one
                if found is None:
                    continue
                newest = found if newest is None else max(newest, found)
                votes[found[1]] += 1
                if votes[found[1]] > len(asking) / 2:
                    return found[1]
        finally:
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
        if newest is None:
            raise MasterNotFoundError("no Sentinel knows a server that is up")
        return newest[1]

    async def _ask(self, client: redis.Redis) -> tuple[int, Address] | None:
        """How often the server has changed, and where it is now; None where that is not known, or it is down."""
        try:
            state: Any = await client.sentinel_master(self._service)
        except FAILURES:
            return None
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            return None
        return int(state["config-epoch"]), (str(state["ip"]), int(state["port"]))

    async def close(self) -> None:
        """Close the connections. Raises what a connection fails with."""
        async with self._lock:
            for client in self._clients:
                await client.aclose()
