# write.sql by itself: what the writer decided wrongly would still not be written.

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


def reserving(owner: bytes, now: int = NOW) -> tuple[Any, ...]:
    return (b"f", owner, IN_FLIGHT, "new rule", "new entry", now, None, 9, None, b"caller", b"payload", None)


def settling(owner: bytes, state: int = CREATED) -> tuple[Any, ...]:
    return (b"f", owner, state, "rule", "", 0, NOW + 500, 0, "/users/1", None, None, b"answer")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """An empty store."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        for step in range(1, SCHEMA + 1):
            opened.executescript(sql.read(f"schema_{step}"))
        opened.executescript(sql.read("batch"))
        yield opened


def write(database: sqlite3.Connection, *rows: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Run the statement for a batch of these rows, and return all that the tables hold then, which is counted."""
    places = ",".join(["(?,?,?,?,?,?,?,?,?,?,?,?)"] * len(rows))
    database.execute(sql.read("write").replace(":places", places), [value for row in rows for value in row])
    assert miscounted(database) == []
    settled = database.execute("SELECT * FROM claims").fetchall()
    in_flight = database.execute(
        "SELECT fingerprint, owner, 1, rule, entry, first_seen, NULL, unknown_hold, NULL, caller, payload, NULL"
        " FROM in_flight"
    )
    return [*settled, *in_flight.fetchall()]


def put(database: sqlite3.Connection, state: int, expires_at: int | None) -> list[tuple[Any, ...]]:
    """Have one claim, of the owner "one"."""
    row: tuple[Any, ...] = (b"f", b"one", state, "rule", "entry", 5, expires_at, 7, "/old", b"maker", b"made", None)
    if state == IN_FLIGHT:
        row = (b"f", b"one", state, "rule", "entry", 5, None, 7, None, b"maker", b"made", None)
        kept = (value for at, value in enumerate(row) if at not in {2, 6, 8, 11})
        database.execute("INSERT INTO in_flight VALUES (?,?,?,?,?,?,?,?)", tuple(kept))
    else:
        database.execute("INSERT INTO claims VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
        database.execute("INSERT INTO counts VALUES ('rule', ?, 1)", (state,))
    return [row]


def test_a_new_claim_is_written(database: sqlite3.Connection) -> None:
    assert write(database, reserving(b"two")) == [reserving(b"two")]


@pytest.mark.parametrize("state", [CREATED, UNKNOWN])
def test_a_claim_that_is_free_by_the_clock_is_taken_over_whole(database: sqlite3.Connection, state: int) -> None:
    put(database, state, NOW)
    assert write(database, reserving(b"two")) == [reserving(b"two")]


@pytest.mark.parametrize(
    ("state", "expires_at"), [(IN_FLIGHT, None), (CREATED, NOW + 1), (UNKNOWN, NOW + 1), (CREATED, 2**63 - 1)]
)
def test_a_held_claim_is_never_taken(database: sqlite3.Connection, state: int, expires_at: int | None) -> None:
    before = put(database, state, expires_at)
    assert write(database, reserving(b"two")) == before


@pytest.mark.parametrize("state", [CREATED, UNKNOWN])
def test_the_holder_settles_and_what_it_reserved_stays(database: sqlite3.Connection, state: int) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, settling(b"one", state)) == [
        (b"f", b"one", state, "rule", "entry", 5, NOW + 500, 7, "/users/1", b"maker", b"made", b"answer"),
    ]


def test_the_holder_frees(database: sqlite3.Connection) -> None:
    put(database, IN_FLIGHT, None)
    assert write(database, settling(b"one", FREE)) == []


@pytest.mark.parametrize("state", [CREATED, UNKNOWN, FREE])
def test_nobody_else_settles(database: sqlite3.Connection, state: int) -> None:
    before = put(database, IN_FLIGHT, None)
    assert write(database, settling(b"two", state)) == before


@pytest.mark.parametrize("settled", [CREATED, UNKNOWN])
@pytest.mark.parametrize("state", [CREATED, UNKNOWN, FREE])
def test_nobody_settles_twice(database: sqlite3.Connection, settled: int, state: int) -> None:
    before = put(database, settled, 0)
    assert write(database, settling(b"one", state)) == before


def test_a_settlement_makes_no_claim(database: sqlite3.Connection) -> None:
    assert write(database, settling(b"one")) == []


def test_rows_are_written_in_their_order(database: sqlite3.Connection) -> None:
    put(database, IN_FLIGHT, None)
    freed = (b"f", b"one", FREE, "", "", 0, 0, 0, None, None, None, None)
    assert write(database, freed, reserving(b"two"), reserving(b"three")) == [reserving(b"two")]
