# How those that wait hear of the end of another gateway's operation: told by the server, or by looking.

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.model import FREE, Settlement
from gateway.stores.shared import SharedStore
from tests.support import postgresql, valkey
from tests.support.endings import UNHURRIED, ended, is_awaited, overheard, waiting
from tests.support.postgresql_store import until
from tests.support.shared import BACKENDS, Backend, deafen, listeners
from tests.support.stores import (
    CREATED,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    open_on_postgresql,
    open_shared,
    owner,
    take,
)
from tests.support.tally import PATIENCE

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

    async def opened(**changes: Any) -> SharedStore:
        store = (await opener(prefix, **{**UNHURRIED, **changes})).store
        assert isinstance(store, SharedStore)
        return store

    return opened


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
