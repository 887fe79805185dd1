# The rows of a SQLite store: the statements that read and write them, and what goes into one and comes out of one.

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import aiosqlite
import msgspec

from gateway.model import Claim, Record, Settlement, State
from gateway.stores import sql

Row = tuple[Any, ...]
"""What write.sql takes for one claim."""
_FREE_STATE = 0
_EXACT = 128
"""Rows up to which there is a statement for each number of them; beyond, one for each multiple, filled up."""
_NOTHING: Row = (b"", b"", _FREE_STATE, "", "", 0, None, 0, None)
"""A row that changes nothing: a settlement of what nobody holds."""


class Rows:
    """The table of claims. Every method raises sqlite3.Error when SQLite cannot do it."""

    __slots__ = ("_database",)

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def lookup(self, fingerprints: Sequence[bytes]) -> dict[bytes, Record]:
        """Return what is stored under fingerprints, whether or not it is still held."""
        if not fingerprints:
            return {}
        size = _size(len(fingerprints))
        wanted = [*fingerprints, *[b""] * (size - len(fingerprints))]
        found = records(await self._database.execute_fetchall(_look_sql(size), wanted))
        return {record.fingerprint: record for record in found}

    async def write(self, rows: Sequence[Row]) -> None:
        """Write all rows in their order, in one commit."""
        if rows:
            # A plain execute steps once: the whole statement runs, and is committed, without Python's lock.
            size = _size(len(rows))
            values = [value for row in (*rows, *[_NOTHING] * (size - len(rows))) for value in row]
            await self._database.execute(_write_sql(size), values)

    async def run(self, statement: str, parameters: Any) -> list[Any]:
        """Run one of the statements of gateway.stores.sql, in a commit of its own, and return what it gives."""
        return list(await self._database.execute_fetchall(sql.read(statement), parameters))

    async def empty_log(self) -> None:
        """Move all that is in the write-ahead log into the file that it belongs to.

        SQLite leaves that undone when it closes a file that was moved; and whatever is opened under the file's name
        next would have the log's pages laid over its own.
        """
        await self._database.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")


def reserving(claims: Iterable[Claim], owner: bytes, now: int) -> list[Row]:
    """Return the rows that take claims for an owner."""
    return [
        (claim.fingerprint, owner, int(State.IN_FLIGHT), claim.rule, claim.entry, now, None, claim.unknown_hold, None)
        for claim in claims
    ]


def settling(claims: Iterable[Claim], owner: bytes, settlement: Settlement) -> list[Row]:
    """Return the rows that settle claims which an owner holds."""
    state = _FREE_STATE if settlement.state is None else int(settlement.state)
    return [
        (claim.fingerprint, owner, state, "", "", 0, settlement.expires_at, 0, settlement.resource) for claim in claims
    ]


def records(rows: Iterable[Any]) -> list[Record]:
    """Read the one row of JSON that lookup.sql and scan.sql answer with."""
    return [
        Record(bytes.fromhex(fingerprint), bytes.fromhex(owner), State(state), *rest)
        for fingerprint, owner, state, *rest in msgspec.json.decode(next(iter(rows))[0])
    ]


def _size(count: int) -> int:
    return count if count <= _EXACT else -(-count // _EXACT) * _EXACT


@cache
def _look_sql(count: int) -> str:
    return sql.read("lookup").replace(":places", ",".join(["?"] * count))


@cache
def _write_sql(count: int) -> str:
    return sql.read("write").replace(":places", ",".join(["(?,?,?,?,?,?,?,?,?)"] * count))
