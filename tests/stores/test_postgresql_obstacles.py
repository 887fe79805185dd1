# What others do to a PostgreSQL server that holds a gateway up: locks, too little time, standbys that are gone.

import asyncio

import psycopg
import pytest

from gateway.errors import StoreError, StoreOpenError
from gateway.stores.base import Store
from gateway.stores.postgresql_link import Link
from tests.support.postgresql import new_folder, new_prefix, new_server, server
from tests.support.postgresql_store import ask, open_at, take_once_it_can, until
from tests.support.stores import CREATED, NOW, claims, create, owner, state_of

_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


@pytest.fixture
def prefix() -> str:
    return new_prefix()


async def _refused(store: Store, number: int) -> str:
    """Why a reservation is refused."""
    with pytest.raises(StoreError) as told:
        await store.reserve(claims(f"refused {number}"), owner(9000 + number), NOW)
    return str(told.value)


@pytest.mark.parametrize("table", ["nodes", "claims"])
async def test_a_lock_that_is_not_given_up_leaves_no_heap_of_sessions(
    prefix: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection that is given up leaves a session, until it gets what it waits for."""
    await asyncio.to_thread(server)
    store = await open_at(f"{server().url}?application_name={prefix}", prefix, commit_timeout=0.3)
    connect, attempts, number = Link.connect, 0, 0

    async def counted(self: Link) -> None:
        nonlocal attempts
        attempts += 1
        await connect(self)

    monkeypatch.setattr(Link, "connect", counted)
    async with await psycopg.AsyncConnection.connect(server().url) as other:
        await other.execute(f'LOCK TABLE "{prefix}".{table} IN ACCESS EXCLUSIVE MODE'.encode())
        while attempts < 6:
            number += 1
            attempts += "lock timeout" in await _refused(store, number)
            ((sessions,),) = await ask(_SESSIONS, prefix)
        await other.rollback()
    assert sessions <= 4
    await take_once_it_can(store, "a")
    await store.close()


async def test_a_time_limit_of_the_user_that_was_lifted_holds_nobody_up(prefix: str) -> None:
    """Sessions keep what was set when they began."""
    await asyncio.to_thread(server)
    await ask(f'CREATE ROLE "{prefix}" LOGIN')
    await ask(f'CREATE SCHEMA "{prefix}" AUTHORIZATION "{prefix}"')
    await ask(f"ALTER ROLE \"{prefix}\" SET statement_timeout = '200ms'")
    store = await open_at(server().url.replace("postgres@", f"{prefix}@"), prefix)
    await create(store, "a", 1)

    async def says(text: str) -> bool:
        try:
            await store.settle(owner(2), claims("b"), CREATED, NOW)
        except StoreError as error:
            return text in str(error)
        return False

    await store.reserve(claims("b"), owner(2), NOW)
    async with await psycopg.AsyncConnection.connect(server().url) as other:
        await other.execute(f'SELECT FROM "{prefix}".claims FOR UPDATE'.encode())
        await until(lambda: says("statement timeout"))
        await ask(f'ALTER ROLE "{prefix}" RESET statement_timeout')
        await until(lambda: says("lock timeout"))
        await other.rollback()
    await store.close()


async def test_commits_that_would_wait_for_nobody_are_refused_and_leave_no_heap_of_sessions(prefix: str) -> None:
    own = await asyncio.to_thread(new_server, new_folder())
    store = await open_at(own.url, prefix, is_trusted=False)
    await asyncio.to_thread(own.set, synchronous_standby_names="ANY 2 (*)")

    async def is_refused() -> bool:
        return "a commit waits for 2 standbys, and the server has 0" in await _refused(store, 1)

    await until(is_refused)
    with pytest.raises(StoreOpenError, match="a commit waits for 2 standbys, and the server has 0"):
        await open_at(own.url, prefix, is_trusted=False)
    ((sessions,),) = await asyncio.to_thread(own.ask, _SESSIONS, "idempotency-gateway")
    assert sessions <= 4
    await asyncio.to_thread(own.set, synchronous_standby_names="")
    await take_once_it_can(store, "a")
    assert await state_of(store, "a") is not None
    await store.close()
    await asyncio.to_thread(own.stop, "immediate")
