# How those that wait hear of the end of another gateway's operation: told by the server, or by looking.

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
import redis.asyncio as redis

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.model import FREE, Settlement
from gateway.stores import endings
from gateway.stores.base import Store
from gateway.stores.demands import Demands
from gateway.stores.open_valkey import open_valkey
from gateway.stores.shared import SharedStore
from tests.support import postgresql, valkey
from tests.support.postgresql_store import open_at, until
from tests.support.shared import BACKENDS, Backend, channel, deafen, listeners
from tests.support.stores import (
    CREATED,
    KEY,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    left_open,
    open_on_postgresql,
    open_shared,
    owner,
    take,
)
from tests.support.tally import PATIENCE

NEVER = 3600.0
Open = Callable[..., Awaitable[SharedStore]]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
def prefix(backend: Backend) -> str:
    return valkey.new_prefix() if backend == "valkey" else postgresql.new_prefix()


@pytest.fixture
def gateway(backend: Backend, prefix: str) -> Open:
    """Opens the store of one more gateway."""
    opener = open_shared if backend == "valkey" else open_on_postgresql

    async def opened(**changes: object) -> SharedStore:
        store = (await opener(prefix, **changes)).store
        assert isinstance(store, SharedStore)
        return store

    return opened


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how often is looked: never, unless a test says otherwise."""

    def change(silent: float = NEVER, hearing: float = NEVER, connect: float = NEVER) -> None:
        monkeypatch.setattr(endings, "FIRST_LOOK", silent)
        monkeypatch.setattr(endings, "LATER_LOOK", silent)
        monkeypatch.setattr(endings, "LOOK_WHILE_HEARING", hearing)
        monkeypatch.setattr(endings, "_CONNECT_AGAIN", connect)

    change()
    return change


def waiting(store: Store, name: str, number: int) -> "asyncio.Task[None]":
    """Wait for the end of an operation."""
    return asyncio.ensure_future(store.until_ended(claim(name).fingerprint, owner(number)))


async def ended(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE):
        await task


async def is_awaited(backend: Backend, prefix: str, name: str) -> bool:
    """Whether the end of a claim is told."""
    if backend == "valkey":
        with valkey.server().client() as client:
            record = client.get(b"{%b}:c:%b" % (prefix.encode(), claim(name).fingerprint))
        assert isinstance(record, bytes)
        return record[55:60] == b"----+"
    statement = f'SELECT is_awaited FROM "{prefix}".claims WHERE fingerprint = %s'
    found = await asyncio.to_thread(postgresql.server().ask, statement, claim(name).fingerprint)
    return bool(found[0][0])


@contextlib.asynccontextmanager
async def overheard(backend: Backend, prefix: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """What the server tells gateways, one call after the other."""
    if backend == "valkey":
        client = redis.Redis(port=valkey.server().port)
        async with client, client.pubsub() as heard:
            await heard.subscribe(channel(prefix))

            async def next_message() -> bytes:
                while (message := await heard.get_message(timeout=None)) is None or message["type"] != "message":
                    pass
                return bytes(message["data"])

            yield next_message
        return
    async with await psycopg.AsyncConnection.connect(postgresql.server().url, autocommit=True) as connection:
        await connection.execute('LISTEN "idempotency-gateway"')

        async def next_notification() -> bytes:
            async for notification in connection.notifies():
                return bytes.fromhex(notification.payload)
            raise AssertionError

        yield next_notification


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("settlement", [CREATED, FREE, UNKNOWN])
async def test_who_waits_is_told_without_looking(
    gateway: Open, backend: Backend, prefix: str, settlement: Settlement
) -> None:
    one, two = await gateway(), await gateway()
    await take(one, ("a", "b"), 1)
    wait = waiting(two, "b", 1)
    await until(lambda: is_awaited(backend, prefix, "b"))
    assert not wait.done()
    assert await one.settle(owner(1), claims("a", "b"), settlement, NOW)
    await ended(wait)


@pytest.mark.usefixtures("looks")
async def test_who_waits_for_many_is_told_of_each(gateway: Open, backend: Backend, prefix: str) -> None:
    one, two = await gateway(), await gateway()
    numbers = range(1, 301)
    await asyncio.gather(*[take(one, (str(number),), number) for number in numbers])
    waits = {number: waiting(two, str(number), number) for number in numbers}
    await until(lambda: is_awaited(backend, prefix, "300"))  # and so are those that came before
    for kept in (0, 1):
        ends = [number for number in numbers if number % 2 == kept]
        await asyncio.gather(*[one.settle(owner(number), claims(str(number)), CREATED, NOW) for number in ends])
        for number in ends:
            await ended(waits.pop(number))
        assert not any(wait.done() for wait in waits.values())


@pytest.mark.usefixtures("looks")
async def test_who_waits_for_a_gateway_that_stopped_is_told(gateway: Open, backend: Backend, prefix: str) -> None:
    one, two = await gateway(node_timeout=0.5), await gateway(node_timeout=0.5)
    await take(one, ("a",), 1)
    wait = waiting(two, "a", 1)
    await until(lambda: is_awaited(backend, prefix, "a"))
    one._beat.cancel()
    await ended(wait)
    assert await one.settle(owner(1), claims("a"), CREATED, NOW), "it comes back"


@pytest.mark.usefixtures("looks")
async def test_what_has_ended_before_is_not_waited_for(gateway: Open) -> None:
    one, two = await gateway(), await gateway()
    await create(one, "a", 1)
    await ended(waiting(two, "a", 1))
    await take(one, ("b",), 3)
    await ended(waiting(two, "b", 2))  # another one has it by now


@pytest.mark.usefixtures("looks")
async def test_nobody_listens_and_nothing_is_told_unless_somebody_waits(
    gateway: Open, backend: Backend, prefix: str
) -> None:
    one, two = await gateway(), await gateway()
    await create(one, "a", 1)
    assert not await listeners(backend, prefix)
    async with overheard(backend, prefix) as next_message:
        await create(one, "b", 2)
        await take(one, ("c", "d"), 3)
        wait = waiting(two, "c", 3)
        await until(lambda: is_awaited(backend, prefix, "c"))
        await create(one, "e", 4)
        assert await one.settle(owner(3), claims("c", "d"), CREATED, NOW)
        async with asyncio.timeout(PATIENCE):
            while (said := await next_message()) == b"?":
                pass  # what a gateway says to see whether it may
        assert said == owner(3)
        await ended(wait)


async def test_a_broken_connection_is_made_up_for_by_looking(
    gateway: Open, backend: Backend, prefix: str, looks: Callable[..., None]
) -> None:
    one, two = await gateway(), await gateway()
    await take(one, ("a",), 1)
    wait = waiting(two, "a", 1)
    await until(lambda: is_awaited(backend, prefix, "a"))
    looks(silent=0.02)
    await deafen(backend)
    assert await one.settle(owner(1), claims("a"), CREATED, NOW)
    await ended(wait)


async def test_a_broken_connection_is_made_again(
    gateway: Open, backend: Backend, prefix: str, looks: Callable[..., None]
) -> None:
    one, two = await gateway(), await gateway()
    looks(connect=0.02)
    await take(one, ("a", "b"), 1)
    wait = waiting(two, "a", 1)
    await until(lambda: is_awaited(backend, prefix, "a"))
    await deafen(backend)
    await until(lambda: _hears_again(two))
    assert not wait.done()
    assert await one.settle(owner(1), claims("a", "b"), CREATED, NOW)
    await ended(wait)


async def _hears_again(store: SharedStore) -> bool:
    return store._endings._connection == 2


async def test_a_connection_that_tells_nothing_is_replaced(
    gateway: Open, backend: Backend, prefix: str, looks: Callable[..., None]
) -> None:
    """An end that was not told, and was found by looking, shows it."""
    looks(hearing=0.02, connect=0.02)
    one, two = await gateway(), await gateway()
    await take(one, ("a", "b"), 1)
    wait, other = waiting(two, "a", 1), waiting(two, "other", 2)
    await until(lambda: is_awaited(backend, prefix, "a"))
    await ended(other)
    await silently_free(backend, prefix, "a")
    await ended(wait)
    await take(one, ("c",), 3)
    wait = waiting(two, "c", 3)
    await until(lambda: _hears_again(two))
    assert await one.settle(owner(3), claims("c"), CREATED, NOW)
    await ended(wait)


async def silently_free(backend: Backend, prefix: str, name: str) -> None:
    """Free a claim behind the backs of all gateways."""
    if backend == "valkey":
        with valkey.server().client() as client:
            client.delete(b"{%b}:c:%b" % (prefix.encode(), claim(name).fingerprint))
    else:
        statement = f'DELETE FROM "{prefix}".claims WHERE fingerprint = %s'
        await asyncio.to_thread(postgresql.server().ask, statement, claim(name).fingerprint)


async def test_a_claim_that_is_just_being_changed_is_marked_later(looks: Callable[..., None]) -> None:
    """Nobody waits for its lock, and nobody takes it for free."""
    looks(silent=0.02)
    await asyncio.to_thread(postgresql.server)
    prefix = postgresql.new_prefix()
    one, two = [(await open_on_postgresql(prefix)).store for _ in range(2)]
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
