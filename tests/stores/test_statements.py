# write.sql and add.sql by themselves: what the writer decided wrongly would still not be written.

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.stores import sql
from gateway.stores.inspect import SCHEMA
from tests.support.counts import miscounted

NOW = 1000
FREE, IN_FLIGHT, CREATED, UNKNOWN = 0, 1, 2, 3
HERE, LINK = b"h" * 16, b"l" * 16
Row = tuple[Any, ...]


def reserved(owner: bytes) -> Row:
    """What is there once a claim is reserved."""
    return (b"f", owner, IN_FLIGHT, "new rule", "new entry", NOW, None, 9, None, b"caller", b"payload", None, 5, HERE)


def reserving(owner: bytes) -> Row:
    """What reserves it."""
    return (b"f", owner, FREE, IN_FLIGHT, "new rule", "new entry", NOW, 0, 9, "", b"caller", b"payload", "", 5, HERE)


def ending(owner: bytes, state: int = CREATED, was: int = IN_FLIGHT, link: bytes | str = LINK) -> Row:
    """What settles it, or changes it with the end of another operation."""
    return (b"f", owner, was, state, "rule", "", 0, NOW + 500, 0, "/users/1", "", "", b"answer", -1, link)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """An empty store."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        for step in range(1, SCHEMA + 1):
            opened.executescript(sql.read(f"schema_{step}"))
        opened.executescript(sql.read("batch"))
        yield opened


def write(database: sqlite3.Connection, *rows: Row, statement: str = "write") -> list[Row]:
    """Run the statement for these rows, and return all that the tables hold then."""
    places = ",".join([f"({','.join('?' * len(row))})" for row in rows])
    database.execute(sql.read(statement).replace(":places", places), [value for row in rows for value in row])
    return held(database)


def held(database: sqlite3.Connection) -> list[Row]:
    """Return all that the tables hold, which is counted."""
    assert miscounted(database) == []
    settled = database.execute("SELECT * FROM claims").fetchall()
    in_flight = database.execute(
        "SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, NULL,"
        " version, link FROM in_flight"
    )
    return [*settled, *in_flight.fetchall()]


def put(database: sqlite3.Connection, state: int, expires_at: int | None) -> list[Row]:
    """Have one claim, of the owner "one"."""
    row: Row = (b"f", b"one", state, "rule", "entry", 5, expires_at, 7, "/old", b"maker", b"made", None, 3, HERE)
    if state == IN_FLIGHT:
        row = (b"f", b"one", state, "rule", "entry", 5, None, 7, None, b"maker", b"made", None, 3, HERE)
        kept = [value for at, value in enumerate(row) if at not in {2, 6, 8, 11}]
        database.execute(f"INSERT INTO in_flight VALUES ({','.join('?' * len(kept))})", kept)
    else:
        database.execute(f"INSERT INTO claims VALUES ({','.join('?' * len(row))})", row)
        database.execute("INSERT INTO counts VALUES ('rule', ?, 1)", (state,))
    return [row]


def settled(state: int, answer: bytes | None, link: bytes) -> Row:
    """What becomes of it."""
    return (b"f", b"one", state, "rule", "entry", 5, NOW + 500, 7, "/users/1", b"maker", b"made", answer, 3, link)


def test_a_new_claim_is_written(database: sqlite3.Connection) -> None:
    assert write(database, reserving(b"two")) == [reserved(b"two")]


def test_what_a_claim_has_not_is_null(database: sqlite3.Connection) -> None:
    row = (b"f", b"two", FREE, IN_FLIGHT, "rule", "entry", NOW, 0, 9, "", "", "", "", -1, "")
    bare = (b"f", b"two", IN_FLIGHT, "rule", "entry", NOW, None, 9, None, None, None, None, None, None)
    assert write(database, row) == [bare]
    ended = (b"f", b"two", IN_FLIGHT, UNKNOWN, "rule", "", 0, NOW + 1, 0, None, "", "", "", -1, "")
    assert write(database, ended) == [(b"f", b"two", UNKNOWN, "rule", "entry", NOW, NOW + 1, 9, *[None] * 6)]


@pytest.mark.parametrize("state", [CREATED, UNKNOWN])
def test_a_claim_that_is_free_by_the_clock_is_taken_over_whole(database: sqlite3.Connection, state: int) -> None:
    put(database, state, NOW)
    assert write(database, reserving(b"two")) == [reserved(b"two")]


@pytest.mark.parametrize(
    ("state", "expires_at"), [(IN_FLIGHT, None), (CREATED, NOW + 1), (UNKNOWN, NOW + 1), (CREATED, 2**63 - 1)]
)
def test_a_held_claim_is_never_taken(database: sqlite3.Connection, state: int, expires_at: int | None) -> None:
    before = put(database, state, expires_at)
    assert write(database, reserving(b"two")) == before


@pytest.mark.parametrize("state", [CREATED, UNKNOWN])
def test_the_holder_settles_and_what_it_reserved_stays(database: sqlite3.Connection, state: int) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, ending(b"one", state)) == [settled(state, b"answer", LINK)]


def test_without_another_link_it_keeps_its_own(database: sqlite3.Connection) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, ending(b"one", link="")) == [settled(CREATED, b"answer", HERE)]


def test_the_holder_frees(database: sqlite3.Connection) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, ending(b"one", FREE)) == []


@pytest.mark.parametrize("state", [CREATED, UNKNOWN, FREE])
def test_nobody_else_settles(database: sqlite3.Connection, state: int) -> None:
    before = put(database, IN_FLIGHT, None)
    assert write(database, ending(b"two", state)) == before


@pytest.mark.parametrize("before", [CREATED, UNKNOWN])
@pytest.mark.parametrize("state", [CREATED, UNKNOWN, FREE])
def test_nobody_settles_twice(database: sqlite3.Connection, before: int, state: int) -> None:
    there = put(database, before, 0)
    assert write(database, ending(b"one", state)) == there


def test_a_settlement_makes_no_claim(database: sqlite3.Connection) -> None:
    assert write(database, ending(b"one")) == []


def test_rows_are_written_in_their_order(database: sqlite3.Connection) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, ending(b"one", FREE), reserving(b"two"), reserving(b"three")) == [reserved(b"two")]


@pytest.mark.parametrize("was", [CREATED, UNKNOWN])
@pytest.mark.parametrize("state", [CREATED, UNKNOWN, FREE])
def test_what_another_operation_holds_changes_where_it_is_as_it_was(
    database: sqlite3.Connection, was: int, state: int
) -> None:
    put(database, was, NOW + 9)
    changed = write(database, ending(b"one", state, was))
    assert changed == ([settled(state, None, LINK)] if state else [])


@pytest.mark.parametrize(("owner", "was"), [(b"two", CREATED), (b"one", UNKNOWN)])
@pytest.mark.parametrize("state", [CREATED, FREE])
def test_it_stays_where_it_is_not(database: sqlite3.Connection, owner: bytes, was: int, state: int) -> None:
    before = put(database, CREATED, NOW + 9)
    assert write(database, ending(owner, state, was)) == before


@pytest.mark.parametrize("state", [CREATED, FREE])
def test_nor_does_it_while_it_is_in_flight(database: sqlite3.Connection, state: int) -> None:
    before = put(database, IN_FLIGHT, None)
    assert write(database, ending(b"one", state, CREATED), ending(b"one", state, UNKNOWN)) == before


@pytest.mark.parametrize("there", [None, IN_FLIGHT, CREATED, UNKNOWN])
def test_claims_are_added_where_there_is_none_and_else_none_of_them(
    database: sqlite3.Connection, there: int | None
) -> None:
    row = (b"f", b"two", UNKNOWN, "rule", "entry", 5, NOW, 7, None, b"maker", None, b"answer", None, LINK)
    if there is None:
        before = write(database, row, statement="add")
        assert before == [row]
    else:
        before = put(database, there, 0)
    with pytest.raises(sqlite3.IntegrityError):
        write(database, (b"e", *row[1:]), row, (b"g", *row[1:]), statement="add")
    assert held(database) == before
