# A store that takes its time: whoever waits is told in time, nothing stays taken that nobody was told of, nothing that
# was settled is forgotten, and whatever an error was, there is a next batch. SQLite's own thread is what is kept busy;
# that time passes is said by looking at the line, as its timer does, so that no test depends on how fast a machine is.

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.errors import StoreBusy, StoreError
from gateway.model import FREE, Held, Purged, Reserved, Settlement, State
from gateway.stores.base import Store
from gateway.stores.open import open_sqlite
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import _TICKS, MAX_ROWS
from tests.support.stores import (
    CREATED,
    KEY,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    left_open,
    names_of,
    open_store,
    owner,
    state_of,
    take,
)
from tests.support.tally import PATIENCE

LATE = f"the store took longer than {PATIENCE:g} s to commit"
MOST = 10
TOO_MUCH = 2**64
"""A time that SQLite cannot hold: an OverflowError, when it is about to be written."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "gateway.db"


@pytest.fixture
async def store(path: Path) -> Store:
    """A store for which not many wait at once."""
    opened = await open_sqlite(str(path), "process", KEY, NOW, commit_timeout=PATIENCE, max_waiting=MOST)
    left_open.append(opened.store)
    return opened.store


@contextlib.asynccontextmanager
async def busy(store: Store) -> AsyncIterator[None]:
    """Keep the thread that writes from getting to anything: as far as the store can tell, its disk hangs."""
    database = cast("SqliteStore", store)._database
    is_over = threading.Event()
    await database.create_function("wait_until_over", 0, lambda: is_over.wait(PATIENCE))
    waiting = asyncio.create_task(cast("Any", database.execute_fetchall("SELECT wait_until_over()")))
    await asyncio.sleep(0)  # it is queued for the thread
    try:
        yield
    finally:
        is_over.set()
        await waiting


async def until_late(store: Store) -> None:
    """Let so much time pass that whoever waits by now has waited for too long."""
    await asyncio.sleep(0)  # the writer takes a batch, if it can
    queue = cast("SqliteStore", store)._queue
    for _ in range(_TICKS + 1):
        if queue._timer is not None:
            queue._timer.cancel()  # this tick comes in its place; each starts a timer, and all would fire together
        queue._tick()


async def told(answer: Awaitable[Any]) -> str:
    """Why a call failed."""
    with pytest.raises(StoreError) as raised:
        async with asyncio.timeout(PATIENCE):
            await answer
    return str(raised.value)


class TestReserve:
    async def test_one_that_is_not_committed_in_time_fails_and_takes_nothing(self, store: Store) -> None:
        """The first one's batch is under way, and ends with a commit after all; the others have not had theirs."""
        async with busy(store):
            first = store.reserve(claims("a", "b"), owner(1), NOW)
            await asyncio.sleep(0)  # the writer takes it
            others = [store.reserve(claims(f"c{n}"), owner(2 + n), NOW) for n in range(3)]
            await until_late(store)
            assert {await told(answer) for answer in (first, *others)} == {LATE}
        for name in ("a", "b", "c0", "c1", "c2"):
            assert await state_of(store, name) is None, name
        for number in range(1, 5):
            assert not await store.settle(owner(number), claims("a", "b"), CREATED, NOW), "whoever failed holds nothing"

    async def test_what_it_took_is_free_before_anybody_else_has_a_turn(self, store: Store) -> None:
        async with busy(store):
            first = store.reserve(claims("a", "b"), owner(1), NOW)
            await asyncio.sleep(0)
            await until_late(store)
            assert await told(first) == LATE
            second = store.reserve(claims("b"), owner(2), NOW)
        assert await second == Reserved()

    async def test_a_conflict_that_is_found_too_late_frees_nothing_of_its_holders(self, store: Store) -> None:
        await take(store, ("a",), 1)
        async with busy(store):
            met = store.reserve(claims("a", "b"), owner(2), NOW)
            await until_late(store)
            assert await told(met) == LATE
        assert await state_of(store, "a") is State.IN_FLIGHT
        assert await state_of(store, "b") is None
        assert await store.settle(owner(1), claims("a"), CREATED, NOW)

    async def test_a_cancelled_one_is_freed_once_by_whoever_cancelled_it(self, store: Store) -> None:
        """What the handler does when a client leaves while its create waits, and the store is late besides."""
        async with busy(store):
            asyncio.ensure_future(store.reserve(claims("a"), owner(1), NOW)).cancel()
            settled = store.settle(owner(1), claims("a"), FREE, NOW)
            await until_late(store)
            assert await told(settled) == LATE
        await take(store, ("a",), 2)
        assert await store.settle(owner(2), claims("a"), CREATED, NOW)

    async def test_what_is_known_to_be_held_is_answered_all_the_same(self, store: Store) -> None:
        await create(store, "a", 1)
        assert names_of(await store.reserve(claims("a"), owner(2), NOW)) == ["entry-a"]  # from now on it is known
        async with busy(store):
            assert names_of(await store.reserve(claims("a"), owner(3), NOW)) == ["entry-a"]


class TestSettle:
    async def test_one_that_is_not_written_in_time_says_so_and_is_written_later(self, store: Store) -> None:
        """Both the one whose batch is under way, and those that wait for theirs."""
        for name in ("a", "b", "c"):
            await take(store, (name,), ord(name))
        async with busy(store):
            first = store.settle(owner(ord("a")), claims("a"), CREATED, NOW)
            await asyncio.sleep(0)
            second = store.settle(owner(ord("b")), claims("b"), UNKNOWN, NOW)
            third = store.settle(owner(ord("c")), claims("c"), FREE, NOW)
            await until_late(store)
            assert {await told(settled) for settled in (first, second, third)} == {LATE}
        async with asyncio.timeout(PATIENCE):
            while [await state_of(store, name) for name in "abc"] != [State.CREATED, State.UNKNOWN, None]:
                pass
        assert not await store.settle(owner(ord("b")), claims("b"), FREE, NOW), "it is written once"

    async def test_it_is_written_even_if_the_store_is_closed_next(self, store: Store, path: Path) -> None:
        await take(store, ("a",), 1)
        async with busy(store):
            under_way = store.reserve(claims("b"), owner(2), NOW)
            await asyncio.sleep(0)
            settled = store.settle(owner(1), claims("a"), CREATED, NOW)
            await until_late(store)
            assert await told(under_way) == await told(settled) == LATE
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0)
        await closing
        again = await open_store(path)
        assert (await state_of(again.store, "a"), await state_of(again.store, "b")) == (State.CREATED, None)

    async def test_one_that_can_never_be_written_keeps_no_other_from_it(self, store: Store) -> None:
        """All three are tried together first; what is wrong with one of them is no error of SQLite's."""
        for number in range(3):
            await take(store, (number,), number)
        settlements = [CREATED, Settlement(State.CREATED, TOO_MUCH), CREATED]
        settled = [store.settle(owner(n), claims(n), settlements[n], NOW) for n in range(3)]
        assert {await told(each) for each in settled} == {"unexpected OverflowError"}
        async with asyncio.timeout(PATIENCE):
            while [await state_of(store, n) for n in range(3)] != [State.CREATED, State.IN_FLIGHT, State.CREATED]:
                pass


async def test_whoever_asks_for_something_else_is_told_in_time_too(store: Store) -> None:
    asked: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.get(claim("a").fingerprint, NOW),
        lambda: store.scan(b"", 10, NOW),
        lambda: store.forget(claim("a").fingerprint),
        lambda: store.purge(NOW, 10),
        lambda: store.ping(NOW),
    ]
    async with busy(store):
        telling = asyncio.gather(*[told(ask()) for ask in asked])
        await asyncio.sleep(0)  # each of them asks
        await until_late(store)
        assert set(await telling) == {LATE}
    assert await asyncio.gather(*[ask() for ask in asked]) == [None, [], False, Purged(0, 0), None]


class TestMany:
    async def test_beyond_so_many_reservations_one_more_fails_at_once_and_no_settlement_ever(
        self, store: Store
    ) -> None:
        held = 3 * MOST
        for number in range(held):
            await take(store, (number,), number)
        async with busy(store):
            first = store.reserve(claims("first"), owner(1000), NOW)
            await asyncio.sleep(0)  # under way: it waits for the store no more
            waiting = [store.reserve(claims(f"new {n}"), owner(2000 + n), NOW) for n in range(MOST)]
            one_more = asyncio.ensure_future(store.reserve(claims("one more"), owner(3000), NOW))
            assert one_more.done()
            assert await told(one_more) == "10 creates wait for the store already"
            settled = [store.settle(owner(n), claims(n), CREATED, NOW) for n in range(held)]
        assert [await answer for answer in (first, *waiting)] == [Reserved()] * (1 + MOST)
        assert all([await answer for answer in settled])
        assert await state_of(store, "one more") is None

    async def test_once_the_first_has_waited_for_half_its_time_more_fail_at_once(self, store: Store) -> None:
        """The store takes less than comes: whoever is let in shall have his batch in time."""
        async with busy(store):
            first = store.reserve(claims("first"), owner(1), NOW)
            await asyncio.sleep(0)  # under way
            waiting = store.reserve(claims("waiting"), owner(2), NOW)
            for _ in range(_TICKS // 2 + 1):
                cast("SqliteStore", store)._queue._tick()
            late = asyncio.ensure_future(store.reserve(claims("late"), owner(3), NOW))
            assert late.done()
            assert await told(late) == f"more creates wait for the store than it can commit within {PATIENCE:g} s"
            assert isinstance(late.exception(), StoreBusy), "it commits: that is no failure of the store's"
        assert [await first, await waiting] == [Reserved(), Reserved()]
        assert await store.reserve(claims("late"), owner(3), NOW) == Reserved()

    async def test_a_store_whose_turn_takes_too_long_is_not_busy_but_fails(self, store: Store) -> None:
        async with busy(store):
            store.reserve(claims("first"), owner(1), NOW)
            await until_late(store)
            for number in range(MOST):
                store.reserve(claims(f"waiting {number}"), owner(2 + number), NOW)
            one_more = asyncio.ensure_future(store.reserve(claims("one more"), owner(100), NOW))
            assert await told(one_more) == "10 creates wait for the store already"
            assert not isinstance(one_more.exception(), StoreBusy)

    async def test_those_that_were_dropped_wait_no_more(self, store: Store) -> None:
        async with busy(store):
            for round_ in range(3):
                waiting = [store.reserve(claims(f"{round_}-{n}"), owner(n), NOW) for n in range(MOST)]
                await until_late(store)
                assert {await told(answer) for answer in waiting} == {LATE}
        assert await store.reserve(claims("new"), owner(1), NOW) == Reserved()

    async def test_those_that_had_their_turn_wait_no_more(self, store: Store) -> None:
        for round_ in range(3):
            answers = [store.reserve(claims(f"{round_}-{n}"), owner(round_ * 100 + n), NOW) for n in range(MOST)]
            assert [await answer for answer in answers] == [Reserved()] * MOST

    async def test_however_many_settlements_are_late_others_commit_batchs_with_them(self, store: Store) -> None:
        """Each of them takes a batch of its own; a create need not wait until all have had theirs."""
        batches = 16
        owned = [tuple(range(number * MAX_ROWS, (number + 1) * MAX_ROWS)) for number in range(batches)]
        for number, names in enumerate(owned):
            await take(store, names, number)
        async with busy(store):
            settled = [store.settle(owner(n), claims(*names), CREATED, NOW) for n, names in enumerate(owned)]
            await until_late(store)
            assert {await told(answer) for answer in settled} == {LATE}
            new = store.reserve(claims("new"), owner(batches), NOW)
        assert await new == Reserved()
        states = Counter(record.state for record in await store.scan(b"", batches * MAX_ROWS + 1, NOW))
        assert states[State.IN_FLIGHT] > 4 * MAX_ROWS, "the create waited for most of them"
        async with asyncio.timeout(PATIENCE):
            while await state_of(store, owned[-1][0]) is not State.CREATED:
                pass


class TestErrors:
    """What is no error of SQLite's ends one batch, not the writer."""

    async def test_a_reservation_that_cannot_be_written_takes_nothing(self, store: Store) -> None:
        assert await told(store.reserve(claims("a"), owner(1), TOO_MUCH)) == "unexpected OverflowError"
        assert await state_of(store, "a") is None
        await create(store, "a", 2)
        assert isinstance(await store.reserve(claims("a"), owner(3), NOW), Held)

    async def test_nor_do_those_that_share_its_turn(self, store: Store) -> None:
        await create(store, "held", 1)
        bad = store.reserve(claims("a"), owner(2), TOO_MUCH)
        good = store.reserve(claims("b"), owner(3), NOW)
        met = store.reserve(claims("held"), owner(4), NOW)
        assert await told(bad) == await told(good) == "unexpected OverflowError"
        assert names_of(await met) == ["entry-held"]
        assert [await state_of(store, name) for name in ("a", "b")] == [None, None]
        await create(store, "b", 5)

    async def test_a_question_that_cannot_be_asked_harms_nobody(self, store: Store) -> None:
        await create(store, "held", 2)
        assert await told(store.purge(TOO_MUCH, 10)) == "unexpected OverflowError"
        assert await told(store.ping(TOO_MUCH)) == "unexpected OverflowError"
        await create(store, "a", 1)


async def test_time_passes_by_itself(path: Path) -> None:
    """Neither the batch under way nor who waits behind it is kept for longer than was said, whatever comes."""
    opened = await open_sqlite(str(path), "process", KEY, NOW, commit_timeout=0.05)
    left_open.append(opened.store)
    async with busy(opened.store):
        for number in range(3):
            reserved = opened.store.reserve(claims(number), owner(number), NOW)
            assert await told(reserved) == "the store took longer than 0.05 s to commit"


async def test_whoever_came_since_has_not_waited_for_too_long(store: Store) -> None:
    """A look fails those who came so many looks ago, and nobody else."""
    line = cast("SqliteStore", store)._queue
    async with busy(store):
        waiting = []
        for number in range(_TICKS):
            if number < MOST:
                waiting.append(asyncio.ensure_future(store.reserve(claims(number), owner(number), NOW)))
                await asyncio.sleep(0)
            line._tick()
        assert not any(answer.done() for answer in waiting)
        line._tick()
        assert [answer.done() for answer in waiting] == [True] + [False] * (MOST - 1)
        assert await told(waiting[0]) == LATE
    assert [await answer for answer in waiting[1:]] == [Reserved()] * (MOST - 1)
