# The durable store: SQLite through aiosqlite. One process, one connection, one writer that takes batches.
#
# Calls wait in a line. A batch takes many of them, looks up what is stored under all their fingerprints in one
# statement, decides them one after the other, and writes all that changes in a second statement, which is one commit.
# Nobody else can write in between: the file is locked exclusively, and there is only this writer.

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import aiosqlite

from gateway.errors import StoreError
from gateway.model import Claim, Held, Purged, Record, Reserved, Settlement, State
from gateway.stores.base import reserve_in, settle_in
from gateway.stores.file_identity import FileIdentity
from gateway.stores.recent import Recent
from gateway.stores.rows import Row, Rows, records, reserving, settling
from gateway.stores.write_queue import Call, Job, WriteQueue

T = TypeVar("T")
CallResult = Reserved | Held | bool


class SqliteStore:
    """See Store.

    Mutable state: the line of those who wait; the owners whose claims are in flight, all of them this process's own,
    because opening made every older one unknown; and what was met lately.
    """

    def __init__(
        self, database: aiosqlite.Connection, file: FileIdentity, *, commit_timeout: float, max_waiting: int
    ) -> None:
        """`commit_timeout` in seconds: who waits for longer gets StoreError. So does who comes after `max_waiting`."""
        self._database = database
        self._rows = Rows(database)
        self._file = file
        self._queue = WriteQueue(commit_timeout, max_waiting)
        self._in_flight: set[bytes] = set()
        self._recent = Recent()
        self._writer = asyncio.get_running_loop().create_task(self._write_batches(), name="store-writer")

    def __repr__(self) -> str:
        return f"SqliteStore({self._queue!r})"

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        """See Store."""
        call: Call[Reserved | Held] = Call(claims, owner, now, None)
        known = self._recent.find_held(claims, now)
        if known is None or self._queue.is_closing:
            self._queue.add_reservation(call)
        else:
            call.answer(known)
        return call.future

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        """See Store."""
        call: Call[bool] = Call(claims, owner, now, settlement)
        self._queue.add(call)
        return call.future

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        """See Store."""
        found = await self._between_batches(lambda: self._rows.lookup([fingerprint]))
        record = found.get(fingerprint)
        return record if record is not None and record.is_held(now) else None

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        """See Store."""
        return records(await self._run("scan", after=after, limit=limit, now=now))

    async def forget(self, fingerprint: bytes) -> bool:
        """See Store."""
        try:
            return bool(await self._run("forget", fingerprint=fingerprint))
        finally:
            self._recent.forget(fingerprint)  # after the batches before it, which may have learned of it

    async def purge(self, now: int, limit: int) -> Purged:
        """See Store."""
        self._recent.advance_clock(now)
        rows = await self._run("purge", now=now, limit=limit)
        return Purged(len(rows), sum(1 for (state,) in rows if state == State.UNKNOWN))

    async def ping(self, now: int) -> None:
        """See Store."""
        await self._run("ping", now=now)
        if (problem := self._file.check()) is not None:
            raise StoreError(problem)

    async def close(self) -> None:
        """See Store."""
        self._queue.close()
        await self._writer
        if self._file.check() is not None:
            with contextlib.suppress(sqlite3.Error, ValueError):  # a ValueError: it was closed before
                await self._rows.empty_log()
        await self._database.close()

    async def _run(self, statement: str, **parameters: Any) -> list[Any]:
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
        except Exception as error:  # noqa: BLE001 whatever it was, those who wait behind it are served
            job.fail(_reason(error))
        self._queue.batch_done()

    async def _commit_batch(self, batch: list[Call[Any]]) -> None:
        answers: dict[Call[Any], CallResult] = {}
        try:
            wanted = [claim.fingerprint for call in batch if call.settlement is None for claim in call.claims]
            await self._rows.write(self._decide(batch, await self._rows.lookup(wanted), answers))
        except Exception as error:  # noqa: BLE001 whatever it was, there must be a next batch
            self._fail_batch(batch, answers, error)
        else:
            self._answer_all(answers)
            self._queue.batch_done()

    def _decide(
        self, batch: list[Call[Any]], found: dict[bytes, Record], answers: dict[Call[Any], CallResult]
    ) -> list[Row]:
        """Fill in `answers`, which become true once the rows that this returns are committed."""
        rows: list[Row] = []
        settled: set[bytes] = set()
        for call in batch:
            answer: CallResult
            if call.settlement is None:
                answer = reserve_in(found, call.claims, call.owner, call.now)
                if isinstance(answer, Reserved):
                    rows.extend(reserving(call.claims, call.owner, call.now))
            else:
                answer = call.owner in self._in_flight and call.owner not in settled
                if answer:
                    settled.add(call.owner)
                    settle_in(found, call.claims, call.owner, call.settlement)
                    rows.extend(settling(call.claims, call.owner, call.settlement))
            answers[call] = answer
        return rows

    def _answer_all(self, answers: dict[Call[Any], CallResult]) -> None:
        """A batch was committed. To a file that is not there any more, it was not: what was taken is freed again."""
        has_looked = False
        problem: str | None = None
        for call, answer in answers.items():
            if isinstance(answer, Reserved):
                if not has_looked:
                    has_looked, problem = True, self._file.check()
                self._in_flight.add(call.owner)
                if problem is not None:
                    call.fail(problem)
                if call.has_failed:
                    self._queue.free(call)
            elif isinstance(answer, Held):
                self._recent.remember(record for _, record in answer.conflicts)
            elif answer:
                self._in_flight.discard(call.owner)
            call.answer(answer)

    def _fail_batch(self, batch: list[Call[Any]], answers: dict[Call[Any], CallResult], error: Exception) -> None:
        """A batch was not committed: nothing was taken, what was to be settled waits for another batch."""
        reason = _reason(error)
        uncommitted = {call.owner for call, answer in answers.items() if isinstance(answer, Reserved)}
        for call in batch:
            answer = answers.get(call)
            if isinstance(answer, Held) and not any(record.owner in uncommitted for _, record in answer.conflicts):
                call.answer(answer)  # what was read stands, whether or not anything can be written
            else:
                call.fail(reason)
            if isinstance(answer, Reserved) and not isinstance(error, sqlite3.Error):
                # SQLite did not say that it has rolled back
                self._in_flight.add(call.owner)
                self._queue.free(call)
        self._queue.batch_done([call for call in batch if call.settlement is not None])


def _reason(error: Exception) -> str:
    """What SQLite says; of anything else only what it is, because its text may show a value."""
    return str(error) if isinstance(error, sqlite3.Error) else f"unexpected {type(error).__name__}"
