# What the tests of the stores share: claims, owners, times, and each kind of store.

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

from gateway.config.postgresql_url import parse_postgresql
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.model import FOREVER, Claim, Held, Reserved, Settlement, State
from gateway.stores.base import Opened, Store
from gateway.stores.demands import Demands
from gateway.stores.open import open_memory, open_sqlite
from gateway.stores.open_postgresql import open_postgresql
from gateway.stores.open_valkey import open_valkey
from tests.support import postgresql, valkey
from tests.support.valkey import new_prefix

KEY = b"key-check"
NOW = 1_700_000_000_000
HOUR = 3600 * 1000
CREATED = Settlement(State.CREATED, NOW + 24 * HOUR, "/users/1")
UNKNOWN = Settlement(State.UNKNOWN, NOW + HOUR)

Kind = Literal["memory", "process", "power", "valkey", "postgresql"]

left_open: list[Store] = []
"""SQLite stores that were opened and not closed by `store_of`: closed after each test, whatever became of it."""


def claim(name: str | int, *, hold: int = HOUR) -> Claim:
    """The claim on `name`: the same name is the same fingerprint."""
    return Claim(hashlib.sha256(str(name).encode()).digest(), "create-user", f"entry-{name}", hold)


def claims(*names: str | int) -> tuple[Claim, ...]:
    """The claims on several names."""
    return tuple(claim(name) for name in names)


def owner(number: int) -> bytes:
    """An owner token."""
    return number.to_bytes(16, "big")


async def open_store(path: Path, durability: Literal["process", "power"] = "process", now: int = NOW) -> Opened:
    """Open a SQLite store with the key of these tests."""
    opened = await open_sqlite(str(path), durability, KEY, now)
    left_open.append(opened.store)
    return opened


async def open_shared(prefix: str, *, at: ValkeyStoreUrl | None = None, **changes: Any) -> Opened:
    """Open a store on the server of these tests, or another one."""
    settings = {"failover_grace": 0.01, **changes}
    opened = await open_valkey(at or valkey.address(), Demands("process"), KEY, prefix=prefix, **settings)
    left_open.append(opened.store)
    return opened


async def open_on_postgresql(prefix: str, **changes: Any) -> Opened:
    """Open a store on the PostgreSQL server of these tests, whose settings are for speed."""
    demands = Demands("process", is_trusted=True)
    settings = {"failover_grace": 0.01, **changes}
    opened = await open_postgresql(parse_postgresql(postgresql.server().url), demands, KEY, prefix=prefix, **settings)
    left_open.append(opened.store)
    return opened


@contextlib.asynccontextmanager
async def store_of(kind: Kind, path: Path) -> AsyncIterator[Store]:
    """A new store of a kind; `path` is for those that have a file."""
    if kind == "memory":
        opened = open_memory()
    elif kind == "valkey":
        opened = await open_shared(new_prefix())
    elif kind == "postgresql":
        opened = await open_on_postgresql(postgresql.new_prefix())
    else:
        opened = await open_store(path, kind)
    try:
        yield opened.store
    finally:
        await opened.store.close()
        if opened.store in left_open:
            left_open.remove(opened.store)


async def take(store: Store, names: tuple[str | int, ...], number: int, now: int = NOW) -> None:
    """Reserve, and be sure of it."""
    assert isinstance(await store.reserve(claims(*names), owner(number), now), Reserved)


async def create(store: Store, name: str | int, number: int, settlement: Settlement = CREATED, now: int = NOW) -> None:
    """Reserve one claim and settle it."""
    await take(store, (name,), number, now)
    assert await store.settle(owner(number), claims(name), settlement, NOW)


async def state_of(store: Store, name: str | int, now: int = NOW) -> State | None:
    """What a claim is; None for free."""
    record = await store.get(claim(name).fingerprint, now)
    return None if record is None else record.state


def files(directory: Path) -> dict[str, bytes]:
    """Everything in a directory."""
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def names_of(held: Reserved | Held) -> list[str]:
    """The entries of the conflicts."""
    assert isinstance(held, Held)
    return [met.entry for met, _ in held.conflicts]


FAR = FOREVER - 1
"""As late as a clock can get before what is kept for ever would end."""
