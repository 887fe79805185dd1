# The SQLite store as a file and as a writer: what a restart keeps, what it recovers, who waits for whom.

import asyncio
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.errors import StoreError, StoreInUse
from gateway.model import FOREVER, FREE, Held, Purged, Reserved, Settlement, State
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import MAX_ROWS
from tests.support.stores import (
    CREATED,
    HOUR,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    files,
    open_store,
    owner,
    state_of,
    take,
)
from tests.support.tally import PATIENCE

LATER = NOW + HOUR // 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store goes."""
    return tmp_path / "gateway.db"


class TestFile:
    async def test_it_is_for_its_owner_alone(self, path: Path) -> None:
        before = os.umask(0)
        try:
            opened = await open_store(path)
            await take(opened.store, ("a",), 1)
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            await opened.store.close()
        finally:
            os.umask(before)
        assert files == {"gateway.db": 0o600, "gateway.db-wal": 0o600}

    async def test_a_store_that_was_closed_is_one_file(self, path: Path) -> None:
        opened = await open_store(path)
        await take(opened.store, ("a",), 1)
        await opened.store.close()
        assert set(files(path.parent)) == {"gateway.db"}

    @pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
    async def test_sqlite_is_told_what_a_claim_must_survive(
        self, path: Path, durability: Any, synchronous: int
    ) -> None:
        opened = await open_store(path, durability)
        database = cast("SqliteStore", opened.store)._database
        told = {}
        for pragma in ("synchronous", "journal_mode", "locking_mode"):
            ((told[pragma],),) = await database.execute_fetchall(f"PRAGMA {pragma}")
        await opened.store.close()
        assert told == {"synchronous": synchronous, "journal_mode": "wal", "locking_mode": "exclusive"}


class TestRestart:
    async def test_only_a_store_that_knows_of_no_create_because_it_was_just_made_is_new(self, path: Path) -> None:
        for is_new in (True, False):
            opened = await open_store(path)
            assert opened.is_new is is_new
            await opened.store.close()

    async def test_a_ping_leaves_nothing_that_a_restart_minds(self, path: Path) -> None:
        opened = await open_store(path)
        await opened.store.ping(NOW)
        await opened.store.ping(NOW + 1)
        await opened.store.close()
        again = await open_store(path)
        assert (again.recovered, again.is_new) == (0, False)
        await again.store.close()

    async def test_what_was_settled_is_as_it_was(self, path: Path) -> None:
        opened = await open_store(path)
        await create(opened.store, "created", 1)
        await create(opened.store, "unknown", 2, UNKNOWN)
        await create(opened.store, "freed", 3, FREE)
        await create(opened.store, "for ever", 4, Settlement(State.CREATED, FOREVER, "/é"))
        before = await opened.store.scan(b"", 10, NOW)
        await opened.store.close()
        again = await open_store(path, now=LATER)
        assert again.recovered == 0
        assert await again.store.scan(b"", 10, NOW) == before
        assert len(before) == 3
        assert isinstance(await again.store.reserve(claims("created"), owner(5), NOW), Held)
        assert isinstance(await again.store.reserve(claims("freed"), owner(6), NOW), Reserved)
        await again.store.close()

    @pytest.mark.parametrize(
        ("hold", "expires_at"),
        [(1, LATER + 1), (HOUR, LATER + HOUR), (FOREVER, FOREVER), (FOREVER - LATER, FOREVER), (FOREVER - 1, FOREVER)],
    )
    async def test_what_was_in_flight_is_unknown_for_as_long_as_its_rule_says(
        self, path: Path, hold: int, expires_at: int
    ) -> None:
        opened = await open_store(path)
        wanted = [claim("a", hold=hold), claim("b", hold=7)]
        await opened.store.reserve(wanted, owner(1), NOW)
        before = await opened.store.get(wanted[0].fingerprint, NOW)
        await opened.store.close()
        again = await open_store(path, now=LATER)
        assert again.recovered == 2
        record = await again.store.get(wanted[0].fingerprint, LATER)
        other = await again.store.get(wanted[1].fingerprint, LATER)
        assert before is not None
        assert record is not None
        assert other is not None
        assert (record.state, record.expires_at) == (State.UNKNOWN, expires_at)
        assert other.expires_at == LATER + 7, "each claim has a hold of its own"
        assert (record.owner, record.first_seen, record.rule) == (before.owner, before.first_seen, before.rule)
        await again.store.close()

    async def test_a_clock_that_starts_in_the_past_shortens_no_hold(self, path: Path) -> None:
        """A machine without a clock of its own boots in 1970; its time is right a minute later."""
        opened = await open_store(path)
        await take(opened.store, ("a",), 1)
        await opened.store.close()
        again = await open_store(path, now=60_000)
        record = await again.store.get(claim("a").fingerprint, NOW)
        assert record is not None
        assert (record.state, record.expires_at) == (State.UNKNOWN, NOW + claim("a").unknown_hold)
        await again.store.close()

    async def test_a_clock_that_was_set_back_does_not_shorten_the_hold(self, path: Path) -> None:
        """A machine may boot in 1970; the claim was taken later than that, and is held from then on."""
        opened = await open_store(path)
        await opened.store.reserve([claim("a", hold=HOUR), claim("b", hold=FOREVER - NOW)], owner(1), NOW)
        await opened.store.close()
        again = await open_store(path, now=1000)
        ends = {record.entry: record.expires_at for record in await again.store.scan(b"", 10, NOW)}
        assert ends == {"entry-a": NOW + HOUR, "entry-b": FOREVER}
        await again.store.close()

    async def test_it_is_recovered_once(self, path: Path) -> None:
        opened = await open_store(path)
        await take(opened.store, ("a",), 1)
        await opened.store.close()
        for recovered in (1, 0):
            again = await open_store(path, now=LATER)
            assert again.recovered == recovered
            await again.store.close()

    async def test_an_owner_of_an_earlier_life_is_fenced_out(self, path: Path) -> None:
        opened = await open_store(path)
        await take(opened.store, ("a",), 1)
        await opened.store.close()
        again = await open_store(path)
        assert not await again.store.settle(owner(1), claims("a"), FREE, NOW)
        assert await state_of(again.store, "a") is State.UNKNOWN
        await again.store.close()


class TestClose:
    async def test_what_was_queued_is_written_and_answered(self, path: Path) -> None:
        opened = await open_store(path)
        store = opened.store
        many = 2 * MAX_ROWS  # with two claims each more than one statement could hold
        reserved = [store.reserve(claims(f"a{n}", f"b{n}"), owner(n), NOW) for n in range(many)]
        settled = [store.settle(owner(n), claims(f"a{n}", f"b{n}"), CREATED, NOW) for n in range(0, many, 2)]
        await store.close()
        assert [await answer for answer in reserved] == [Reserved()] * many
        assert all([await answer for answer in settled])
        again = await open_store(path)
        states = {record.fingerprint: record.state for record in await again.store.scan(b"", 3 * many, NOW)}
        await again.store.close()
        assert len(states) == 2 * many
        for number in range(many):
            expected = State.UNKNOWN if number % 2 else State.CREATED
            assert {states[each.fingerprint] for each in claims(f"a{number}", f"b{number}")} == {expected}

    async def test_a_closed_store_takes_nothing_more(self, path: Path) -> None:
        opened = await open_store(path)
        store = opened.store
        await store.close()
        for asked in (
            store.reserve(claims("a"), owner(1), NOW),
            store.settle(owner(1), claims("a"), FREE, NOW),
            store.get(claim("a").fingerprint, NOW),
            store.purge(NOW, 10),
            store.ping(0),
        ):
            with pytest.raises(StoreError, match="the store is closed"):
                async with asyncio.timeout(PATIENCE):
                    await asked


async def test_calls_that_wait_together_are_written_together_up_to_a_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement, which is one commit, for as many as a batch takes: neither one for each, nor one for all."""
    opened = await open_store(path)
    database = cast("SqliteStore", opened.store)._database
    execute, statements = database.execute, list[str]()

    async def noted(statement: str, *parameters: Any) -> Any:
        statements.append(statement)
        return await execute(statement, *parameters)

    monkeypatch.setattr(database, "execute", noted)
    batches = 5
    reserved = [opened.store.reserve(claims(f"a{n}", f"b{n}"), owner(n), NOW) for n in range(batches * MAX_ROWS // 2)]
    assert await asyncio.gather(*reserved) == [Reserved()] * len(reserved)
    assert sum("INSERT INTO batch" in statement for statement in statements) == batches
    await opened.store.close()


async def test_a_large_purge_lets_a_create_through_after_one_step(path: Path) -> None:
    opened = await open_store(path)
    store = opened.store
    expired = 1000
    for start in range(0, expired, 100):
        wanted = claims(*range(start, start + 100))
        await store.reserve(wanted, owner(start), NOW)
        await store.settle(owner(start), wanted, UNKNOWN, NOW)
    steps: list[Purged] = []
    is_under_way = asyncio.Event()

    async def purge() -> None:
        while not steps or steps[-1].more:
            steps.append(await store.purge(UNKNOWN.expires_at, 20))
            is_under_way.set()

    purging = asyncio.create_task(purge())
    await is_under_way.wait()
    before = len(steps)
    for number in range(10):
        await take(store, (f"new {number}",), expired + number)
    between = len(steps) - before
    assert 0 < between <= 2 * 10, "steps of the purge and batches of creates take each other's place"
    await purging
    assert sum(step.removed for step in steps) == sum(step.lapsed for step in steps) == expired
    assert max(step.removed for step in steps) == 20
    assert len(await store.scan(b"", 100, NOW)) == 10
    await store.close()


class TestOneProcess:
    async def test_a_store_cannot_be_opened_twice(self, path: Path) -> None:
        opened = await open_store(path)
        await create(opened.store, "a", 1)
        with pytest.raises(StoreInUse, match="is in use by another process; a SQLite store belongs to one gateway"):
            await open_store(path)
        await create(opened.store, "b", 2)
        assert await state_of(opened.store, "a") is State.CREATED
        await opened.store.close()
        await (await open_store(path)).store.close()


@pytest.mark.parametrize("many", [127, 128, 129, 255, 300, MAX_ROWS])
async def test_a_turn_of_any_size_takes_and_settles_just_what_it_was_asked_to(path: Path, many: int) -> None:
    """Statements for many rows are filled up with rows that change nothing."""
    opened = await open_store(path)
    reserved = [opened.store.reserve(claims(n), owner(n), NOW) for n in range(many)]
    assert [await answer for answer in reserved] == [Reserved()] * many
    assert len(await opened.store.scan(b"", 2 * many, NOW)) == many
    settled = [opened.store.settle(owner(n), claims(n), CREATED if n % 2 else FREE, NOW) for n in range(many)]
    assert all([await answer for answer in settled])
    records = await opened.store.scan(b"", 2 * many, NOW)
    assert [record.state for record in records] == [State.CREATED] * (many // 2)
    await opened.store.close()


async def test_the_largest_create_is_taken_and_settled_in_one_statement(path: Path) -> None:
    """2,048 claims of items, and one of its key: SQLite takes no more than 32,766 parameters."""
    opened = await open_store(path)
    database = cast("Any", opened.store)._database
    await database._execute(database._conn.setlimit, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32766)
    wanted = claims(*range(2049))
    assert await opened.store.reserve(wanted, owner(1), NOW) == Reserved()
    assert await opened.store.settle(owner(1), wanted, CREATED, NOW)
    records = await opened.store.scan(b"", 3000, NOW)
    assert [record.state for record in records] == [State.CREATED] * len(wanted)
    await opened.store.close()
