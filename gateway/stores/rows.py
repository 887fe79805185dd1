# The rows of a SQLite store: conversion to and from records, and the statements that read and write them.

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import aiosqlite
import msgspec

from gateway.model import Claim, Record, Settlement, State
from gateway.stores import sql

Row = tuple[Any, ...]
"""The parameters of write.sql for one claim.

What sql/batch.sql does not look at is an empty text or a zero: for a None the module sqlite3 looks for an adapter, and
that takes longer than all the rest of a row."""
_FREE_STATE = 0
_EXACT = 128
"""Up to this many rows there is a statement for every row count; beyond, one for every multiple of it, padded."""
_PADDING: Row = (b"", b"", _FREE_STATE, "", "", 0, None, 0, None, None, None, None)
"""A row without effect: the settlement of a claim that does not exist."""


class Rows:
    """The table of claims. Every method may raise sqlite3.Error."""

    __slots__ = ("_database",)

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def lookup(self, fingerprints: Sequence[bytes]) -> dict[bytes, Record]:
        """Return the records stored under fingerprints, including expired ones."""
        if not fingerprints:
            return {}
        size = _size(len(fingerprints))
        wanted = [*fingerprints, *[b""] * (size - len(fingerprints))]
        found = records(await self._database.execute_fetchall(_per_claim_sql("lookup", size), wanted))
        return {record.fingerprint: record for record in found}

    async def read_answer(self, fingerprints: Sequence[bytes], owner: bytes) -> bytes | None:
        """Return the answer stored with one of the claims, while `owner` holds it."""
        statement = _per_claim_sql("answer", len(fingerprints))
        found = list(await self._database.execute_fetchall(statement, (*fingerprints, owner)))
        return found[0][0] if found else None

    async def resettle(
        self, fingerprints: Sequence[bytes], owner: bytes, was: State, settlement: Settlement
    ) -> list[bytes]:
        """Change the claims that `owner` holds in a state, in one commit; the fingerprints of those."""
        held = (*fingerprints, owner, int(was))
        if settlement.state is None:
            changed = await self._database.execute_fetchall(_per_claim_sql("free", len(fingerprints)), held)
        else:
            ended = (int(settlement.state), settlement.expires_at, settlement.resource)
            changed = await self._database.execute_fetchall(
                _per_claim_sql("resettle", len(fingerprints)), (*ended, *held)
            )
        return [row[0] for row in changed]

    async def write(self, rows: Sequence[Row]) -> None:
        """Write all rows in order, in one commit."""
        if rows:
            # A plain execute steps once: the whole statement runs and commits with the GIL released.
            size = _size(len(rows))
            values = [value for row in (*rows, *[_PADDING] * (size - len(rows))) for value in row]
            await self._database.execute(_write_sql(size), values)

    async def run(self, statement: str, parameters: Any) -> list[Any]:
        """Run one of the statements of gateway.stores.sql in its own transaction, and return its rows."""
        return list(await self._database.execute_fetchall(sql.read(statement), parameters))

    async def empty_log(self) -> None:
        """Checkpoint the write-ahead log into its file, and truncate it.

        SQLite does not checkpoint on close when the file was moved. The next file opened under the same name would then
        have the pages of the old log applied to it.
        """
        await self._database.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")


def reserving(claims: Iterable[Claim], owner: bytes, now: int) -> list[Row]:
    """Return the rows that reserve claims for an owner."""
    return [
        (
            *(claim.fingerprint, owner, int(State.IN_FLIGHT), claim.rule, claim.entry, now, 0, claim.unknown_hold),
            *("", claim.caller, claim.payload, ""),
        )
        for claim in claims
    ]


def settling(claims: Iterable[Claim], owner: bytes, settlement: Settlement) -> list[Row]:
    """Return the rows that settle claims held by an owner."""
    answer, apart = settlement.answer, settlement.apart
    rows: list[Row] = []
    for claim in claims:
        ended = settlement if apart is None else apart.get(claim.fingerprint, settlement)
        state = _FREE_STATE if ended.state is None else int(ended.state)
        kept = answer if ended.state is State.CREATED else None
        rows.append(
            (claim.fingerprint, owner, state, claim.rule, "", 0, ended.expires_at, 0, ended.resource, "", "", kept)
        )
        if kept is not None:
            answer = None
    return rows


def records(rows: Iterable[Any]) -> list[Record]:
    """Decode the JSON in the first column of a single row, which lookup.sql and others return."""
    return [_record(*row) for row in msgspec.json.decode(next(iter(rows))[0])]


def _record(fingerprint: str, owner: str, state: int, caller: str, payload: str, *rest: Any) -> Record:
    record = Record(bytes.fromhex(fingerprint), bytes.fromhex(owner), State(state), *rest)
    if caller or payload:  # few rules ask for them
        return msgspec.structs.replace(
            record,
            caller=bytes.fromhex(caller) if caller else None,
            payload=bytes.fromhex(payload) if payload else None,
        )
    return record


def _size(count: int) -> int:
    return count if count <= _EXACT else -(-count // _EXACT) * _EXACT


@cache
def _per_claim_sql(statement: str, count: int) -> str:
    return sql.read(statement).replace(":places", ",".join(["?"] * count))


@cache
def _write_sql(count: int) -> str:
    return sql.read("write").replace(":places", ",".join(["(?,?,?,?,?,?,?,?,?,?,?,?)"] * count))
