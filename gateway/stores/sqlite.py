# The durable store: SQLite through aiosqlite. One process, one connection, one writer that takes turns.
#
# Calls wait in a queue. A turn takes many of them, looks up what is stored under all their fingerprints in one
# statement, decides them one after the other, and writes all that changes in a second statement, which is one commit.
# Nobody else can write in between: the file is locked exclusively, and there is only this writer.

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import aiosqlite
import msgspec

from gateway.errors import StoreError
from gateway.model import Claim, Held, Purged, Record, Reserved, Settlement, State
from gateway.stores import sql
from gateway.stores.base import release, take
from gateway.stores.recent import Recent

MAX_ROWS = 128
"""Claims in one turn: beyond it a longer statement saves nothing more."""
_FREE_STATE = 0
_BACKOFF = 0.05
_MAX_BACKOFF = 0.25
_CLOSING_TRIES = 4

T = TypeVar("T")


class _Waiting(Generic[T]):
    """Something that waits in the queue, and the future that hears its answer, which may have been cancelled."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def answer(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, reason: object) -> None:
        if not self.future.done():
            self.future.set_exception(StoreError(str(reason)))
            self.future.exception()  # heard: a caller that left must not make the loop complain


class _Call(_Waiting[T]):
    """A reservation, or with a settlement the end of one."""

    __slots__ = ("claims", "now", "owner", "settlement")

    def __init__(self, claims: Sequence[Claim], owner: bytes, now: int, settlement: Settlement | None) -> None:
        super().__init__()
        self.claims = claims
        self.owner = owner
        self.now = now
        self.settlement = settlement  # None: a reservation


class _Job(_Waiting[Any]):
    """A statement that runs between two turns: a read for the operator, a step of a purge."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        super().__init__()
        self.work = work


class SqliteStore:
    """See Store.

    Mutable state: the queue; the owners whose claims are in flight, all of them this process's own, because opening
    made every older one unknown; and whether the writer waits, backs off, or is closing.
    """

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database
        self._queue: deque[_Call[Any] | _Job] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._in_flight: set[bytes] = set()
        self._recent = Recent()
        self._failures = 0
        self._closing = False
        self._writer = asyncio.get_running_loop().create_task(self._write_turns(), name="store-writer")

    def __repr__(self) -> str:
        return f"SqliteStore({len(self._queue)} waiting)"

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        """See Store."""
        call: _Call[Reserved | Held] = _Call(claims, owner, now, None)
        known = self._recent.meet(claims, now)
        if known is None or self._closing:
            self._enqueue(call)
        else:
            call.answer(known)
        return call.future

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        """See Store."""
        call: _Call[bool] = _Call(claims, owner, now, settlement)
        self._enqueue(call)
        return call.future

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        """See Store."""
        records = _records(await self._between_turns(_look_sql(1), (fingerprint,)))
        return next((record for record in records if record.is_held(now)), None)

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        """See Store."""
        return _records(await self._between_turns(sql.read("scan"), {"after": after, "limit": limit, "now": now}))

    async def forget(self, fingerprint: bytes) -> bool:
        """See Store."""
        try:
            return bool(await self._between_turns(sql.read("forget"), {"fingerprint": fingerprint}))
        finally:
            self._recent.forget(fingerprint)  # after the turns before it, which may have learned of it

    async def purge(self, now: int, limit: int) -> Purged:
        """See Store."""
        self._recent.saw(now)
        rows = await self._between_turns(sql.read("purge"), {"now": now, "limit": limit})
        return Purged(len(rows), sum(1 for (state,) in rows if state == State.UNKNOWN))

    async def ping(self, now: int) -> None:
        """See Store."""
        await self._between_turns(sql.read("ping"), {"now": now})

    async def close(self) -> None:
        """See Store."""
        self._closing = True
        self._wake()
        await self._writer
        await self._database.close()

    def _enqueue(self, call: "_Call[Any] | _Job") -> None:
        if self._closing:
            call.fail("the store is closed")
            return
        self._queue.append(call)
        self._wake()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _between_turns(self, statement: str, parameters: Any) -> list[Any]:
        job = _Job(lambda: self._database.execute_fetchall(statement, parameters))
        self._enqueue(job)
        return list(await job.future)

    async def _write_turns(self) -> None:
        while True:
            if self._failures:
                if self._closing and self._failures > _CLOSING_TRIES:
                    # what could not be settled is in flight in the file, and unknown at the next start
                    self._abandon_queue()
                    return
                await asyncio.sleep(min(_BACKOFF * self._failures, _MAX_BACKOFF))
            elif not self._queue:
                if self._closing:
                    return
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
                self._idle = None
                continue
            if self._queue and isinstance(self._queue[0], _Job):
                await self._run_job(self._queue.popleft())  # type: ignore[arg-type]
            else:
                await self._take_turn(self._next_turn())

    def _abandon_queue(self) -> None:
        for call in self._queue:
            call.fail("the store was closed while it could not write")

    async def _run_job(self, job: _Job) -> None:
        try:
            result = await job.work()
        except (sqlite3.Error, ValueError) as error:
            self._failures += 1
            job.fail(error)
        else:
            self._failures = 0
            job.answer(result)

    def _next_turn(self) -> list[_Call[Any]]:
        """Take calls in order, up to a job, up to MAX_ROWS, and up to a settlement of what this turn reserves.

        The last, because the write statement changes a row for an owner only if it was there before.
        """
        turn: list[_Call[Any]] = []
        rows = 0
        reserving: set[bytes] = set()
        while self._queue:
            call = self._queue[0]
            if isinstance(call, _Job) or (call.settlement is not None and call.owner in reserving):
                break
            rows += len(call.claims)
            if turn and rows > MAX_ROWS:
                break
            if call.settlement is None:
                reserving.add(call.owner)
            turn.append(call)
            self._queue.popleft()
        return turn

    async def _take_turn(self, turn: list[_Call[Any]]) -> None:
        answers: list[tuple[_Call[Any], Reserved | Held | bool]] = []
        rows: list[Any] = []
        settled: set[bytes] = set()
        try:
            records = await self._look([call for call in turn if call.settlement is None])
            for call in turn:
                answer: Reserved | Held | bool
                if call.settlement is None:
                    answer = take(records, call.claims, call.owner, call.now)
                    if isinstance(answer, Reserved):
                        rows.extend(_reserving_rows(call))
                else:
                    answer = call.owner in self._in_flight and call.owner not in settled
                    if answer:
                        settled.add(call.owner)
                        release(records, call.claims, call.owner, call.settlement)
                        rows.extend(_settling_rows(call, call.settlement))
                answers.append((call, answer))
            await self._write(rows)
        except (sqlite3.Error, ValueError) as error:
            self._give_up(turn, answers, error)
            return
        self._failures = 0
        for call, answer in answers:
            if isinstance(answer, Reserved):
                self._in_flight.add(call.owner)
            elif isinstance(answer, Held):
                self._recent.learn(record for _, record in answer.conflicts)
            elif answer:
                self._in_flight.discard(call.owner)
            call.answer(answer)

    def _give_up(
        self,
        turn: list[_Call[Any]],
        answers: list[tuple[_Call[Any], Reserved | Held | bool]],
        error: sqlite3.Error | ValueError,
    ) -> None:
        """A turn was not committed: nothing was taken, what was to be settled waits for another turn.

        At the end of the queue, so that whoever came meanwhile hears now that nothing can be written.
        """
        self._failures += 1
        for call in turn:
            if call.settlement is not None:
                call.fail(error)
                self._queue.append(call)
        untaken = {call.owner for call, answer in answers if isinstance(answer, Reserved)}
        told = dict(answers)
        for call in turn:
            answer = told.get(call)
            if isinstance(answer, Held) and not any(record.owner in untaken for _, record in answer.conflicts):
                call.answer(answer)  # what was read stands, whether or not anything can be written
            elif call.settlement is None:
                call.fail(error)

    async def _look(self, reservations: list[_Call[Any]]) -> dict[bytes, Record]:
        wanted = [claim.fingerprint for call in reservations for claim in call.claims]
        if not wanted:
            return {}
        found = _records(await self._database.execute_fetchall(_look_sql(len(wanted)), wanted))
        return {record.fingerprint: record for record in found}

    async def _write(self, rows: list[Any]) -> None:
        if rows:
            # A plain execute steps once: the whole statement runs, and is committed, without Python's lock.
            await self._database.execute(_write_sql(len(rows)), [value for row in rows for value in row])


def _reserving_rows(call: _Call[Any]) -> list[tuple[Any, ...]]:
    return [
        (claim.fingerprint, call.owner, 1, claim.rule, claim.entry, call.now, None, claim.unknown_hold, None)
        for claim in call.claims
    ]


def _settling_rows(call: _Call[Any], settlement: Settlement) -> list[tuple[Any, ...]]:
    state = _FREE_STATE if settlement.state is None else int(settlement.state)
    return [
        (claim.fingerprint, call.owner, state, "", "", 0, settlement.expires_at, 0, settlement.resource)
        for claim in call.claims
    ]


def _records(rows: Iterable[Any]) -> list[Record]:
    """Read the one row of JSON that look.sql and scan.sql answer with."""
    return [
        Record(bytes.fromhex(fingerprint), bytes.fromhex(owner), State(state), *rest)
        for fingerprint, owner, state, *rest in msgspec.json.decode(next(iter(rows))[0])
    ]


@cache
def _look_sql(count: int) -> str:
    return sql.read("look").replace(":places", ",".join(["?"] * count))


@cache
def _write_sql(count: int) -> str:
    return sql.read("write").replace(":places", ",".join(["(?,?,?,?,?,?,?,?,?)"] * count))
