# What gateways that share a store answer from memory: what the server has just said of created claims, and for a moment
# only.

import asyncio
import random

import pytest

from gateway.errors import StoreError
from gateway.model import FREE, Change, Claim, Held, Record, Reserved, Settlement, State
from gateway.stores import confirmed
from gateway.stores.base import Store
from gateway.stores.confirmed import MAX_AGE, Confirmed
from tests.support import postgresql, valkey
from tests.support.postgresql_store import until
from tests.support.shared import BACKENDS, Backend, open_on, own_server
from tests.support.stores import (
    CREATED,
    HOUR,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    names_of,
    open_on_postgresql,
    open_shared,
    owner,
    take,
)


def record(name: str, state: State = State.CREATED, expires_at: int | None = NOW + HOUR) -> Record:
    return Record(claim(name).fingerprint, owner(1), state, "rule", "entry", NOW, expires_at, HOUR)


class TestConfirmed:
    def test_only_what_is_known_of_every_claim_is_answered(self) -> None:
        known = Confirmed()
        known.remember([record("a"), record("b")], 5.0)
        found = known.find_held(claims("b", "a"), NOW, 5.0)
        assert found == Held(((claim("b"), record("b")), (claim("a"), record("a"))))
        assert known.find_held(claims("a", "c"), NOW, 5.0) is None

    def test_setting_the_clock_back_does_not_make_it_valid_again(self) -> None:
        known = Confirmed()
        known.remember([record("a")], 5.0)
        known.advance_clock(NOW + HOUR)  # a purge may have removed it
        assert known.find_held(claims("a"), NOW, 5.0) is None

    def test_it_is_known_for_a_moment_only(self) -> None:
        known = Confirmed()
        known.remember([record("a")], 5.0)
        known.remember([record("b")], 5.0 + MAX_AGE / 2)
        assert known.find_held(claims("a", "b"), NOW, 4.99 + MAX_AGE) is not None
        assert known.find_held(claims("a", "b"), NOW, 5.0 + MAX_AGE) is None
        assert known.find_held(claims("b"), NOW, 5.0 + MAX_AGE) is not None
        assert MAX_AGE <= 1, "the documents say so"

    def test_what_has_expired_is_not_answered(self) -> None:
        known = Confirmed()
        known.remember([record("a", expires_at=NOW + 1)], 5.0)
        assert known.find_held(claims("a"), NOW, 5.0) is not None
        assert known.find_held(claims("a"), NOW + 1, 5.0) is None

    def test_nothing_is_kept_that_changes_by_itself(self) -> None:
        known = Confirmed()
        known.remember([record("a", State.IN_FLIGHT, None), record("b", State.UNKNOWN)], 5.0)
        assert known.find_held(claims("a"), NOW, 5.0) is known.find_held(claims("b"), NOW, 5.0) is None

    def test_the_oldest_goes_when_there_are_too_many(self) -> None:
        known = Confirmed(max_records=2)
        for name in ("a", "b", "a", "c"):
            known.remember([record(name)], 5.0)
        assert [known.find_held(claims(name), NOW, 5.0) is not None for name in "abc"] == [True, False, True]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
async def two(backend: Backend) -> tuple[Store, Store]:
    """The stores of two gateways."""
    opener = open_shared if backend == "valkey" else open_on_postgresql
    prefix = valkey.new_prefix() if backend == "valkey" else postgresql.new_prefix()
    return (await opener(prefix)).store, (await opener(prefix)).store


def lasting(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have it known for longer or shorter."""
    monkeypatch.setattr(confirmed, "MAX_AGE", seconds)


async def test_what_another_gateway_freed_is_refused_until_its_moment_is_over(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    lasting(monkeypatch, 3600.0)
    await create(one, "a", 1)
    met = await other.reserve(claims("a"), owner(2), NOW)
    assert isinstance(met, Held)
    assert other.find_held(claims("a"), NOW) == met
    assert await one.forget(claim("a").fingerprint)
    assert one.find_held(claims("a"), NOW) is None
    assert other.find_held(claims("a"), NOW) == met
    assert other.find_held(claims("a"), NOW + 24 * HOUR) is None
    lasting(monkeypatch, 0.0)
    assert other.find_held(claims("a"), NOW) is None
    await take(other, ("a",), 3)


async def test_what_is_in_flight_or_unknown_is_asked_about_each_time(two: tuple[Store, Store]) -> None:
    one, other = two
    await take(one, ("a",), 1)
    await create(one, "b", 2, UNKNOWN)
    for name in ("a", "b"):
        assert isinstance(await other.reserve(claims(name), owner(3), NOW), Held)
        assert other.find_held(claims(name), NOW) is None


async def changed(store: Store, change: Change) -> bool:
    """Have the end of an operation without claims change that of another one."""
    await store.settle(owner(5), (), Settlement(None, others=(change,)), NOW)
    return True


@pytest.mark.parametrize("way", ["forget", "resettle", "others"])
async def test_what_a_gateway_frees_it_takes_for_free_at_once(
    two: tuple[Store, Store], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a create that met it is answered meanwhile."""
    lasting(monkeypatch, 3600.0)
    one, other = two
    await create(one, "a", 1)
    await other.reserve(claims("a"), owner(2), NOW)
    met = other.reserve(claims("a"), owner(3), NOW)
    freed = other.forget(claim("a").fingerprint)
    if way == "resettle":
        freed.close()
        freed = other.resettle(owner(1), claims("a"), State.CREATED, FREE, NOW)
    elif way == "others":
        freed.close()
        freed = changed(other, Change(claim("a").fingerprint, owner(1), State.CREATED, FREE))
    assert await freed
    assert names_of(await met) == ["entry-a"]
    assert other.find_held(claims("a"), NOW) is None
    await take(other, ("a",), 4)


async def test_what_turns_out_not_to_be_held_by_its_owner_is_asked_about_again(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting(monkeypatch, 3600.0)
    one, other = two
    await create(one, "a", 1)
    await other.reserve(claims("a"), owner(2), NOW)
    assert await one.resettle(owner(1), claims("a"), State.CREATED, FREE, NOW)
    await create(one, "a", 3)
    assert not await other.resettle(owner(1), claims("a"), State.CREATED, FREE, NOW)
    assert other.find_held(claims("a"), NOW) is None
    found = await other.reserve(claims("a"), owner(4), NOW)
    assert isinstance(found, Held)
    assert found.conflicts[0][1].owner == owner(3)


async def test_a_store_that_closes_says_nothing(two: tuple[Store, Store]) -> None:
    one, other = two
    await create(one, "a", 1)
    await other.reserve(claims("a"), owner(2), NOW)
    await other.close()
    assert other.find_held(claims("a"), NOW) is None


async def test_racers_that_free_what_was_created_never_hold_a_claim_together(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each has its turn: nobody is refused for ever."""
    lasting(monkeypatch, 0.01)
    holding: set[Claim] = set()

    async def race(number: int) -> None:
        chosen, store, turns = random.Random(number), two[number % 2], 0
        while turns < 5:
            wanted = claims(*chosen.sample(range(6), chosen.randint(1, 2)))
            token = owner(number * 1_000_000 + chosen.randrange(1_000_000))
            found = store.find_held(wanted, NOW) or await store.reserve(wanted, token, NOW)
            if isinstance(found, Held):
                await asyncio.sleep(0)
                continue
            assert found == Reserved()
            assert not holding & {*wanted}
            holding.update(wanted)
            assert await store.settle(token, wanted, CREATED, NOW)
            holding.difference_update(wanted)
            assert await two[turns % 2].resettle(token, wanted, State.CREATED, FREE, NOW)
            turns += 1

    await asyncio.gather(*[race(number) for number in range(12)])
    assert list(await two[0].scan(b"", 10, NOW)) == []


async def test_nothing_is_answered_for_a_server_that_is_gone(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    lasting(monkeypatch, 3600.0)
    async with own_server(backend) as server:
        store = await open_on(backend, server.url)
        await create(store, "a", 1)
        await store.reserve(claims("a"), owner(2), NOW)
        assert store.find_held(claims("a"), NOW) is not None
        await server.stop()

        async def is_noticed() -> bool:
            return store.find_held(claims("a"), NOW) is None

        await until(is_noticed)  # its heartbeat is not answered
        with pytest.raises(StoreError):
            await store.reserve(claims("a"), owner(3), NOW)
        assert store.find_held(claims("a"), NOW) is None
        await store.close()
