# The durable store: SQLite through aiosqlite. One process, one connection, one writer task that commits batches.
#
# Calls are queued. A batch takes many of them, looks up all their fingerprints in one statement, decides the calls in
# order, and writes all changes in a second statement, which is one commit. No other write can come in between: the file
# is locked exclusively, and this task is the only writer.

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import aiosqlite
from typing_extensions import override

from gateway.errors import StoreError
from gateway.histogram import Histogram
from gateway.model import (
    Claim,
    Filter,
    Held,
    Kept,
    Overview,
    Page,
    Purged,
    Record,
    Reserved,
    Settlement,
    State,
    VersionCounts,
)
from gateway.stores.adding import ADDED_AT_ONCE, add
from gateway.stores.base import MAX_LINKED, Store
from gateway.stores.decide import CallResult, decide
from gateway.stores.file_identity import FileIdentity
from gateway.stores.list_walk import count_versions, list_claims, overview
from gateway.stores.purge_walk import PurgeWalk
from gateway.stores.recent import Recent
from gateway.stores.rows import Rows, records
from gateway.stores.write_queue import Call, Job, WriteQueue

T = TypeVar("T")
_ANSWERS_AT_ONCE = 50
"""Claims whose answers are read between two batches: an answer may have a megabyte."""


class SqliteStore(Store):
    """Claims in a SQLite file.

    Mutable state: the queue of calls; the owners whose claims are in flight (all of this process, because opening the
    store marks older ones unknown); and the cache of recent records.
    """

    def __init__(
        self, database: aiosqlite.Connection, file: FileIdentity, *, commit_timeout: float, max_waiting: int
    ) -> None:
        """StoreError is raised after `commit_timeout` seconds, for reservations also when `max_waiting` are queued."""
        self._database = database
        self._rows = Rows(database)
        self._file = file
        self._queue = WriteQueue(commit_timeout, max_waiting)
        self._in_flight: set[bytes] = set()
        self._recent = Recent()
        self._purge = PurgeWalk(self._rows)
        self._writer = asyncio.get_running_loop().create_task(self._write_batches(), name="store-writer")

    def __repr__(self) -> str:
        return f"SqliteStore({self._queue!r})"

    @property
    @override
    def commits(self) -> Histogram:
        return self._queue.commits

    @property
    @override
    def waiting(self) -> int:
        return len(self._queue)

    @override
    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        return None if self._queue.is_closing else self._recent.find_held(claims, now)

    @override
    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        call: Call[Reserved | Held] = Call(claims, owner, now, None)
        cached = self.find_held(claims, now)
        if cached is None:
            self._queue.add_reservation(call)
        else:
            call.answer(cached)
        return call.future

    @override
    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        call: Call[bool] = Call(claims, owner, now, settlement)
        for change in settlement.others:
            self._recent.forget(change.fingerprint)
        self._queue.add(call)
        return call.future

    @override
    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        fingerprints = [claim.fingerprint for claim in claims]

        async def change() -> bool:
            try:
                return bool(await self._rows.resettle(fingerprints, owner, was, settlement))
            finally:  # here, in the writer's turn, because nobody may be left who waits for it
                for fingerprint in fingerprints:
                    self._recent.forget(fingerprint)

        return await self._between_batches(change)

    @override
    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        return await self._between_batches(
            lambda: self._rows.read_answer([claim.fingerprint for claim in claims], owner)
        )

    @override
    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        found = await self._between_batches(lambda: self._rows.lookup([fingerprint]))
        record = found.get(fingerprint)
        return record if record is not None and record.is_held(now) else None

    @override
    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        return records(await self._run("find_linked", {"link": link, "now": now, "limit": MAX_LINKED}))

    @override
    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        self._recent.advance_clock(now)
        met: list[Record | None] = []
        for start in range(0, len(kept), ADDED_AT_ONCE):
            some = kept[start : start + ADDED_AT_ONCE]
            met += await self._between_batches(partial(add, self._rows, some, now))
        self._purge.note_written(met.count(None))
        self._check_file()
        return met

    @override
    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        kept: list[Kept] = []
        for start in range(0, len(records), _ANSWERS_AT_ONCE):
            some = records[start : start + _ANSWERS_AT_ONCE]
            kept += await self._between_batches(partial(self._rows.read_kept, some))
        return kept

    @override
    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        return records(await self._run("scan", {"after": after, "limit": limit, "now": now}))

    @override
    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        return await list_claims(self._run, only, after, limit, now)

    @override
    async def count_versions(self, after: bytes, now: int) -> VersionCounts:
        return await count_versions(self._run, after, now)

    @override
    async def overview(self, now: int) -> Overview:
        return await overview(self._run, now, self._file.size())

    @override
    async def forget(self, fingerprint: bytes) -> bool:
        try:
            return bool(await self._run("forget", {"fingerprint": fingerprint}))
        finally:
            self._recent.forget(fingerprint)  # afterwards, because earlier batches may have cached it

    @override
    async def purge(self, now: int, limit: int) -> Purged:
        self._recent.advance_clock(now)
        return await self._between_batches(lambda: self._purge.step(now, limit))

    @override
    async def ping(self, now: int) -> None:
        await self._run("ping", {"now": now})
        self._check_file()

    @override
    async def close(self) -> None:
        self._queue.close()
        await self._writer
        if self._file.check() is not None:
            with contextlib.suppress(sqlite3.Error, ValueError):  # ValueError: already closed
                await self._rows.empty_log()
        await self._database.close()

    def _check_file(self) -> None:
        if (problem := self._file.check()) is not None:
            raise StoreError(problem)

    async def _run(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        return await self._between_batches(lambda: self._rows.run(statement, parameters))

    async def _between_batches(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        job: Job[T] = Job(work)
        self._queue.add(job)
        return await job.future

    # The writer

    async def _write_batches(self) -> None:
        while (batch := await self._queue.next_batch()) is not None:
            if isinstance(batch, Job):
                await self._run_job(batch)
            else:
                await self._commit_batch(batch)

    async def _run_job(self, job: Job[Any]) -> None:
        try:
            job.answer(await job.work())
        except Exception as error:  # noqa: BLE001 the calls queued behind it must be processed all the same
            job.fail(_reason(error))
        self._queue.batch_done()

    async def _commit_batch(self, batch: list[Call[Any]]) -> None:
        answers: dict[Call[Any], CallResult] = {}
        try:
            wanted = [claim.fingerprint for call in batch if call.settlement is None for claim in call.claims]
            found = await self._rows.lookup(wanted)
            await self._rows.write(decide(batch, found, self._in_flight, answers))
        except Exception as error:  # noqa: BLE001 the writer must continue with the next batch
            self._fail_batch(batch, answers, error)
        else:
            self._answer_all(answers)
            self._queue.batch_done()

    def _answer_all(self, answers: dict[Call[Any], CallResult]) -> None:
        """Answer the calls of a committed batch. When the file is gone, reservations fail and are freed again."""
        is_checked = False
        problem: str | None = None
        for call, answer in answers.items():
            if isinstance(answer, Reserved):
                if not is_checked:
                    is_checked, problem = True, self._file.check()
                self._in_flight.add(call.owner)
                if problem is not None:
                    call.fail(problem)
                if call.has_failed:
                    self._queue.free(call)
            elif isinstance(answer, Held):
                self._recent.remember(record for _, record in answer.conflicts)
            elif call.settlement is not None:
                if answer:
                    self._in_flight.discard(call.owner)
                    self._purge.note_written(len(call.claims))
                for change in call.settlement.others:
                    self._recent.forget(change.fingerprint)  # once more, because earlier batches may have cached it
            call.answer(answer)

    def _fail_batch(self, batch: list[Call[Any]], answers: dict[Call[Any], CallResult], error: Exception) -> None:
        """Fail the calls of a batch that was not committed. Nothing was reserved; settlements go to the backlog."""
        reason = _reason(error)
        uncommitted = {call.owner for call, answer in answers.items() if isinstance(answer, Reserved)}
        for call in batch:
            answer = answers.get(call)
            if isinstance(answer, Held) and not any(record.owner in uncommitted for _, record in answer.conflicts):
                call.answer(answer)  # what was read is valid, even if nothing can be written
            else:
                call.fail(reason)
            if isinstance(answer, Reserved) and not isinstance(error, sqlite3.Error):
                # no SQLite error, so a rollback is not certain
                self._in_flight.add(call.owner)
                self._queue.free(call)
        self._queue.batch_done([call for call in batch if call.settlement is not None])


def _reason(error: Exception) -> str:
    """The text of a SQLite error; only the type of any other, because its text may contain a value."""
    return str(error) if isinstance(error, sqlite3.Error) else f"unexpected {type(error).__name__}"
