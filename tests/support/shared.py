# The servers that gateways share claims on, for tests that are the same with each of them.

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, Protocol

from gateway.config.valkey_url import parse_valkey
from gateway.stores.base import Store
from gateway.stores.demands import Demands
from gateway.stores.open_valkey import open_valkey
from tests.support import postgresql, valkey
from tests.support.postgresql_store import open_at
from tests.support.stores import KEY, left_open

Backend = Literal["valkey", "postgresql"]
BACKENDS: tuple[Backend, ...] = ("valkey", "postgresql")


class OwnServer(Protocol):
    """A server that a test may stop, and start again."""

    folder: Path
    """Where its data is."""

    @property
    def url(self) -> str:
        """Where it is: at the same place after each start."""

    async def start(self) -> None:
        """Start it with the data that it has."""

    async def stop(self) -> None:
        """Stop it."""

    async def lose(self) -> None:
        """Throw the data of a stopped one away."""


class _Valkey(OwnServer):
    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self.folder = postgresql.new_folder() / "valkey"
        self._server = valkey.new_server(self.folder, None, **settings)
        self._port = self._server.port

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._server = await asyncio.to_thread(valkey.new_server, self.folder, self._port, **self._settings)

    async def stop(self) -> None:
        if self._server.is_running():
            await asyncio.to_thread(self._server.stop)

    async def lose(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder)


class _Postgresql(OwnServer):
    def __init__(self, **settings: str) -> None:
        self.server = postgresql.new_server(postgresql.new_folder(), settings)
        self.folder = self.server.data

    @property
    def url(self) -> str:
        return self.server.url

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop, "immediate")

    async def lose(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder)


def common(backend: Backend) -> dict[str, Any]:
    """The `[store]` of gateways on the server that most tests share, with a prefix that no other test has."""
    if backend == "valkey":
        return {"url": str(valkey.address()), "prefix": valkey.new_prefix()}
    return {"url": postgresql.server().url, "prefix": postgresql.new_prefix(), "trust_server": True}


@contextlib.asynccontextmanager
async def own_server(backend: Backend, **settings: str) -> AsyncIterator[OwnServer]:
    """A server of one test, which keeps what it confirms unless `settings` say otherwise."""
    made = await asyncio.to_thread(_Valkey if backend == "valkey" else _Postgresql, **settings)
    try:
        yield made
    finally:
        await made.stop()


async def open_on(backend: Backend, url: str) -> Store:
    """Open a store on a server by its URL."""
    if backend == "postgresql":
        return await open_at(url, "claims")
    demands = Demands("process")
    store = (await open_valkey(parse_valkey(url, "valkey"), demands, KEY, prefix="claims", failover_grace=0.2)).store
    left_open.append(store)
    return store


async def empty(backend: Backend, server: OwnServer, prefix: str) -> None:
    """Throw all claims away while it runs."""
    if isinstance(server, _Valkey):
        with server._server.client() as client:
            client.flushall()
    elif isinstance(server, _Postgresql):
        await asyncio.to_thread(server.server.ask, f'DROP SCHEMA "{prefix}" CASCADE')


async def listeners(backend: Backend, prefix: str) -> int:
    """How many gateways have the server of most tests tell them of the ends of operations."""
    if backend == "valkey":
        with valkey.server().client() as client:
            ((_, count),) = client.pubsub_numsub(channel(prefix))
        return int(count)
    found = await asyncio.to_thread(postgresql.server().ask, f"SELECT count(*) {_LISTENING}")
    return int(found[0][0])


async def deafen(backend: Backend) -> None:
    """Break the connections off by which gateways are told."""
    if backend == "valkey":
        with valkey.server().client() as client:
            client.client_kill_filter(_type="pubsub")
    else:
        await asyncio.to_thread(postgresql.server().ask, f"SELECT pg_terminate_backend(pid) {_LISTENING}")


def channel(prefix: str) -> str:
    """The channel of a store on Valkey."""
    return f"{{{prefix}}}:ended"


_LISTENING = (
    "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%LISTEN \"idempotency-gateway\"%' "
    "AND application_name = 'idempotency-gateway'"
)
