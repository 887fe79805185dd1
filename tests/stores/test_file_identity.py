# The store's file, or its log, is not where it was: whatever is committed there may never be found again.

import shutil
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError
from gateway.model import State
from gateway.stores.base import Store
from tests.support import faults
from tests.support.stores import CREATED, NOW, claim, claims, create, names_of, open_store, owner, state_of, take

Fault = Callable[[Path], AbstractContextManager[None]]


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


FAULTS: dict[str, tuple[Fault, str]] = {
    "removed": (faults.moved_away, "gateway.db was removed or moved while it was open; put it back, or restart"),
    "removed with its log": (
        lambda path: faults.moved_away(path, log_of(path)),
        "gateway.db was removed or moved while it was open; put it back, or restart",
    ),
    "log removed": (
        lambda path: faults.moved_away(log_of(path)),
        "gateway.db-wal was removed or moved while it was open; put it back, or restart",
    ),
    "replaced": (faults.replaced, "gateway.db was replaced by another file while it was open; put the first one back"),
    "log replaced": (
        lambda path: faults.replaced(log_of(path)),
        "gateway.db-wal was replaced by another file while it was open; put the first one back",
    ),
}
every_fault = pytest.mark.parametrize(("fault", "text"), FAULTS.values(), ids=FAULTS.keys())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "gateway.db"


async def told(answer: Awaitable[Any]) -> str:
    """Why a call failed."""
    with pytest.raises(StoreError) as raised:
        await answer
    return str(raised.value)


@every_fault
async def test_nothing_is_taken_until_it_is_back(path: Path, fault: Fault, text: str) -> None:
    opened = await open_store(path)
    store = opened.store
    with fault(path):
        for number in range(3):
            assert text in await told(store.reserve(claims("a", "b"), owner(number), NOW))
        assert text in await told(store.ping(NOW))
        assert await state_of(store, "a") is await state_of(store, "b") is None
    await store.ping(NOW)
    assert not await store.settle(owner(0), claims("a", "b"), CREATED, NOW), "whoever was refused holds nothing"
    await create(store, "a", 10)
    await store.close()
    again = await open_store(path)
    assert [await state_of(again.store, name) for name in ("a", "b")] == [State.CREATED, None]


@every_fault
async def test_what_is_settled_meanwhile_is_in_it_once_it_is_back(path: Path, fault: Fault, text: str) -> None:
    opened = await open_store(path)
    store = opened.store
    await create(store, "before", 1)
    await take(store, ("a",), 2)
    with fault(path):
        assert text in await told(store.reserve(claims("new"), owner(3), NOW))
        assert await store.settle(owner(2), claims("a"), CREATED, NOW)
        for name in ("before", "a"):
            assert names_of(await store.reserve(claims(name), owner(4), NOW)) == [f"entry-{name}"], "known is known"
    await store.close()
    again = await open_store(path)
    assert again.recovered == 0
    assert [await state_of(again.store, name) for name in ("before", "a", "new")] == [
        *[State.CREATED] * 2,
        None,
    ]


async def test_a_store_that_is_closed_while_another_lies_in_its_place_harms_neither(path: Path) -> None:
    opened = await open_store(path)
    await create(opened.store, "a", 1)
    await opened.store.close()
    other = await open_store(path.with_name("other.db"))
    await create(other.store, "b", 2)
    opened = await open_store(path)
    await create(opened.store, "c", 3)
    aside = path.with_name("aside.db")
    for of in (path, log_of(path)):
        of.rename(of.with_name(of.name.replace("gateway", "aside")))
    await other.store.close()
    path.with_name("other.db").rename(path)
    log_of(path).write_bytes(b"not empty")
    await opened.store.close()
    assert log_of(path).read_bytes() == b"not empty", "SQLite removes the log of what it closes: by its name"
    log_of(path).unlink()
    again = await open_store(path)
    assert [await state_of(again.store, name) for name in "abc"] == [None, State.CREATED, None]
    first = await open_store(aside)
    assert [await state_of(first.store, name) for name in "abc"] == [State.CREATED, None, State.CREATED]


async def test_a_backup_that_is_put_in_its_place_is_not_mixed_with_the_log_of_what_lay_there(path: Path) -> None:
    """As an operator does who restores a copy and then restarts: it is opened as it was when it was made."""
    opened = await open_store(path)
    for number in range(200):
        await create(opened.store, f"early {number}", number)
    await opened.store.close()
    backup, aside = path.with_name("backup.db"), path.with_name("aside.db")
    shutil.copyfile(path, backup)
    opened = await open_store(path)
    for number in range(200):
        await create(opened.store, f"late {number}", number)
    for file, to in ((path, aside), (backup, path)):
        file.rename(to)
    await opened.store.close()
    again, first = await open_store(path), await open_store(aside)
    for number in range(200):
        assert await state_of(again.store, f"early {number}") is await state_of(first.store, f"early {number}")
        assert await state_of(again.store, f"late {number}") is None
        assert await state_of(first.store, f"late {number}") is State.CREATED


def link(path: Path, to: Path) -> None:
    """Let `path` be a link, whatever it was."""
    path.unlink(missing_ok=True)
    path.symlink_to(to)


async def test_a_store_behind_a_link_has_its_log_beside_itself(path: Path) -> None:
    real = path.with_name("real") / "store.db"
    real.parent.mkdir()
    link(path, real)
    opened = await open_store(path)
    await create(opened.store, "a", 1)
    with faults.moved_away(log_of(real)):
        assert "store.db-wal was removed" in await told(opened.store.ping(NOW))
    await create(opened.store, "b", 2)
    link(path, path.with_name("elsewhere.db"))
    assert f"{path} was removed" in await told(opened.store.ping(NOW))


async def test_a_directory_that_is_no_more_is_told_too(path: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside" / "gateway.db"
    inside.parent.mkdir()
    opened = await open_store(inside)
    inside.parent.rename(tmp_path / "aside")
    inside.parent.write_bytes(b"")
    assert "gateway.db cannot be reached any more: Not a directory" in await told(
        opened.store.reserve(claims("a"), owner(1), NOW)
    )
    inside.parent.unlink()
    (tmp_path / "aside").rename(inside.parent)
    await create(opened.store, "a", 2)


async def test_files_that_are_made_read_only_by_their_mode_are_still_written(path: Path) -> None:
    """A process goes on writing to what it has open: this is no fault, and none is claimed."""
    opened = await open_store(path)
    with faults.read_only_mode(path, log_of(path)):
        await create(opened.store, "a", 1)
        await opened.store.ping(NOW)
    assert await opened.store.get(claim("a").fingerprint, NOW) is not None


async def test_files_that_the_kernel_lets_nobody_write_take_nothing_and_recover(path: Path) -> None:
    if lacks := faults.lacks_immutable(path.parent):
        pytest.skip(f"needs {lacks}")
    opened = await open_store(path)
    store: Store = opened.store
    await take(store, ("a",), 1)
    with faults.immutable(path, log_of(path)):
        assert await told(store.reserve(claims("b"), owner(2), NOW)) == "disk I/O error"
        assert await told(store.settle(owner(1), claims("a"), CREATED, NOW)) == "disk I/O error"
        assert await told(store.ping(NOW)) == "disk I/O error"
        assert await state_of(store, "a") is State.IN_FLIGHT
    await create(store, "b", 3)
    while await state_of(store, "a") is not State.CREATED:
        pass
