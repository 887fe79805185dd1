# What keeps a gateway's claims from one of its lives to the next: a file, a server that others use too, or nothing.

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg
import redis

from gateway.config.postgresql_url import parse_postgresql
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.stores.base import Opened, Store
from gateway.stores.demands import Demands
from gateway.stores.memory import MemoryStore
from gateway.stores.open_postgresql import open_postgresql
from gateway.stores.open_valkey import open_valkey
from gateway.stores.shared import SharedStore
from tests.support import peers, postgresql, valkey
from tests.support.handler import FINGERPRINTER, open_file
from tests.support.shared import Backend
from tests.support.tally import PATIENCE

Kind = Literal["memory", "sqlite", "valkey", "postgresql"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_SHARED_MEMORY = Path("/dev/shm")
"""A file here is as durable as a kill needs it, and no disk is waited for."""
_DATABASE = 9
"""That of the runs on the Valkey server, which is emptied before each."""
_SCHEMA = "model"


class Lives:
    """Opens a store for each life: here one in memory, which ends with it."""

    async def begin(self) -> tuple[Store, int]:
        """The store of the next life, and how many claims it found in flight."""
        return MemoryStore(), 0

    async def kill(self, store: Store) -> None:
        """Nothing more comes to it from the life that ends."""

    async def end(self, store: Store) -> None:
        """Close the store of a life that has ended in good order, or was killed."""
        await store.close()

    async def suspect(self) -> None:
        """Another gateway, if there can be one, sees this one stand still for so long that it counts as stopped."""

    def remove(self) -> None:
        """Leave nothing behind."""


def lives(kind: Kind, now: Callable[[], int]) -> Lives:
    """New lives, whose first one finds nothing. `now` in milliseconds."""
    if kind == "memory":
        return Lives()
    return InFile(now) if kind == "sqlite" else OnServer(kind, now)


class InFile(Lives):
    """Lives on one file. A kill leaves what is in it then."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._directory = Path(
            tempfile.mkdtemp("", "gateway-model-", _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None)
        )
        self._numbers = itertools.count(1)
        self._path = self._next()

    def _next(self) -> Path:
        return self._directory / f"{next(self._numbers)}.db"

    async def begin(self) -> tuple[Store, int]:
        opened = await open_file(self._path, self._now())
        return opened.store, opened.recovered

    async def kill(self, store: Store) -> None:
        file = self._next()
        for suffix in ("", "-wal"):  # what a process leaves that is killed now, and the next one finds
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{self._path}{suffix}", f"{file}{suffix}")
        self._path = file

    def remove(self) -> None:
        shutil.rmtree(self._directory)


class OnServer(Lives):
    """Lives on a server that lives on. What a killed one had in flight, the next one finds to be of one that stopped.

    Nobody looks by itself.
    """

    def __init__(self, backend: Backend, now: Callable[[], int]) -> None:
        self._backend = backend
        self._now = now
        self._is_killed = False
        (_empty_valkey if backend == "valkey" else _empty_postgresql)()

    async def open(self) -> SharedStore:
        """Another gateway's store."""
        opened = await self._open()
        assert isinstance(opened.store, SharedStore)
        await peers.let_alone(opened.store)
        return opened.store

    async def _open(self) -> Opened:
        demands = Demands("process", is_trusted=True)
        limits: dict[str, Any] = {"commit_timeout": PATIENCE, "failover_grace": 0.01}
        key_check = FINGERPRINTER.key_check
        if self._backend == "valkey":
            url = ValkeyStoreUrl((("127.0.0.1", valkey.server().port),), database=_DATABASE)
            return await open_valkey(url, demands, key_check, wall_clock=self._now, **limits)
        server = parse_postgresql(postgresql.server().url)
        return await open_postgresql(server, demands, key_check, wall_clock=self._now, prefix=_SCHEMA, **limits)

    async def begin(self) -> tuple[Store, int]:
        store = await self.open()
        return store, await peers.look_for_stopped(store)

    async def kill(self, store: Store) -> None:
        assert isinstance(store, SharedStore)
        await peers.kill(store)
        self._is_killed = True

    async def end(self, store: Store) -> None:
        if not self._is_killed:
            await store.close()
        self._is_killed = False

    async def suspect(self) -> None:
        store = await self.open()
        await peers.look_for_stopped(store)
        await store.close()


def _empty_valkey() -> None:
    with redis.Redis(port=valkey.server().port, db=_DATABASE) as client:
        client.flushdb()


def _empty_postgresql() -> None:
    with contextlib.suppress(psycopg.errors.UndefinedTable):  # the first run makes it
        _connection().execute(f'DELETE FROM "{_SCHEMA}".claims; DELETE FROM "{_SCHEMA}".nodes')


@cache
def _connection() -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(postgresql.server().url, autocommit=True)
