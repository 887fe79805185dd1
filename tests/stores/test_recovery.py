# A server goes back in time, as after a failover to a replica that lagged: what gateways put back, and what of what is
# there by then stays. The server is the one of all tests; only what the stores have on it is set back.

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.config.valkey_url import ValkeyStoreUrl, parse_valkey
from gateway.errors import StoreError
from gateway.model import FREE, Held, Reserved, State
from gateway.stores.base import Store
from gateway.stores.demands import Demands
from gateway.stores.open_valkey import open_valkey
from gateway.stores.shared import SharedStore
from tests.support import postgresql, valkey
from tests.support.postgresql_store import take_once_it_can, until
from tests.support.relay import Relay
from tests.support.shared import BACKENDS, own_server
from tests.support.stores import (
    CREATED,
    HOUR,
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
    state_of,
    take,
)

GRACE = 0.4


class Past(Protocol):
    """The server's data."""

    async def remember(self) -> None:
        """Remember it as it is."""

    async def return_to(self) -> None:
        """Set it back, under stores that know another one."""


class _Valkey:
    def __init__(self, prefix: str) -> None:
        self._pattern = b"{" + prefix.encode() + b"}:*"
        self._server = b"{" + prefix.encode() + b"}:server"
        self._kept: dict[bytes, bytes] = {}

    def _keys(self, client: Any) -> list[bytes]:
        return list(client.scan_iter(self._pattern))

    async def remember(self) -> None:
        with valkey.server().client() as client:
            self._kept = {key: client.dump(key) for key in self._keys(client)}

    async def return_to(self) -> None:
        with valkey.server().client() as client, client.pipeline() as batch:
            batch.delete(*self._keys(client))
            for key, data in self._kept.items():
                batch.restore(key, 0, data)
            batch.set(self._server, b"another one")
            batch.execute()


class _Postgresql:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    async def _run(self, *statements: str) -> None:
        await asyncio.to_thread(postgresql.server().ask, "; ".join(statements).replace("SCHEMA", f'"{self._prefix}"'))

    async def remember(self) -> None:
        await self._run("CREATE TABLE SCHEMA.past AS SELECT * FROM SCHEMA.claims")

    async def return_to(self) -> None:
        await self._run(
            "DELETE FROM SCHEMA.claims",
            "INSERT INTO SCHEMA.claims SELECT * FROM SCHEMA.past",
            "UPDATE SCHEMA.facts SET value = 'another one' WHERE name = 'server'",
        )


class Pair:
    """Two gateways' stores, and the data that they share."""

    def __init__(self, one: Store, two: Store, past: Past) -> None:
        self.one, self.two, self.past = one, two, past

    async def go_back(self) -> None:
        """Set the server back, and return once both know that it is whole again."""
        await self.past.return_to()
        await asyncio.gather(take_once_it_can(self.one, "probe 1"), take_once_it_can(self.two, "probe 2"))


@pytest.fixture(params=BACKENDS)
async def pair(request: pytest.FixtureRequest) -> Pair:
    prefix = valkey.new_prefix()
    if request.param == "valkey":
        one, two = [(await open_shared(prefix, failover_grace=GRACE)).store for _ in range(2)]
        return Pair(one, two, _Valkey(prefix))
    one, two = [(await open_on_postgresql(prefix, failover_grace=GRACE)).store for _ in range(2)]
    return Pair(one, two, _Postgresql(prefix))


async def test_what_was_created_and_what_is_in_flight_come_back(pair: Pair) -> None:
    await pair.past.remember()
    await create(pair.one, "created", 1)
    await take(pair.two, ("in flight",), 2)
    await pair.go_back()
    assert await state_of(pair.two, "created") is State.CREATED
    assert await state_of(pair.one, "in flight") is State.IN_FLIGHT
    assert await pair.two.settle(owner(2), claims("in flight"), CREATED, NOW)


@pytest.mark.parametrize("second", ["one", "two"])
async def test_what_was_free_again_is_put_back_for_who_had_it_last(pair: Pair, second: str) -> None:
    """The server has it in flight for the first one, which the second one must not take for true."""
    await take(pair.one, ("a",), 1)
    await pair.past.remember()
    assert await pair.one.settle(owner(1), claims("a"), FREE, NOW)
    await create(getattr(pair, second), "a", 2)
    await pair.go_back()
    record = await pair.one.get(claim("a").fingerprint, NOW)
    assert record is not None
    assert (record.owner, record.state) == (owner(2), State.CREATED)


async def test_who_comes_late_does_not_free_what_another_one_has_created_since(pair: Pair) -> None:
    await take(pair.one, ("a",), 1)
    await pair.past.remember()
    assert await pair.one.settle(owner(1), claims("a"), FREE, NOW)
    await create(pair.two, "a", 2)
    await _alone(pair.one)
    await pair.past.return_to()
    await take_once_it_can(pair.two, "probe 2")
    await take_once_it_can(pair.one, "probe 1")
    record = await pair.two.get(claim("a").fingerprint, NOW)
    assert record is not None
    assert (record.owner, record.state) == (owner(2), State.CREATED)


async def test_what_had_lapsed_when_it_was_created_anew_is_put_back_anew(pair: Pair) -> None:
    await create(pair.one, "a", 1)
    await pair.past.remember()
    later = CREATED.expires_at + HOUR
    await take(pair.two, ("a",), 2, later)
    await pair.go_back()
    assert await state_of(pair.one, "a", later) is State.IN_FLIGHT
    assert await pair.two.settle(owner(2), claims("a"), CREATED, later)


async def test_what_was_forgotten_does_not_come_back(pair: Pair) -> None:
    await create(pair.one, "a", 1)
    await create(pair.one, "b", 2)
    await pair.one.forget(claim("b").fingerprint)
    await create(pair.one, "b", 3)
    await pair.past.remember()
    assert await pair.one.forget(claim("a").fingerprint)
    await pair.go_back()
    assert await state_of(pair.one, "a") is None
    assert await state_of(pair.one, "b") is State.CREATED


async def test_what_another_gateway_has_found_out_stays(pair: Pair) -> None:
    await create(pair.one, "a", 1, UNKNOWN)
    assert await pair.two.resettle(owner(1), claims("a"), State.UNKNOWN, CREATED, NOW)
    await pair.past.remember()
    await pair.go_back()
    assert await state_of(pair.one, "a") is State.CREATED


# What a network can do to Valkey; to PostgreSQL see test_postgresql_peers.py.


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(valkey.server().port) as found:
        yield found


@pytest.fixture
async def far(relay: Relay) -> Pair:
    """The first store is behind the relay, and sends nothing by itself."""
    prefix = valkey.new_prefix()
    url = ValkeyStoreUrl((("127.0.0.1", relay.port),))
    one = (await open_valkey(url, Demands("process"), KEY, prefix=prefix, failover_grace=GRACE)).store
    left_open.append(one)
    await _alone(one)
    two = (await open_shared(prefix, failover_grace=GRACE)).store
    return Pair(one, two, _Valkey(prefix))


async def test_a_settlement_whose_answer_was_lost_is_put_back_too(far: Pair, relay: Relay) -> None:
    await far.past.remember()
    await take(far.one, ("a", "b"), 1)
    relay.change(lagging={"client"})
    with pytest.raises(StoreError):
        await far.one.settle(owner(1), claims("a", "b"), CREATED, NOW)
    assert await state_of(far.two, "a") is State.CREATED
    relay.change()
    await until(lambda: _has_written_all(far.one))
    await far.go_back()
    assert await state_of(far.two, "a") is State.CREATED
    assert await state_of(far.two, "b") is State.CREATED


async def test_a_reservation_that_comes_late_holds_nothing(far: Pair, relay: Relay) -> None:
    """Nobody would ever settle it."""
    relay.change(stalled={"client"})
    with pytest.raises(StoreError):
        await far.one.reserve(claims("a"), owner(1), NOW)
    relay.hold(is_late=True)
    relay.change()
    await until(lambda: _has_written_all(far.one))
    relay.hold(is_late=False)
    for _ in range(2):  # by then the server has seen what came late
        await far.two.ping(NOW)
    assert isinstance(await far.two.reserve(claims("a"), owner(2), NOW), Reserved)


async def test_a_server_that_has_restarted_between_two_calls_is_looked_at(tmp_path: Path) -> None:
    """Its data is older, and says that this very server was whole."""
    async with own_server("valkey") as server:
        url = parse_valkey(server.url, "valkey")
        store = (await open_valkey(url, Demands("process"), KEY, failover_grace=GRACE)).store
        left_open.append(store)
        await _alone(store)
        await asyncio.to_thread(shutil.copytree, server.folder, tmp_path / "older")
        await create(store, "a", 1)
        await server.stop()
        await server.lose()
        await asyncio.to_thread(shutil.copytree, tmp_path / "older", server.folder)
        await server.start()
        found: list[Reserved | Held] = []

        async def attempt() -> bool:
            with contextlib.suppress(StoreError):
                found.append(await store.reserve(claims("a"), owner(2), NOW))
            return bool(found)

        await until(attempt)
        assert isinstance(found[0], Held)


async def _alone(store: Store) -> None:
    """Stop its heartbeat."""
    assert isinstance(store, SharedStore)
    store._beat.cancel()
    await asyncio.wait([store._beat])
    await store.ping(NOW)


async def _has_written_all(store: Store) -> bool:
    with contextlib.suppress(StoreError):
        await store.ping(NOW)
        return "0 to retry" in repr(store)
    return False
