# Claims of other operations that change with a settlement, and claims that are added, in a SQLite store: late, in vain,
# and beside its cache. What all stores have in common is in test_linked.py and test_add.py.

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from gateway.errors import StoreError
from gateway.model import FREE, Change, Held, Kept, Record, Reserved, Settlement, State
from gateway.stores.adding import ADDED_AT_ONCE
from gateway.stores.base import Store
from gateway.stores.open import open_sqlite
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import MAX_ROWS
from tests.stores.test_write_queue import LATE, TOO_MUCH, busy, told, until_late
from tests.support.counts import miscounted_in
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
    open_store,
    owner,
    state_of,
    take,
)
from tests.support.tally import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "gateway.db"


@pytest.fixture
async def store(path: Path) -> Store:
    """One in which "old" is created, "lost" unknown, and "new" in flight."""
    opened = await open_sqlite(str(path), "process", KEY, NOW, commit_timeout=PATIENCE)
    left_open.append(opened.store)
    await create(opened.store, "old", 1)
    await create(opened.store, "lost", 2, UNKNOWN)
    await take(opened.store, ("new",), 3)
    return opened.store


def change(name: str | int, number: int, was: State, to: Settlement) -> Change:
    return Change(claim(name).fingerprint, owner(number), was, to)


OLD_FREE = change("old", 1, State.CREATED, FREE)
MOVED = msgspec.structs.replace(CREATED, others=(OLD_FREE, change("lost", 2, State.UNKNOWN, CREATED)))


async def states(store: Store) -> list[State | None]:
    """What becomes of "old", "lost" and "new", at one moment."""
    there = {record.fingerprint: record.state for record in await store.scan(b"", 10, NOW)}
    return [there.get(claim(name).fingerprint) for name in ("old", "lost", "new")]


BEFORE = [State.CREATED, State.UNKNOWN, State.IN_FLIGHT]
AFTER = [None, State.CREATED, State.CREATED]


async def until(store: Store, wanted: Sequence[State | None]) -> list[list[State | None]]:
    """Wait for states; all that were seen until then."""
    seen = [await states(store)]
    async with asyncio.timeout(PATIENCE):
        while seen[-1] != wanted:
            seen.append(await states(store))
    return seen


class TestLater:
    async def test_they_change_together_with_a_settlement_that_is_late(self, store: Store, path: Path) -> None:
        async with busy(store):
            settled = store.settle(owner(3), claims("new"), MOVED, NOW)
            await until_late(store)
            assert await told(settled) == LATE
        assert all(seen in (BEFORE, AFTER) for seen in await until(store, AFTER))
        await store.close()
        assert miscounted_in(path) == []

    async def test_so_they_do_without_a_claim_of_its_own(self, store: Store) -> None:
        async with busy(store):
            first = store.reserve(claims("first"), owner(8), NOW)
            await asyncio.sleep(0)  # the writer takes it: what follows is still queued when it is late
            settled = store.settle(owner(4), (), MOVED, NOW)
            await until_late(store)
            assert {await told(first), await told(settled)} == {LATE}
        await until(store, [None, State.CREATED, State.IN_FLIGHT])

    async def test_who_holds_claims_and_settles_none_holds_them_still(self, store: Store) -> None:
        await store.settle(owner(3), (), MOVED, NOW)
        assert await states(store) == [None, State.CREATED, State.IN_FLIGHT]
        assert await store.settle(owner(3), claims("new"), CREATED, NOW)

    async def test_what_can_never_be_written_changes_nothing_and_keeps_no_other_from_it(self, store: Store) -> None:
        ever = change("lost", 2, State.UNKNOWN, Settlement(State.CREATED, TOO_MUCH))
        bad = store.settle(owner(3), claims("new"), msgspec.structs.replace(CREATED, others=(OLD_FREE, ever)), NOW)
        assert await told(bad) == "unexpected OverflowError"
        await take(store, ("good",), 5)
        assert await store.settle(owner(5), claims("good"), CREATED, NOW)
        assert await states(store) == BEFORE


class TestCache:
    async def test_what_was_met_while_it_waited_is_met_no_more(self, store: Store) -> None:
        async with busy(store):
            met = store.reserve(claims("old"), owner(8), NOW)  # in the batch of the settlement, before it
            settled = store.settle(owner(3), claims("new"), MOVED, NOW)
        assert isinstance(await met, Held)
        assert await settled
        assert store.find_held(claims("old"), NOW) is None
        await take(store, ("old",), 9)

    async def test_what_it_became_is_what_a_duplicate_meets(self, store: Store) -> None:
        assert isinstance(await store.reserve(claims("lost"), owner(8), NOW), Held)
        settled = store.settle(owner(3), claims("new"), MOVED, NOW)
        met = await store.reserve(claims("lost"), owner(8), NOW)
        assert await settled
        for held in (met, store.find_held(claims("lost"), NOW), await store.reserve(claims("lost"), owner(8), NOW)):
            assert isinstance(held, Held)
            assert [(one.state, one.resource) for _, one in held.conflicts] == [(State.CREATED, "/users/1")]


async def test_a_batch_is_full_with_what_it_changes_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    database = cast("SqliteStore", store)._database
    execute, written = database.execute, list[int]()

    async def noted(statement: str, parameters: Any = ()) -> Any:
        if "INSERT INTO batch" in statement:
            written.append(sum(bool(value) for value in parameters[::15]))
        return await execute(statement, parameters)

    monkeypatch.setattr(database, "execute", noted)
    many = tuple(change(number, 7, State.CREATED, FREE) for number in range(MAX_ROWS // 2))
    await asyncio.gather(*[store.settle(owner(4), (), msgspec.structs.replace(FREE, others=many), NOW) for _ in "abc"])
    assert written == [MAX_ROWS, MAX_ROWS // 2]


class TestAdd:
    def kept(self, count: int) -> list[Kept]:
        return [
            Kept(Record(claim(at).fingerprint, owner(1), State.CREATED, "rule", "email", NOW, NOW + HOUR, HOUR))
            for at in range(count)
        ]

    async def test_a_create_comes_between_two_commits(self, store: Store, path: Path) -> None:
        kept = self.kept(2 * ADDED_AT_ONCE)
        last = max(kept[ADDED_AT_ONCE:], key=lambda one: one.record.fingerprint).record.fingerprint
        adding = asyncio.ensure_future(store.add(kept, NOW))
        await asyncio.sleep(0)  # its first step is queued
        wanted = [msgspec.structs.replace(claim("mine"), fingerprint=last)]
        assert isinstance(await store.reserve(wanted, owner(5), NOW), Reserved)
        met = await adding
        assert [record and record.owner for record in met if record is not None] == [owner(5)]
        assert met.count(None) == 2 * ADDED_AT_ONCE - 1
        await store.close()
        assert miscounted_in(path) == []

    async def test_what_cannot_be_written_is_said_and_nothing_is_added(self, store: Store) -> None:
        database = cast("SqliteStore", store)._database
        await database.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="readonly"):
            await store.add(self.kept(3), NOW)
        await database.execute("PRAGMA query_only = OFF")
        assert await state_of(store, 0) is None
        assert list(await store.add(self.kept(3), NOW)) == [None] * 3

    async def test_into_a_file_that_is_gone_nothing_is_added(self, store: Store, path: Path) -> None:
        path.rename(path.with_name("moved"))  # noqa: ASYNC240 nothing else runs
        with pytest.raises(StoreError, match="removed or moved"):
            await store.add(self.kept(3), NOW)

    async def test_what_it_replaces_is_not_met_again_when_the_clock_is_set_back(self, store: Store) -> None:
        await create(store, 0, 8, Settlement(State.CREATED, NOW + 1))
        assert isinstance(await store.reserve(claims(0), owner(9), NOW), Held)
        assert list(await store.add(self.kept(1), NOW + 1)) == [None]
        met = await store.reserve(claims(0), owner(9), NOW)
        assert isinstance(met, Held)
        assert [record for _, record in met.conflicts] == [one.record for one in self.kept(1)]

    async def test_answers_are_read_of_however_many(self, store: Store) -> None:
        kept = [msgspec.structs.replace(one, answer=b"%d" % at) for at, one in enumerate(self.kept(130))]
        await store.add(kept, NOW)
        assert list(await store.read_kept([one.record for one in kept])) == kept

    async def test_a_closed_store_adds_nothing(self, path: Path) -> None:
        opened = await open_store(path)
        await opened.store.close()
        with pytest.raises(StoreError, match="closed"):
            await opened.store.add(self.kept(1), NOW)
