# The rows of a SQLite store: conversion to and from records, and the statements that read and write them.

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import aiosqlite
import msgspec

from gateway.model import Change, Claim, Kept, Record, Settlement, State
from gateway.stores import sql

Row = tuple[Any, ...]
"""The parameters of write.sql or add.sql for one claim.

For a None and for bytes the module sqlite3 looks for an adapter, and that takes longer than all the rest of a row. So
bytes that every row has are a bytearray, and what there is not, or sql/batch.sql does not look at, is an empty text, a
zero or NO_VERSION."""
NO_VERSION = -1
_FREE_STATE = 0
_IN_FLIGHT = int(State.IN_FLIGHT)
_EXACT = 128
"""Up to this many rows there is a statement for every row count; beyond, one for every multiple of it, padded."""
_PADDING: Row = (b"", b"", _IN_FLIGHT, _FREE_STATE, "", "", 0, 0, 0, "", "", "", "", NO_VERSION, "")
"""A row without effect: the settlement of a claim that does not exist."""
_NOT_ADDED: Row = (b"", b"", _FREE_STATE, "", "", 0, 0, 0, "", "", "", "", NO_VERSION, "")
"""The same among those that add.sql adds."""


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
        wanted = [*map(bytearray, fingerprints), *[""] * (size - len(fingerprints))]
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
            ended = (int(settlement.state), settlement.expires_at, settlement.resource, settlement.link)
            changed = await self._database.execute_fetchall(
                _per_claim_sql("resettle", len(fingerprints)), (*ended, *held)
            )
        return [row[0] for row in changed]

    async def write(self, rows: Sequence[Row]) -> None:
        """Write all rows in order, in one commit."""
        if rows:
            await self._execute("write", rows, _PADDING)

    async def add(self, rows: Sequence[Row]) -> None:
        """Add claims that are settled already, in one commit."""
        if rows:
            await self._execute("add", rows, _NOT_ADDED)

    async def _execute(self, statement: str, rows: Sequence[Row], padding: Row) -> None:
        # A plain execute steps once: the whole statement runs and commits with the GIL released.
        size = _size(len(rows))
        values = [value for row in (*rows, *[padding] * (size - len(rows))) for value in row]
        await self._database.execute(_per_row_sql(statement, size, len(padding)), values)

    async def remove_expired(self, fingerprints: Sequence[bytes], now: int) -> None:
        """Remove those claims that have expired, in one commit."""
        await self._database.execute(_per_claim_sql("remove_expired", len(fingerprints)), (*fingerprints, now))

    async def read_kept(self, found: Sequence[Record]) -> list[Kept]:
        """Return records with the answers that are stored with them while their owners hold them."""
        statement = _per_claim_sql("read_kept", len(found))
        (row,) = await self._database.execute_fetchall(statement, [record.fingerprint for record in found])
        texts = {(fingerprint, owner): answer for fingerprint, owner, answer in msgspec.json.decode(row[0])}
        answers = (texts.get((record.fingerprint.hex(), record.owner.hex())) for record in found)
        return [
            Kept(record, None if answer is None else bytes.fromhex(answer))
            for record, answer in zip(found, answers, strict=True)
        ]

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
    token = bytearray(owner)
    return [
        (
            *(bytearray(claim.fingerprint), token, _FREE_STATE, _IN_FLIGHT, claim.rule, claim.entry, now),
            *(0, claim.unknown_hold, "", claim.caller or "", claim.payload or "", ""),
            *(NO_VERSION if claim.version is None else claim.version, claim.link or ""),
        )
        for claim in claims
    ]


def settling(claims: Iterable[Claim], owner: bytes, settlement: Settlement) -> list[Row]:
    """Return the rows that settle claims held by an owner."""
    answer, apart, token = settlement.answer, settlement.apart, bytearray(owner)
    rows: list[Row] = []
    for claim in claims:
        ended = settlement if apart is None else apart.get(claim.fingerprint, settlement)
        kept = (answer or "") if ended.state is State.CREATED else ""
        rows.append(_ending(bytearray(claim.fingerprint), token, _IN_FLIGHT, claim.rule, ended, kept))
        if kept:
            answer = None
    return rows


def changing(changes: Iterable[Change]) -> list[Row]:
    """Return the rows that change claims of other operations."""
    return [
        _ending(bytearray(one.fingerprint), bytearray(one.owner), int(one.was), "", one.settlement, "")
        for one in changes
    ]


def _ending(
    fingerprint: bytearray, owner: bytearray, was: int, rule: str, ended: Settlement, answer: bytes | str
) -> Row:
    state = _FREE_STATE if ended.state is None else int(ended.state)
    return (
        *(fingerprint, owner, was, state, rule, "", 0, ended.expires_at, 0, ended.resource, "", "", answer),
        *(NO_VERSION, ended.link or ""),
    )


def adding(kept: Kept) -> Row:
    """Return the row that adds a claim."""
    record = kept.record
    return (
        *(bytearray(record.fingerprint), bytearray(record.owner), int(record.state), record.rule, record.entry),
        *(record.first_seen, record.expires_at, record.unknown_hold, record.resource, record.caller, record.payload),
        *(kept.answer, record.version, record.link),
    )


def records(rows: Iterable[Any]) -> list[Record]:
    """Decode the JSON in the first column of a single row, which lookup.sql and others return."""
    return [_record(*row) for row in msgspec.json.decode(next(iter(rows))[0])]


def _record(
    fingerprint: str, owner: str, state: int, caller: str, payload: str, link: str, version: int | None, *rest: Any
) -> Record:
    last: tuple[Any, ...] = (_bytes(caller), _bytes(payload), version, _bytes(link))
    return Record(bytes.fromhex(fingerprint), bytes.fromhex(owner), State(state), *rest, *last)


def _bytes(text: str) -> bytes | None:
    return bytes.fromhex(text) if text else None


def _size(count: int) -> int:
    return count if count <= _EXACT else -(-count // _EXACT) * _EXACT


@cache
def _per_claim_sql(statement: str, count: int) -> str:
    return sql.read(statement).replace(":places", ",".join(["?"] * count))


@cache
def _per_row_sql(statement: str, count: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return sql.read(statement).replace(":places", ",".join([row] * count))
