# How many claims were made by which identity: asked of each store, and read from a file that nobody has open.

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreInUse
from gateway.model import FOREVER, Claim, Settlement, State
from gateway.stores import list_walk, read_versions
from gateway.stores.base import Store
from gateway.stores.tally import MadeBy, Tally
from tests.stores.test_upgrades import of_schema
from tests.support.stores import CREATED, HOUR, NOW, claim, files, open_store, owner

LATER = CREATED.expires_at


def by(name: int, version: int | None, rule: str = "create-user", entry: str = "email") -> Claim:
    return msgspec.structs.replace(claim(name), rule=rule, entry=entry, version=version)


async def make(store: Store, *made: tuple[Sequence[Claim], Settlement | None]) -> None:
    """Reserve claims, each group for an owner of its own, and settle those that have an end."""
    for number, (wanted, ended) in enumerate(made):
        await store.reserve(wanted, owner(number), NOW)
        if ended is not None:
            assert await store.settle(owner(number), wanted, ended, NOW)


GROUPS: tuple[tuple[Sequence[Claim], Settlement | None], ...] = (
    ([by(1, 7), by(2, 9)], CREATED),
    ([by(3, 7)], Settlement(State.UNKNOWN, NOW + HOUR)),
    ([by(4, 7), by(5, None)], None),
    ([by(6, 9, entry="name"), by(7, 9, rule="other")], Settlement(State.CREATED, FOREVER)),
    ([by(8, 7)], Settlement(State.CREATED, NOW)),
)
COUNTED: dict[MadeBy, tuple[int, int | None]] = {
    ("create-user", "email", 7): (3, LATER),
    ("create-user", "email", 9): (1, LATER),
    ("create-user", "email", None): (1, None),
    ("create-user", "name", 9): (1, FOREVER),
    ("other", "email", 9): (1, FOREVER),
}


async def counted(store: Store) -> Tally:
    """All parts, added up."""
    tally, after = Tally(), b""
    while True:
        part = await store.count_versions(after, NOW)
        for made_by, counts in part.claims.items():
            tally.count(made_by, *counts)
        if part.next is None:
            return tally
        after = part.next


async def test_what_is_held_is_counted_by_what_made_it(store: Store) -> None:
    assert await counted(store) == {}
    await make(store, *GROUPS)
    assert await counted(store) == COUNTED


async def test_a_large_store_is_counted_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_walk, "ROWS_AT_ONCE", 7)
    store = (await open_store(tmp_path / "gateway.db")).store
    await make(
        store, ([by(name, name % 3) for name in range(100)], CREATED), ([by(name, 1) for name in range(100, 120)], None)
    )
    part = await store.count_versions(b"", NOW)
    assert sum(count for count, _ in part.claims.values()) < 20, "one call looks at few"
    assert await counted(store) == {
        ("create-user", "email", 0): (34, LATER),
        ("create-user", "email", 1): (53, LATER),
        ("create-user", "email", 2): (33, LATER),
    }


async def test_a_file_that_nobody_has_open_is_read_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, told = tmp_path / "gateway.db", list[float]()
    store = (await open_store(path)).store
    await make(store, *GROUPS)
    with pytest.raises(StoreInUse):
        read_versions.read_versions(str(path), NOW, told.append)
    await store.close()
    before = files(tmp_path)
    monkeypatch.setattr(read_versions, "ROWS_AT_ONCE", 2)
    assert read_versions.read_versions(str(path), NOW, told.append) == COUNTED
    assert files(tmp_path) == before
    assert told == sorted(told)
    assert (len(told) > 2, told[-1]) == (True, 1.0)


@pytest.mark.parametrize("schema", [1, 4])
def test_claims_of_an_earlier_release_are_by_nothing_that_is_known(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "gateway.db"
    with of_schema(path, schema) as database:
        columns = "fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold"
        for name, expires_at in ((1, LATER), (2, NOW), (3, None)):
            row = (
                claim(name).fingerprint,
                owner(1),
                1 if expires_at is None else 2,
                "users",
                "email",
                NOW,
                expires_at,
                HOUR,
            )
            if expires_at is not None or schema == 1:
                database.execute(f"INSERT INTO claims ({columns}) VALUES (?,?,?,?,?,?,?,?)", row)
            else:
                few = "fingerprint, owner, rule, entry, first_seen, unknown_hold"
                database.execute(f"INSERT INTO in_flight ({few}) VALUES (?,?,?,?,?,?)", (*row[:2], *row[3:6], HOUR))
    found = read_versions.read_versions(str(path), NOW, lambda _: None)
    assert found == {("users", "email", None): (2, LATER)}


def test_a_file_of_0_1_0_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    shutil.copy(Path(__file__).parent / "data" / "gateway-0.1.0.db", path)
    found = read_versions.read_versions(str(path), NOW, lambda _: None)
    assert sum(count for count, _ in found.values()) == 3
    assert {version for _, _, version in found} == {None}
