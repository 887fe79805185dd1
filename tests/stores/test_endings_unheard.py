# How those that wait for another gateway get on where the server does not tell them, or not yet.

import asyncio
import contextlib
from collections.abc import Callable

import psycopg
import pytest

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreError
from gateway.stores.demands import Demands
from gateway.stores.open_valkey import open_valkey
from tests.support import postgresql, valkey
from tests.support.endings import UNHURRIED, ended, is_awaited, waiting
from tests.support.postgresql_store import open_at, until
from tests.support.shared import BACKENDS, Backend, open_on, own_server
from tests.support.stores import (
    CREATED,
    KEY,
    NOW,
    claims,
    left_open,
    open_on_postgresql,
    open_shared,
    owner,
    take,
)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_who_waits_goes_on_waiting_over_a_restart_of_the_server(
    backend: Backend, looks: Callable[..., None]
) -> None:
    looks(silent=0.02, connect=0.02)
    async with own_server(backend) as server:
        one, two = [await open_on(backend, server.url) for _ in range(2)]
        await take(one, ("a",), 1)
        wait = waiting(two, "a", 1)
        await server.stop()
        for store in (one, two):
            with pytest.raises(StoreError):
                await store.ping(NOW)
        await server.start()
        assert not wait.done()
        with contextlib.suppress(StoreError):  # which goes on trying
            await one.settle(owner(1), claims("a"), CREATED, NOW)
        await ended(wait)
        for store in (one, two):
            await store.close()


async def test_a_claim_that_is_just_being_changed_is_marked_later(looks: Callable[..., None]) -> None:
    """Nobody waits for its lock, and nobody takes it for free."""
    looks(silent=0.02)
    await asyncio.to_thread(postgresql.server)
    prefix = postgresql.new_prefix()
    one, two = [(await open_on_postgresql(prefix, **UNHURRIED)).store for _ in range(2)]
    await take(one, ("a",), 1)
    async with await psycopg.AsyncConnection.connect(postgresql.server().url) as other:
        await other.execute(f'SELECT FROM "{prefix}".claims FOR UPDATE'.encode())
        wait = waiting(two, "a", 1)
        await until(lambda: _is_true(two._endings._connection is not None))  # type: ignore[attr-defined]
        for _ in range(20):
            await two.ping(NOW)
        assert not wait.done()
        await other.rollback()
    await until(lambda: is_awaited("postgresql", prefix, "a"))
    assert await one.settle(owner(1), claims("a"), CREATED, NOW)
    await ended(wait)


async def test_a_user_who_may_not_listen_looks_and_says_so_once(looks: Callable[..., None]) -> None:
    looks(silent=0.02)
    prefix, reasons = valkey.new_prefix(), list[str]()
    rights = ["+@read", "+@write", "+@scripting", "+@connection", "+info", "+wait", "+config|get"]
    with valkey.server().client() as client:
        client.execute_command("ACL", "SETUSER", "deaf", "on", ">secret", f"~{{{prefix}}}:*", *rights)
    url = ValkeyStoreUrl((("127.0.0.1", valkey.server().port),), user="deaf", password="secret")
    demands, settings = Demands("process"), {"prefix": prefix, "failover_grace": 0.01}
    two = (await open_valkey(url, demands, KEY, polls=reasons.append, **settings)).store  # type: ignore[arg-type]
    left_open.append(two)
    one = (await open_shared(prefix)).store
    for number, name in enumerate("ab", 1):
        await take(one, (name,), number)
        wait = waiting(two, name, number)
        await until(lambda: _is_true(bool(reasons)))
        assert not wait.done()
        assert await one.settle(owner(number), claims(name), CREATED, NOW)
        await ended(wait)
        assert not await is_awaited("valkey", prefix, name)
    assert reasons == ["the server refuses: User deaf has no permissions to run the 'publish' command"]
    with valkey.server().client() as client:
        client.execute_command("ACL", "DELUSER", "deaf")


async def _is_true(value: bool) -> bool:
    return value


async def test_behind_a_pooler_is_looked(looks: Callable[..., None]) -> None:
    """A pooler gives out process ids of its own."""
    looks(silent=0.02)
    await asyncio.to_thread(postgresql.server)
    prefix, reasons = postgresql.new_prefix(), list[str]()
    tasks: list[asyncio.Task[None]] = []

    async def pool(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", postgresql.server().port)

        async def answers() -> None:
            while data := await from_server.read(65536):
                at = data.find(b"K\0\0\0\x0c")
                writer.write(data if at < 0 else data[: at + 5] + b"\0\0\0\x01" + data[at + 9 :])
            writer.close()

        tasks.append(asyncio.create_task(answers()))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                to_server.write(data)
        to_server.close()

    async with await asyncio.start_server(pool, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        two = await open_at(f"postgresql://postgres@127.0.0.1:{port}/postgres", prefix, polls=reasons.append)
        one = (await open_on_postgresql(prefix)).store
        await take(one, ("a",), 1)
        wait = waiting(two, "a", 1)
        await until(lambda: _is_true(bool(reasons)))
        assert await one.settle(owner(1), claims("a"), CREATED, NOW)
        await ended(wait)
        assert reasons == ["the server is behind a pooler, which does not pass notifications on"]
        for store in (one, two):
            await store.close()
        await asyncio.wait(tasks)
