# Bodies in files: what is written is what is read, space is given back, and a file is closed once nothing works on it.

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import Overloaded, SpoolError
from gateway.transport.spool import PIECE, Spool, SpoolFolder
from tests.support.uploads import descriptors


@pytest.fixture
def told() -> list[str]:
    """The reasons that were told."""
    return []


@pytest.fixture
def folder(tmp_path: Path, told: list[str]) -> Iterator[SpoolFolder]:
    made = SpoolFolder(tmp_path / "spool", 4 * PIECE, told.append)
    made.prepare()
    yield made
    made.executor.shutdown(wait=True)
    assert list(made.path.iterdir()) == []


def open_in(folder: SpoolFolder) -> int:
    return len(descriptors(os.getpid(), folder.path))


async def test_what_was_added_is_read_as_often_as_it_is_asked_for(folder: SpoolFolder) -> None:
    taken: list[bytes] = []
    spool = Spool(folder, taken.append)
    data = os.urandom(2 * PIECE + 7)
    await spool.add(data[:5])
    await spool.add(data[5:])
    assert b"".join(taken) == data
    for _ in range(2):
        assert b"".join([piece async for piece in spool.pieces()]) == data
    assert folder.budget.used == spool.size == len(data)
    assert open_in(folder) == 1
    spool.close()
    spool.close()
    folder.executor.shutdown(wait=True)
    assert (folder.budget.used, open_in(folder)) == (0, 0)


async def test_space_is_bounded_for_all_together(folder: SpoolFolder) -> None:
    one, other = Spool(folder, len), Spool(folder, len)  # type: ignore[arg-type]
    one.expect(4 * PIECE)
    await one.add(b"x" * 3 * PIECE)
    with pytest.raises(Overloaded):
        other.expect(PIECE + 1)
    await other.add(b"x" * PIECE)
    with pytest.raises(Overloaded):
        await other.add(b"x")
    one.close()
    await other.add(b"x")
    other.close()
    assert folder.budget.used == 0


async def test_a_file_stays_open_for_the_thread_that_is_at_work_on_it(folder: SpoolFolder) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def take(_: bytes) -> None:
        begun.set()
        go_on.wait()

    spool = Spool(folder, take)
    adding = asyncio.create_task(spool.add(b"x"))
    await asyncio.to_thread(begun.wait)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    spool.close()
    assert folder.budget.used == 0
    go_on.set()
    folder.executor.shutdown(wait=True)
    assert open_in(folder) == 0
    with pytest.raises(SpoolError):
        await spool.add(b"x")


async def test_a_disk_that_fails_is_told_and_raised(folder: SpoolFolder, told: list[str]) -> None:
    folder.path.rmdir()
    spool = Spool(folder, len)  # type: ignore[arg-type]
    with pytest.raises(SpoolError):
        await spool.add(b"x")
    assert told == ["No such file or directory"]
    spool.close()
    folder.path.mkdir()


async def test_what_the_reader_raises_is_raised_and_nothing_is_written(folder: SpoolFolder) -> None:
    def refuse(_: bytes) -> None:
        raise ValueError

    spool = Spool(folder, refuse)
    with pytest.raises(ValueError, match=r"^$"):
        await spool.add(b"x")
    assert (spool.size, open_in(folder)) == (0, 0)
    spool.close()


async def test_nothing_is_begun_once_the_process_ends(folder: SpoolFolder) -> None:
    spool = Spool(folder, len)  # type: ignore[arg-type]
    await spool.add(b"x")
    folder.close()
    with pytest.raises(SpoolError):
        await spool.add(b"x")
    spool.close()
    assert open_in(folder) == 0
