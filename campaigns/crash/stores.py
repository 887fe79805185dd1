# Where gateways keep their claims that are killed: in a file, or on a server that lives on.

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from gateway.config.endpoints import parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.guard.fingerprint import Fingerprinter
from gateway.model import State
from gateway.stores.base import Opened
from gateway.stores.demands import Demands
from gateway.stores.open_postgresql import open_postgresql
from gateway.stores.open_valkey import open_valkey
from gateway.stores.shared import SharedStore
from tests.support import peers
from tests.support.counts import miscounted
from tests.support.shared import BACKENDS, Backend, OwnServer, own_server
from tests.support.tally import PATIENCE

StoreKind = Literal["sqlite", "valkey", "postgresql"]
STORES: tuple[StoreKind, ...] = ("sqlite", *BACKENDS)
_SECRET = "a secret that all gateways share, as they must"


class Claims:
    """The claims of one chain, in a file of its directory; a new one now and then. Mutable state: its number."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    @property
    def tables(self) -> dict[str, Any]:
        """What a rules file says of them."""
        return {"store": {"url": f"sqlite:{self._number}.db"}}

    async def renew(self) -> None:
        """Begin with none."""
        self._number += 1

    async def look_for_stopped(self) -> None:
        """Have somebody see that the last gateway has stopped, where that is not left to the next one."""

    async def problems(self) -> list[str]:
        """What is wrong with them when the last gateway has stopped in good order."""
        with closing(sqlite3.connect(self._directory / f"{self._number}.db")) as database:
            found = database.execute("PRAGMA integrity_check").fetchall()
            return ([] if found == [("ok",)] else [f"integrity: {found}"]) + miscounted(database)

    async def close(self) -> None:
        """Leave them."""


class ClaimsOnServer(Claims):
    """Those on a server, which this process looks at as another gateway would. Mutable state: its store there, too."""

    def __init__(self, directory: Path, server: OwnServer) -> None:
        super().__init__(directory)
        self._url = server.url
        self._name = directory.name
        self._peer: SharedStore | None = None

    @property
    def tables(self) -> dict[str, Any]:
        store = {"url": self._url, "prefix": self._prefix, "failover_grace": "100ms"}
        return {"store": store, "fingerprint": {"key": _SECRET}}

    @property
    def _prefix(self) -> str:
        return f"{self._name}-{self._number}"

    async def renew(self) -> None:
        await super().renew()
        await self.close()
        opened = await self._open()
        assert isinstance(opened.store, SharedStore)
        self._peer = opened.store
        await peers.let_alone(self._peer)

    async def _open(self) -> Opened:
        url, key_check = parse_store(self._url), Fingerprinter(_SECRET.encode()).key_check
        settings: dict[str, Any] = {"prefix": self._prefix, "commit_timeout": PATIENCE, "failover_grace": 0.05}
        if isinstance(url, ValkeyStoreUrl):
            return await open_valkey(url, Demands("process"), key_check, **settings)
        assert isinstance(url, PostgresqlStoreUrl)
        return await open_postgresql(url, Demands("process"), key_check, **settings)

    async def look_for_stopped(self) -> None:
        """What it had in flight is unknown then."""
        assert self._peer is not None
        await peers.look_for_stopped(self._peer)

    async def problems(self) -> list[str]:
        assert self._peer is not None
        records = await self._peer.scan(b"", 1_000_000, 0)
        left = sum(record.state is State.IN_FLIGHT for record in records)
        return [f"{left} claims in flight, and nobody settles them"] if left else []

    async def close(self) -> None:
        if self._peer is not None:
            await self._peer.close()


@contextlib.asynccontextmanager
async def serving(kind: StoreKind) -> AsyncIterator[OwnServer | None]:
    """The server of a campaign, which loses nothing with either durability; None where there is none."""
    if kind == "sqlite":
        yield None
        return
    backend: Backend = kind
    async with own_server(backend, **({"appendfsync": "always"} if backend == "valkey" else {})) as server:
        yield server
