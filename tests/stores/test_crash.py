# SIGKILL at any moment: whatever was acknowledged is in the file, and the file opens.

import asyncio
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.model import State
from gateway.stores import sql
from gateway.stores.inspect import APPLICATION_ID
from tests.support.counts import miscounted_in
from tests.support.stores import HOUR, NOW, claims, create, files, open_store, owner, state_of, take

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


async def killed_writer(path: Path, first: int, answers: int) -> list[str]:
    """Let a process write until it has given so many answers, kill it, and return all that it gave."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stores.writer", str(path), str(first)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if len(lines) == answers:
            process.kill()
    assert await process.wait() == -9, "it ended by itself"
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Eight kills of one file, after ever more answers; each time everything since the first is looked at again."""
    path = tmp_path / "gateway.db"
    said: set[str] = set()
    first = 0
    for answers in (1, 40, 100, 200, 400, 700, 1000, 1500):
        said |= set(await killed_writer(path, first, answers))
        left_behind = path.with_name("gateway.db-wal").stat().st_size
        opened = await open_store(path, now=NOW + HOUR)
        records = {record.fingerprint: record for record in await opened.store.scan(b"", 1_000_000, NOW)}
        seen = await opened.store.overview(NOW)
        await opened.store.close()
        assert miscounted_in(path) == []
        assert sum(seen.claims.values()) == len(records)
        assert left_behind > 0
        assert opened.recovered > 0
        for number in sorted({int(line.split()[1]) for line in said}):
            a, b = [records.get(claim.fingerprint) for claim in claims(f"a{number}", f"b{number}")]
            state = a and a.state
            assert state == (b and b.state), f"half of operation {number}"
            allowed: set[State | None] = {State.UNKNOWN}
            if number % 3:
                settled: State | None = State.CREATED if number % 3 == 1 else None
                allowed = {settled} if f"settled {number}" in said else {State.UNKNOWN, settled}
            assert state in allowed, number
            if a is not None and a.state is State.UNKNOWN:
                assert (a.owner, a.first_seen) == (owner(number), NOW)
        assert State.IN_FLIGHT not in {record.state for record in records.values()}
        first = (max(int(line.split()[1]) for line in said) // 48 + 100) * 48
    assert len(said) > 2000


def half_made(path: Path, *, pages: int) -> None:
    """Leave a new store as a kill amid its first commit does: so many of its pages, and the journal to undo them."""
    journal = Path(f"{path}-journal")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(
            f"BEGIN EXCLUSIVE; {sql.read('schema_1')}; PRAGMA application_id = {APPLICATION_ID}; "
            "PRAGMA user_version = 1; INSERT INTO facts VALUES ('canary', 'x');"
        )
        os.link(journal, f"{path}-kept")
        database.execute("COMMIT")
    Path(f"{path}-kept").rename(journal)
    os.truncate(path, pages * 4096)
    assert journal.stat().st_size > 0


@pytest.mark.parametrize("pages", [0, 1, 2, 4])
async def test_a_store_whose_making_was_cut_short_is_made_again(tmp_path: Path, pages: int) -> None:
    path = tmp_path / "gateway.db"
    half_made(path, pages=pages)
    opened = await open_store(path)
    await create(opened.store, "a", 1)
    await opened.store.close()
    with closing(sqlite3.connect(path)) as database:
        assert re.findall(r"\w+", str(database.execute("SELECT name FROM facts").fetchall())) == ["key_check"]
    opened = await open_store(path)
    assert await state_of(opened.store, "a") is State.CREATED
    await opened.store.close()
    assert set(files(tmp_path)) == {"gateway.db"}


async def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.touch()
    opened = await open_store(path)
    await take(opened.store, ("a",), 1)
    await opened.store.close()
