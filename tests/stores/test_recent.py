# What the durable store answers from memory: nothing but what its file would have said.

from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.model import FREE, Claim, Held, Record, Reserved, Settlement, State
from gateway.stores.base import Store
from gateway.stores.memory import MemoryStore
from gateway.stores.recent import Recent
from tests.support.stores import store_of

HOUR = 3_600_000
A, B, C, D = (letter * 16 for letter in (b"a", b"b", b"c", b"d"))


def claim(number: int) -> Claim:
    return Claim(number.to_bytes(32, "big"), "rule", "entry", HOUR)


def record(number: int, state: State = State.CREATED, expires_at: int | None = HOUR) -> Record:
    return Record(number.to_bytes(32, "big"), b"owner", state, "rule", "entry", 0, expires_at, HOUR)


def test_only_what_is_known_of_every_claim_is_answered() -> None:
    recent = Recent()
    recent.remember([record(1), record(2)])
    assert recent.find_held([claim(1), claim(2)], 1) == Held(((claim(1), record(1)), (claim(2), record(2))))
    assert recent.find_held([claim(1), claim(3)], 1) is None


def test_what_the_clock_has_freed_is_not_answered() -> None:
    recent = Recent()
    recent.remember([record(1)])
    assert recent.find_held([claim(1)], HOUR - 1) is not None
    assert recent.find_held([claim(1)], HOUR) is None


def test_what_is_in_flight_is_not_kept() -> None:
    recent = Recent()
    recent.remember([record(1, State.IN_FLIGHT, None)])
    assert recent.find_held([claim(1)], 0) is None


def test_the_oldest_goes_when_there_are_too_many() -> None:
    recent = Recent(max_records=2)
    recent.remember([record(1), record(2)])
    recent.remember([record(1)])
    recent.remember([record(3)])
    assert [recent.find_held([claim(number)], 0) is not None for number in (1, 2, 3)] == [True, False, True]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_claim_that_the_operator_freed_is_free_however_often_it_was_met(store: Store, times: int) -> None:
    created = Settlement(State.CREATED, 10 * HOUR)
    await store.reserve([claim(1)], A, 0)
    await store.settle(A, [claim(1)], created, 0)
    for _ in range(times):
        assert isinstance(await store.reserve([claim(1)], B, 1), Held)
    assert await store.forget(claim(1).fingerprint)
    assert isinstance(await store.reserve([claim(1)], C, 2), Reserved)
    await store.settle(C, [claim(1)], FREE, 3)
    assert isinstance(await store.reserve([claim(1)], D, 4), Reserved)


async def test_what_was_met_again_and_again_is_free_when_its_time_is_over(store: Store) -> None:
    await store.reserve([claim(1)], A, 0)
    await store.settle(A, [claim(1)], Settlement(State.CREATED, HOUR), 0)
    for now in (1, 2, HOUR - 1):
        assert isinstance(await store.reserve([claim(1)], B, now), Held)
    assert isinstance(await store.reserve([claim(1)], B, HOUR), Reserved)


async def test_what_is_said_at_once_is_what_a_reservation_would_meet(store: Store) -> None:
    wanted = [claim(1)]
    assert store.find_held(wanted, 0) is None
    await store.reserve(wanted, A, 0)
    assert store.find_held(wanted, 0) is None, "in flight it may end at any moment"
    await store.settle(A, wanted, Settlement(State.CREATED, HOUR), 0)
    met = await store.reserve(wanted, B, 1)
    assert isinstance(met, Held)
    assert store.find_held(wanted, 2) == (None if isinstance(store, MemoryStore) else met)
    assert store.find_held([claim(1), claim(2)], 2) is None
    assert store.find_held(wanted, HOUR) is None


async def test_a_store_that_closes_says_nothing_at_once(tmp_path: Path) -> None:
    async with store_of("process", tmp_path / "gateway.db") as store:
        await store.reserve([claim(1)], A, 0)
        await store.settle(A, [claim(1)], Settlement(State.CREATED, HOUR), 0)
        await store.reserve([claim(1)], B, 1)
        assert store.find_held([claim(1)], 1) is not None
        await store.close()
        assert store.find_held([claim(1)], 1) is None
        with pytest.raises(StoreError):
            await store.reserve([claim(1)], C, 1)
