# A file that is not ours to write to is refused with the reason, and stays as it is to the last byte.

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StoreInUse, StoreOpenError
from gateway.model import State
from gateway.process.secret import beside
from gateway.stores.inspect import APPLICATION_ID
from gateway.stores.open import open_sqlite
from tests.support.stores import CREATED, KEY, NOW, claims, create, files, open_store, owner, state_of, take

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store goes."""
    return tmp_path / "gateway.db"


async def refused(path: Path, key: bytes = KEY) -> str:
    """Why the store is not opened; every file is as it was."""
    before = files(path.parent)
    with pytest.raises(StoreOpenError) as raised:
        await open_sqlite(str(path), "process", key, NOW)
    assert files(path.parent) == before
    return str(raised.value)


async def make(path: Path) -> None:
    """A store of a few dozen pages, few of which are looked at when it is opened."""
    opened = await open_store(path)
    for number in range(10):
        names = tuple(f"{number}-{n}" for n in range(100))
        await take(opened.store, names, number)
        await opened.store.settle(owner(number), claims(*names), CREATED, NOW)
    await create(opened.store, "a", 11)
    await opened.store.close()
    change(path, "VACUUM")  # no free page at the end: cutting it off would harm nothing


def change(path: Path, statement: str) -> None:
    """Let SQLite change a file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement)


def killed(path: Path, *statements: str) -> None:
    """Let a process change a file through SQLite and die before the WAL is moved into it."""
    code = "import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    code += "".join(f"d.execute({statement!r})\n" for statement in statements) + "os._exit(0)"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert Path(f"{path}-wal").stat().st_size > 0


def harm(path: Path, damage: Callable[[bytearray], None]) -> None:
    """Change the bytes of a file."""
    data = bytearray(path.read_bytes() if path.exists() else b"")
    damage(data)
    path.write_bytes(data)


class TestForeign:
    @pytest.mark.parametrize(
        "content",
        [
            b"my novel" * 100,
            b"x",
            b"SQLite format 3\0",
            b"SQLite format 4\0" + bytes(PAGE),
            bytes(PAGE),
            b"\x7fELF" * 64,
        ],
    )
    async def test_what_is_no_database_is_refused(self, path: Path, content: bytes) -> None:
        harm(path, lambda data: data.extend(content))
        assert (await refused(path)).startswith(f"{path} is not a SQLite file; it was left as it is.")

    @pytest.mark.parametrize("journal", ["DELETE", "PERSIST", "WAL"])
    @pytest.mark.parametrize("application", [0, APPLICATION_ID + 1])
    async def test_a_database_of_another_program_is_refused(self, path: Path, journal: str, application: int) -> None:
        """Also one that keeps its journal's file, which looks like a store that was killed while it was made."""
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(f"PRAGMA journal_mode = {journal}")
            database.execute(f"PRAGMA application_id = {application}")
            database.execute("CREATE TABLE users (name)")
        assert ("gateway.db-journal" in files(path.parent)) is (journal == "PERSIST")
        assert (await refused(path)).startswith(f"{path} is a SQLite file of another program; it was left as it is.")

    async def test_a_directory_is_no_store(self, path: Path) -> None:
        with pytest.raises(StoreOpenError, match=r"^the store .* cannot be read: Is a directory$"):
            await open_store(path.parent)

    async def test_a_store_needs_its_directory(self, path: Path) -> None:
        with pytest.raises(StoreOpenError, match="cannot be opened for writing: No such file or directory"):
            await open_store(path / "absent" / "gateway.db")


def header(data: bytearray) -> None:
    data[20:40] = b"\xff" * 20


def cut_in_half(data: bytearray) -> None:
    del data[len(data) // 2 // PAGE * PAGE :]


def cut_inside_a_page(data: bytearray) -> None:
    del data[-100:]


def page_of_another_kind(data: bytearray) -> None:
    data[PAGE] ^= 0xFF


def page_that_points_nowhere(data: bytearray) -> None:
    data[PAGE + 8 : PAGE + 12] = b"\xff" * 4


def last_page_blank(data: bytearray) -> None:
    data[-PAGE:] = bytes(PAGE)


class TestDamaged:
    @pytest.mark.parametrize(
        "damage",
        [header, cut_in_half, cut_inside_a_page, page_of_another_kind, page_that_points_nowhere, last_page_blank],
    )
    async def test_a_store_whose_pages_cannot_be_trusted_is_refused(
        self, path: Path, damage: Callable[[bytearray], None]
    ) -> None:
        await make(path)
        assert len(files(path.parent)["gateway.db"]) > 10 * PAGE
        harm(path, damage)
        text = await refused(path)
        assert text.startswith(f"the store {path} is damaged (")
        assert "it was left as it is. Restore it from a copy, or move it away" in text

    async def test_a_store_without_its_tables_is_refused(self, path: Path) -> None:
        await make(path)
        change(path, "DROP TABLE facts")
        assert "is damaged (no such table: facts)" in await refused(path)


class TestNewer:
    text = "was written by a newer gateway (schema 6, this one knows 5); it was left as it is. Run the newer program"

    async def test_a_store_of_a_newer_program_is_refused(self, path: Path) -> None:
        await make(path)
        change(path, "PRAGMA user_version = 6")
        assert self.text in await refused(path)

    async def test_it_is_not_called_damaged_for_what_only_a_newer_program_can_read(self, path: Path) -> None:
        await make(path)
        change(path, "PRAGMA user_version = 6")
        harm(path, page_of_another_kind)
        assert self.text in await refused(path)

    async def test_also_when_it_was_killed_before_it_moved_its_log_into_the_file(self, path: Path) -> None:
        await make(path)
        killed(path, "PRAGMA user_version = 6")
        for index in path.parent.glob("*-shm"):
            index.unlink()
        assert self.text in await refused(path)


class TestOtherKey:
    text = "was written with another fingerprint key, so every create it knows of would be let through again. Restore"

    async def test_a_store_is_opened_with_the_key_it_was_made_with(self, path: Path) -> None:
        await make(path)
        opened = await open_store(path)
        await take(opened.store, ("in flight",), 12)
        await opened.store.close()
        assert self.text in await refused(path, b"another")
        opened = await open_store(path)
        assert opened.recovered == 1, "nothing was recovered by the one that was refused"
        assert await state_of(opened.store, "a") is State.CREATED
        await opened.store.close()

    async def test_also_when_it_was_left_by_a_kill(self, path: Path) -> None:
        await make(path)
        killed(path, "UPDATE claims SET first_seen = 7")
        for index in path.parent.glob("*-shm"):
            index.unlink()
        assert self.text in await refused(path, b"another")

    async def test_a_key_that_is_lost_is_not_made_anew(self, path: Path) -> None:
        await make(path)
        before = files(path.parent)
        with pytest.raises(StoreOpenError, match="restore the key"):
            beside(str(path))
        assert files(path.parent) == before


@pytest.mark.slow
async def test_of_several_that_start_at_once_no_two_get_it(path: Path) -> None:
    await make(path)
    results = await asyncio.gather(*[open_store(path) for _ in range(3)], return_exceptions=True)
    stores = [result.store for result in results if not isinstance(result, BaseException)]
    assert len(stores) <= 1
    assert {type(result) for result in results if isinstance(result, BaseException)} == {StoreInUse}
    for store in stores:
        await store.close()
    await (await open_store(path)).store.close()
