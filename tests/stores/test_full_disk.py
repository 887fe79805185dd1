# No room left: nothing is taken, nothing that was settled is forgotten, everybody hears of it, and it mends by itself.

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.errors import StoreError
from gateway.model import FREE, Claim, Reserved, Settlement, State
from gateway.stores.base import Store
from gateway.stores.open import open_sqlite
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import MAX_ROWS
from tests.support.stores import (
    CREATED,
    KEY,
    NOW,
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

pytestmark = pytest.mark.slow

LARGE = Settlement(State.CREATED, CREATED.expires_at, "/users/" + "x" * 2000)
"""A settlement that finds no place in a full file."""
PLENTY = 2**30
IN_A_ROW = 300
"""So many rows find no place before every page is taken to be full."""


class Disk:
    """A store's file, which can be said to be full."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def _pages(self, statement: str) -> int:
        ((pages,),) = await cast("SqliteStore", self.store)._database.execute_fetchall(statement)
        return int(pages)

    async def fill(self) -> None:
        """Allow no page more than there are, and use up what is left in those."""
        await self._pages(f"PRAGMA max_page_count = {await self._pages('PRAGMA page_count')}")
        number, size, refused = 0, MAX_ROWS, 0
        while refused < IN_A_ROW:
            # rows smaller than any of a test: where there is no place for one of these, there is none for those
            rows = [Claim(os.urandom(32), "", "", 1) for _ in range(size)]
            try:
                await self.store.reserve(rows, owner(1_000_000 + number), NOW)
                number, refused = number + size, 0
            except StoreError:
                number += size == 1
                refused += size == 1
                size = max(1, size // 2)

    async def make_space(self) -> None:
        """Let the file grow again."""
        await self._pages(f"PRAGMA max_page_count = {PLENTY}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "gateway.db"


@pytest.fixture
async def disk(path: Path) -> AsyncIterator[Disk]:
    """The disk of an open store."""
    opened = await open_store(path)
    yield Disk(opened.store)
    await opened.store.close()


@pytest.fixture
def store(disk: Disk) -> Store:
    """The store on it."""
    return disk.store


async def outcome(answer: Awaitable[Any]) -> Any:
    """What a call gave, or StoreError."""
    try:
        return await answer
    except StoreError:
        return StoreError


async def test_a_reserve_that_finds_no_room_takes_nothing(disk: Disk, store: Store) -> None:
    await disk.fill()
    for number in range(3):
        with pytest.raises(StoreError, match="full"):
            await store.reserve(claims("a", "b"), owner(number), NOW)
    assert await state_of(store, "a") is await state_of(store, "b") is None
    await disk.make_space()
    await take(store, ("a",), 10)
    assert not await store.settle(owner(0), claims("a", "b"), FREE, NOW), "whoever was refused holds nothing"


async def test_a_ping_says_so(path: Path) -> None:
    """A store that can only be read takes no creates, and must not call itself ready."""
    opened = await open_store(path)
    await cast("SqliteStore", opened.store)._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="readonly"):
        await opened.store.ping(NOW)
    await cast("SqliteStore", opened.store)._database.execute("PRAGMA query_only = OFF")
    await opened.store.ping(NOW)
    await opened.store.close()


async def test_what_is_held_is_answered_for_all_the_same(disk: Disk, store: Store) -> None:
    await create(store, "a", 1)
    await take(store, ("b",), 2)
    await disk.fill()
    new, created, both, other = await asyncio.gather(
        outcome(store.reserve(claims("c"), owner(3), NOW)),
        outcome(store.reserve(claims("a"), owner(4), NOW)),
        outcome(store.reserve(claims("c", "b"), owner(5), NOW)),
        outcome(store.reserve(claims("c"), owner(6), NOW)),
    )
    assert new is other is StoreError, "nobody is told that he met a claim which was not taken after all"
    assert names_of(created) == ["entry-a"]
    assert both is StoreError
    assert names_of(await store.reserve(claims("d", "b"), owner(7), NOW)) == ["entry-b"]


async def test_a_settlement_that_finds_no_room_is_written_when_there_is_some(disk: Disk, store: Store) -> None:
    await take(store, ("a", "b"), 1)
    await disk.fill()
    with pytest.raises(StoreError, match="full"):
        await store.settle(owner(1), claims("a", "b"), LARGE, NOW)
    assert names_of(await store.reserve(claims("a"), owner(2), NOW)) == ["entry-a"], "it is held until it is written"
    assert await state_of(store, "a") is State.IN_FLIGHT
    await disk.make_space()
    await until_created(store, "a")
    record = await store.get(claim("b").fingerprint, NOW)
    assert record is not None
    assert (record.state, record.resource) == (State.CREATED, LARGE.resource)
    assert not await store.settle(owner(1), claims("a", "b"), FREE, NOW), "it is written once"


async def until_created(store: Store, name: str) -> None:
    """Wait until a claim is no longer in flight; each look waits for a batch of the writer."""
    async with asyncio.timeout(PATIENCE):
        while await state_of(store, name) is not State.CREATED:
            pass


async def test_many_settlements_that_wait_for_room_keep_nobody_else_waiting(disk: Disk, store: Store) -> None:
    """More than a batch takes: creates are refused, duplicates hear their reason, the operator's reads are answered."""
    many = 2 * MAX_ROWS + 10
    for number in range(many):
        await take(store, (number,), number)
    await disk.fill()
    settled = [store.settle(owner(number), claims(number), LARGE, NOW) for number in range(many)]
    assert set(await asyncio.gather(*[outcome(answer) for answer in settled])) == {StoreError}
    async with asyncio.timeout(PATIENCE):
        pinged, purged, found, new, duplicate = await asyncio.gather(
            outcome(store.ping(0)),
            outcome(store.purge(NOW, 10)),
            outcome(store.get(claim(0).fingerprint, NOW)),
            outcome(store.reserve(claims("new"), owner(many), NOW)),
            outcome(store.reserve(claims(1), owner(many + 1), NOW)),
        )
    assert (pinged, purged.removed, found.state, new) == (None, 0, State.IN_FLIGHT, StoreError)
    assert names_of(duplicate) == ["entry-1"]
    await disk.make_space()
    for number in range(many):
        await until_created(store, str(number))


async def test_however_many_settlements_wait_for_room_a_create_hears_at_once_that_there_is_none(path: Path) -> None:
    """Not that it took too long: each batch of those settlements fails anew, and is followed by a pause."""
    opened = await open_sqlite(str(path), "process", KEY, NOW, commit_timeout=5)
    left_open.append(opened.store)
    store, disk = opened.store, Disk(opened.store)
    owned = [claims(*range(number * MAX_ROWS, (number + 1) * MAX_ROWS)) for number in range(40)]
    for number, wanted in enumerate(owned):
        assert isinstance(await store.reserve(wanted, owner(number), NOW), Reserved)
    await disk.fill()
    settled = [store.settle(owner(number), wanted, LARGE, NOW) for number, wanted in enumerate(owned)]
    assert set(await asyncio.gather(*[outcome(answer) for answer in settled])) == {StoreError}
    for number in range(20):
        with pytest.raises(StoreError, match="full"):
            await store.reserve(claims(*[f"new {n}" for n in range(MAX_ROWS)]), owner(1000 + number), NOW)
    await disk.make_space()
    await until_created(store, str(40 * MAX_ROWS - 1))


async def test_a_store_that_closes_while_it_is_full_tells_all_who_wait(disk: Disk, store: Store, path: Path) -> None:
    await take(store, ("a", "b"), 1)
    await create(store, "c", 2)
    await disk.fill()
    settled = store.settle(owner(1), claims("a", "b"), LARGE, NOW)
    reserved = [store.reserve(claims(f"d{n}"), owner(3 + n), NOW) for n in range(10 * MAX_ROWS)]
    async with asyncio.timeout(PATIENCE):
        await store.close()
        assert {await outcome(answer) for answer in (settled, *reserved)} == {StoreError}
    again = await open_store(path)
    states = [await state_of(again.store, name) for name in ("a", "b", "c", "d0")]
    assert states == [State.UNKNOWN, State.UNKNOWN, State.CREATED, None]
    await again.store.close()
