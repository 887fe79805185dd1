# Files of earlier versions: a newer program brings their schema up to date when it opens them, with all their claims.

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.model import FOREVER, Filter, Reserved, State
from gateway.stores import sql
from gateway.stores.inspect import APPLICATION_ID, SCHEMA
from tests.support.counts import miscounted, miscounted_in
from tests.support.stores import CREATED, HOUR, NOW, claim, claims, create, open_store, owner

LINK = b"l" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store goes."""
    return tmp_path / "gateway.db"


@contextmanager
def of_schema(path: Path, version: int) -> Iterator[sqlite3.Connection]:
    """A new file of a schema version, to be filled."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for step in range(1, version + 1):
            database.executescript(sql.read(f"schema_{step}"))
        database.execute(f"PRAGMA user_version = {version}")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("BEGIN")  # one commit for all of it
        yield database
        database.execute("COMMIT")


async def test_a_store_of_0_1_0_opens_with_its_claims(tmp_path: Path) -> None:
    """The file was written by that version: a claim created, one unknown, and one in flight when it was killed."""
    path = tmp_path / "gateway.db"
    shutil.copy(Path(__file__).parent / "data" / "gateway-0.1.0.db", path)
    opened = await open_store(path)
    assert (opened.recovered, opened.is_new) == (1, False)
    found = {name: await opened.store.get(claim(name).fingerprint, NOW) for name in ("made", "lost", "sent", "free")}
    assert {name: record and (record.state, record.resource, record.caller) for name, record in found.items()} == {
        "made": (State.CREATED, "/users/1", None),
        "lost": (State.UNKNOWN, None, None),
        "sent": (State.UNKNOWN, None, None),
        "free": None,
    }
    await create(opened.store, "free", 9, msgspec.structs.replace(CREATED, answer=b"sealed"))
    assert await opened.store.read_answer(claims("free"), owner(9)) == b"sealed"
    seen = await opened.store.overview(NOW)
    assert seen.claims == {("create-user", State.CREATED): 2, ("create-user", State.UNKNOWN): 2}
    assert seen.oldest_unknown == {"create-user": NOW}
    await opened.store.close()
    assert miscounted_in(path) == []


async def test_a_store_of_schema_2_opens_with_its_claims(path: Path) -> None:
    """Claims in flight were rows of the same table, and freed ones stayed there until they were purged."""
    sent = msgspec.structs.replace(claim("sent"), caller=b"c", payload=b"p")
    with of_schema(path, 2) as database:
        for name, state, expires_at, resource, answer in (
            ("made", 2, CREATED.expires_at, "/users/1", b"sealed"),
            ("sent", 1, None, None, None),
            ("free", 0, 0, None, None),
        ):
            row = (claim(name).fingerprint, owner(1), state, "users", f"entry-{name}", NOW, expires_at, HOUR, resource)
            whole = (*row, b"c", b"p", answer)
            database.execute("INSERT INTO claims VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", whole)
    opened = await open_store(path)
    assert opened.recovered == 1
    assert await opened.store.read_answer(claims("made"), owner(1)) == b"sealed"
    found = await opened.store.get(sent.fingerprint, NOW)
    assert found is not None
    assert (found.state, found.caller, found.payload, found.first_seen) == (State.UNKNOWN, b"c", b"p", NOW)
    assert len(await opened.store.scan(b"", 10, NOW)) == 2
    await create(opened.store, "free", 9)
    await opened.store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM claims").fetchall() == [(3,)]
        assert miscounted(database) == []


async def test_the_claims_of_a_store_of_schema_3_are_counted_and_listed_when_it_opens(path: Path) -> None:
    states = (State.CREATED, State.UNKNOWN, State.CREATED, State.CREATED)
    with of_schema(path, 3) as database:
        for at in range(400):
            row = (claim(at).fingerprint, owner(1), states[at % 4], f"rule-{at % 3}", "email", NOW - at, FOREVER, HOUR)
            database.execute("INSERT INTO claims VALUES (?,?,?,?,?,?,?,?,NULL,NULL,NULL,NULL)", row)
        sent = (claim("sent").fingerprint, owner(2), "rule-0", "email", NOW - 1000, HOUR)
        database.execute("INSERT INTO in_flight VALUES (?,?,?,?,?,?,NULL,NULL)", sent)
    opened = await open_store(path)
    seen = await opened.store.overview(NOW)
    assert sum(seen.claims.values()) == 401
    assert seen.oldest_unknown == {"rule-0": NOW - 1000, "rule-1": NOW - 397, "rule-2": NOW - 389}
    page = await opened.store.list_claims(Filter(state=State.UNKNOWN), b"", 500, NOW)
    assert [one.first_seen for one in page.records] == [NOW - 1000, *range(NOW - 397, NOW, 4)]
    await opened.store.close()
    assert miscounted_in(path) == []


def pages(path: Path) -> list[bytes]:
    """The pages of a file."""
    content = path.read_bytes()
    return [content[start : start + 4096] for start in range(0, len(content), 4096)]


async def test_a_store_of_schema_4_opens_with_its_claims_and_hardly_a_page_of_it_is_written(path: Path) -> None:
    many = 2000
    with of_schema(path, 4) as database:
        row = (owner(1), 2, "create-user", "email", NOW, FOREVER, HOUR, "/users/1", None, b"p" * 32, None)
        places = ",".join("?" * (1 + len(row)))
        made = sorted((claim(at).fingerprint, *row) for at in range(many))
        database.executemany(f"INSERT INTO claims VALUES ({places})", made)
        database.execute("INSERT INTO counts VALUES ('create-user', 2, ?)", (many,))
        sent = (claim("sent").fingerprint, owner(2), "create-user", "email", NOW - 1000, HOUR)
        database.execute("INSERT INTO in_flight VALUES (?,?,?,?,?,?,NULL,NULL)", sent)
    before = pages(path)
    opened = await open_store(path)
    found = await opened.store.scan(b"", 2 * many, NOW)
    assert (opened.recovered, len(found)) == (1, many + 1)
    assert {(record.version, record.link) for record in found} == {(None, None)}
    assert {record.payload for record in found} == {b"p" * 32, None}
    await opened.store.close()
    changed = sum(old != new for old, new in zip(before, pages(path), strict=False))
    assert changed < 12 < len(before) // 4
    again = await open_store(path)
    linked = msgspec.structs.replace(claim("new"), version=2**31 - 1, link=LINK)
    assert isinstance(await again.store.reserve([linked], owner(3), NOW), Reserved)
    assert await again.store.settle(owner(3), [linked], CREATED, NOW)
    (record,) = await again.store.find_linked(LINK, NOW)
    assert (record.fingerprint, record.version) == (linked.fingerprint, 2**31 - 1)
    await again.store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA user_version").fetchall() == [(SCHEMA,)]
    assert miscounted_in(path) == []


async def test_what_was_in_flight_keeps_its_version_and_its_link(path: Path) -> None:
    opened = await open_store(path)
    linked = msgspec.structs.replace(claim("sent"), version=7, link=LINK)
    await opened.store.reserve([linked], owner(1), NOW)
    await opened.store.close()
    again = await open_store(path)
    (record,) = await again.store.find_linked(LINK, NOW)
    assert (record.state, record.version, record.link) == (State.UNKNOWN, 7, LINK)
    await again.store.close()
