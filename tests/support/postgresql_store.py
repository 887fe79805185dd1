# Stores on the PostgreSQL server of the tests, and what is asked of that behind their backs.

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.config.postgresql_url import parse_postgresql
from gateway.errors import StoreError
from gateway.model import Reserved
from gateway.stores.base import Store
from gateway.stores.demands import Demands
from gateway.stores.open_postgresql import open_postgresql
from gateway.stores.postgresql import PostgresqlStore
from tests.support.postgresql import server
from tests.support.stores import KEY, NOW, claims, left_open, owner
from tests.support.tally import PATIENCE


async def ask(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement on the server."""
    return await asyncio.to_thread(server().ask, statement, *parameters)


async def alone(store: Store) -> None:
    """Stop its heartbeat, so that nothing is sent but what the test sends."""
    assert isinstance(store, PostgresqlStore)
    store._beat.cancel()
    await asyncio.wait([store._beat])
    await store.ping(NOW)


async def open_at(url: str, prefix: str, *, replicas: int = 0, is_trusted: bool = True, **changes: Any) -> Store:
    """Open a store at a URL."""
    demands = Demands("process", replicas=replicas, is_trusted=is_trusted)
    opened = await open_postgresql(parse_postgresql(url), demands, KEY, prefix=prefix, failover_grace=0.2, **changes)
    left_open.append(opened.store)
    return opened.store


_SINCE = {
    2: ('DROP FUNCTION "{0}".await, "{0}".tell', 'ALTER TABLE "{0}".claims DROP COLUMN is_awaited'),
    3: (
        'DROP TRIGGER gone ON "{0}".claims',
        'DROP FUNCTION "{0}".note, "{0}".gone, "{0}".count',
        'DROP TABLE "{0}".counts, "{0}".unknown_claims',
        "DELETE FROM \"{0}\".facts WHERE name = 'counted'",
    ),
    4: (
        'DROP FUNCTION "{0}".linked CASCADE',
        'DROP FUNCTION "{0}".write(bytea, bigint, bigint, bytea, text, json)',
        'DROP FUNCTION "{0}".write(bytea, bigint, bigint, bytea, text, json, boolean)',
        'DROP FUNCTION "{0}".stored, "{0}".is_current, "{0}".apply, "{0}".add, "{0}".restore',
        'ALTER TYPE "{0}".wanted DROP ATTRIBUTE version, DROP ATTRIBUTE link, DROP ATTRIBUTE is_other',
        'ALTER TABLE "{0}".claims DROP COLUMN version, DROP COLUMN link',
        'DROP TABLE "{0}".linked_claims',
    ),
}
"""What each version of the schema has brought."""


async def downgrade(prefix: str, version: int) -> None:
    """Leave of a store what an earlier version has of it, and no function that came or changed after that."""
    for step in sorted(_SINCE, reverse=True):
        for statement in _SINCE[step] if step > version else ():
            await ask(statement.format(prefix))
    await ask(f"UPDATE \"{prefix}\".facts SET value = '{version}' WHERE name = 'schema'")


async def take_once_it_can(store: Store, *names: str) -> None:
    """Reserve as soon as the store takes it. What failed before that may be left for a moment, until it is freed."""
    numbers = itertools.count(1_000_000)

    async def attempt() -> bool:
        with contextlib.suppress(StoreError):
            return isinstance(await store.reserve(claims(*names), owner(next(numbers)), NOW), Reserved)
        return False

    await until(attempt)


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so on the server, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
