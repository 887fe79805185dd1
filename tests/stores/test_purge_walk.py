# The walk that removes expired rows of a large file a part at a time. What a purge removes is in test_contract.py.

from pathlib import Path
from typing import cast

import pytest

from gateway.model import Purged, Settlement, State
from gateway.stores import purge_walk
from gateway.stores.base import Store
from gateway.stores.sqlite import SqliteStore
from tests.support.stores import HOUR, NOW, claims, open_store, owner

AT_ONCE = 40
STEP = 10
FAR = NOW + 1000 * HOUR
EXPIRED = Settlement(State.UNKNOWN, NOW + 1)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose walk rests after few rows, with a hundred claims that expire."""
    monkeypatch.setattr(purge_walk, "ROWS_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(purge_walk, "ROWS_PER_WRITE", 0)
    monkeypatch.setattr(purge_walk, "ROWS_PER_REMOVAL", 1)
    opened = await open_store(tmp_path / "gateway.db")
    await fill(opened.store, 100)
    return opened.store


async def fill(store: Store, many: int, first: int = 0) -> None:
    """Settle so many claims, which expire."""
    wanted = claims(*range(first, first + many))
    await store.reserve(wanted, owner(first), NOW)
    await store.settle(owner(first), wanted, EXPIRED, NOW)


async def part(store: Store, now: int) -> list[Purged]:
    """Walk until the store rests."""
    steps = [await store.purge(now, STEP)]
    while steps[-1].more:
        steps.append(await store.purge(now, STEP))
    return steps


async def left(store: Store) -> int:
    """Count the rows in the file, expired or not."""
    ((rows,),) = await cast("SqliteStore", store)._database.execute_fetchall("SELECT count(*) FROM claims")
    return int(rows)


async def test_it_rests_and_goes_on_where_it_was_until_all_is_gone(store: Store) -> None:
    for removed, after in ((AT_ONCE, 60), (AT_ONCE, 20), (20, 0), (0, 0)):
        steps = await part(store, NOW + 1)
        assert sum(step.removed for step in steps) == sum(step.lapsed for step in steps) == removed
        assert await left(store) == after


async def test_after_the_last_row_it_begins_anew(store: Store) -> None:
    for _ in range(3):
        assert sum(step.removed for step in await part(store, NOW)) == 0
    assert [sum(step.removed for step in await part(store, NOW + 1)) for _ in range(3)] == [AT_ONCE, AT_ONCE, 20]


async def test_the_more_is_written_the_further_it_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await part(store, NOW)
    monkeypatch.setattr(purge_walk, "ROWS_PER_WRITE", 3)
    await fill(store, 20, first=100)
    assert sum(step.removed for step in await part(store, NOW + 1)) == AT_ONCE + 3 * 20
    assert sum(step.removed for step in await part(store, NOW + 1)) == 20


async def test_what_is_in_flight_is_never_looked_at(store: Store) -> None:
    await store.reserve(claims("a", "b"), owner(7), NOW)
    while await left(store):
        await part(store, FAR)
    assert len(await store.scan(b"", 10, FAR)) == 2


async def test_it_looks_at_more_rows_than_it_removes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_walk, "ROWS_PER_REMOVAL", 2)
    kept = claims(*range(100, 200))
    await store.reserve(kept, owner(100), NOW)
    await store.settle(owner(100), kept, Settlement(State.CREATED, FAR), NOW)
    steps = [step for _ in range(20) for step in await part(store, NOW + 1)]
    assert max(step.removed for step in steps) == STEP
    assert sum(step.removed for step in steps) == await left(store) == 100
