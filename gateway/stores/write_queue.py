# The queue in front of the SQLite writer: calls in order, bounded in number and time, and the backlog of settlements
# that must be retried. Knows no SQL.

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from gateway.errors import StoreBusy, StoreError
from gateway.histogram import COMMITS, Histogram
from gateway.model import FREE, Claim, Settlement

MAX_ROWS = 1024
"""Claims in one batch. Statements of more than a hundred rows are no more efficient. But when the event loop is busy,
batches are few, and each must be large."""
_TICKS = 16
_BACKOFF = 0.05
_MAX_BACKOFF = 0.25
_CLOSING_RETRIES = 4

T = TypeVar("T")


class Waiting(Generic[T]):
    """A queue entry with the future for its result, which the caller may have cancelled."""

    __slots__ = ("future", "since")

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.since = 0
        """The tick at which it was queued (see WriteQueue)."""

    @property
    def has_failed(self) -> bool:
        """Whether the caller got an error."""
        return self.future.done() and not self.future.cancelled() and self.future.exception() is not None

    def answer(self, result: T) -> None:
        """Set the result, unless there is one already or the caller cancelled."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, reason: str, kind: type[StoreError] = StoreError) -> None:
        """Set an error, unless there is a result already or the caller cancelled."""
        if not self.future.done():
            self.future.set_exception(kind(reason))
            self.future.exception()  # mark as retrieved: asyncio must not warn when the caller has left


class Call(Waiting[T]):
    """A reservation or, with `settlement`, the settlement of one."""

    __slots__ = ("claims", "may_be_done", "now", "owner", "rows", "settlement")

    def __init__(self, claims: Sequence[Claim], owner: bytes, now: int, settlement: Settlement | None) -> None:
        super().__init__()
        self.claims = claims
        self.owner = owner
        self.now = now
        self.settlement = settlement  # None: a reservation
        self.rows = len(claims) if settlement is None else len(claims) + len(settlement.others)
        """How many claims it writes."""
        self.may_be_done = False
        """Whether it was tried, and nobody knows how that ended."""


class Job(Waiting[T]):
    """A statement that runs between two batches: an operator's query, or one step of a purge."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__()
        self.work = work


class WriteQueue:
    """Supplies the writer with batches.

    A batch is one job, or calls in order, or settlements that an earlier batch could not write or not in time. Those go
    to a separate retry backlog, so that new calls never wait behind them: the two kinds of batches alternate, and while
    writes fail, the backlog is retried with a backoff.

    A call fails after `commit_timeout` seconds. Once the first in the queue has waited for half of that, new
    reservations are rejected at once. Otherwise, under overload, every one of them would wait until it times out, and
    the store would be busy reserving and freeing claims for callers that are gone.

    Reading the clock for each call would cost more than the rest of this class. So a timer ticks every sixteenth of
    that time while anything is queued, and each call records the tick at which it was queued.

    Mutable state: the queue, and the number of reservations in it; the batch in progress, and when it began, if it is
    not a job; the backlog and its number of failed retries; the future that the idle writer waits for; how long batches
    of calls took (`commits`), also those that failed.
    """

    def __init__(self, commit_timeout: float, max_waiting: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._too_late = f"the store took longer than {commit_timeout:g} s to commit"
        self._too_many = f"{max_waiting} creates wait for the store already"
        self._too_slow = f"more creates wait for the store than it can commit within {commit_timeout:g} s"
        self._max_waiting = max_waiting
        self._tick_every = commit_timeout / _TICKS
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[Call[Any] | Job[Any]] = deque()
        self._reservations = 0
        self._in_progress: Sequence[Waiting[Any]] = ()
        self._batch_began = 0
        self._commit_began: float | None = None
        self.commits = Histogram(COMMITS)
        self._backlog: deque[Call[Any]] = deque()
        self._is_retry_batch = False
        self._failures = 0
        self._try_again_at = 0.0
        self._idle: asyncio.Future[None] | None = None
        self.is_closing = False

    def __repr__(self) -> str:
        return f"WriteQueue({len(self._queue)} waiting, {len(self._backlog)} to retry)"

    def __len__(self) -> int:
        """How many calls and jobs wait, those to be tried again included; without the batch in progress."""
        return len(self._queue) + len(self._backlog)

    # Adding calls

    def add_reservation(self, call: Call[Any]) -> None:
        """Queue a reservation, or fail it when the store is overloaded."""
        if self._reservations >= self._max_waiting:
            call.fail(self._too_many, self._rejection())
        elif self._queue and self._queue[0].since < self._ticks - _TICKS // 2:
            call.fail(self._too_slow, self._rejection())
        else:
            self._reservations += not self.is_closing
            self.add(call)

    def add(self, waiting: Call[Any] | Job[Any]) -> None:
        """Queue a settlement or a job, whatever the load."""
        if self.is_closing:
            waiting.fail("the store is closed")
            return
        waiting.since = self._ticks
        self._queue.append(waiting)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_every, self._tick)
        self._wake()

    def close(self) -> None:
        """Accept nothing more. Queued calls are still processed, and the backlog is retried a few more times."""
        self.is_closing = True
        self._failures = 0
        self._wake()

    # Taking batches

    async def next_batch(self) -> "list[Call[Any]] | Job[Any] | None":
        """Wait for the next batch; None when the queue is closed and empty.

        Settlements that could not be written by then stay in flight in the file, and become unknown at the next start.
        """
        while True:
            was_retry_batch, self._is_retry_batch = self._is_retry_batch, False
            self._batch_began = self._ticks
            if self._is_retry_due() and not (was_retry_batch and self._queue):
                self._is_retry_batch = True
                return self._retry_batch()
            if self._queue:
                return self._next_in_queue()
            if self.is_closing and (not self._backlog or self._failures > _CLOSING_RETRIES):
                if self._timer is not None:
                    self._timer.cancel()
                return None
            await self._wait_for_work()

    def batch_done(self, kept: Sequence[Call[Any]] = ()) -> None:
        """Note that the batch in progress has ended. `kept` are settlements that it could not write."""
        self._in_progress = ()
        if self._commit_began is not None:
            self.commits.observe((self._loop.time() - self._commit_began) * 1000)
            self._commit_began = None
        self._backlog.extend(kept)
        if self._is_retry_batch:
            self._failures = self._failures + 1 if kept else 0
            self._try_again_at = 0.0
            if kept:
                self._try_again_at = self._loop.time() + min(_BACKOFF * self._failures, _MAX_BACKOFF)

    def free(self, call: Call[Any]) -> None:
        """Free a reservation before anything else, because its caller got an error.

        It shares a batch with queued calls, with the age of the first one: otherwise a slow store could not catch up.
        """
        freed: Call[Any] = Call(call.claims, call.owner, call.now, FREE)
        freed.since = self._queue[0].since if self._queue else self._ticks
        self._queue.appendleft(freed)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_every, self._tick)

    # Internals

    def _rejection(self) -> type[StoreError]:
        """The error for a rejected call: StoreBusy, or StoreError when a batch takes too long to still be expected."""
        is_stuck = bool(self._in_progress) and self._batch_began < self._ticks - _TICKS
        return StoreError if is_stuck else StoreBusy

    def _is_retry_due(self) -> bool:
        return bool(self._backlog) and (not self._failures or self._loop.time() >= self._try_again_at)

    def _retry_batch(self) -> list[Call[Any]]:
        """Take a full batch from the backlog; only one call after a failure, because a single one may be the cause."""
        batch = [self._backlog.popleft()]
        rows = batch[0].rows
        while self._backlog and not self._failures and (rows := rows + self._backlog[0].rows) <= MAX_ROWS:
            batch.append(self._backlog.popleft())
        return self._begin(batch)

    def _next_in_queue(self) -> "list[Call[Any]] | Job[Any]":
        """Take a job, or calls in order until the next job, MAX_ROWS, or a settlement of a reservation in this batch.

        The last, because the write statement settles only rows that existed before it.
        """
        batch: list[Call[Any]] = []
        rows = 0
        reserving: set[bytes] = set()
        while self._queue:
            call = self._queue[0]
            if isinstance(call, Job):
                if batch:
                    break
                self._in_progress = (self._queue.popleft(),)
                return call
            if call.settlement is not None and call.owner in reserving:
                break
            rows += call.rows
            if batch and rows > MAX_ROWS:
                break
            if call.settlement is None:
                reserving.add(call.owner)
                self._reservations -= 1
            batch.append(call)
            self._queue.popleft()
        return self._begin(batch)

    def _begin(self, batch: list[Call[Any]]) -> list[Call[Any]]:
        self._in_progress = batch
        self._commit_began = self._loop.time()
        return batch

    async def _wait_for_work(self) -> None:
        self._idle = self._loop.create_future()
        retry = self._loop.call_at(self._try_again_at, self._wake) if self._backlog else None
        await self._idle
        self._idle = None
        if retry is not None:
            retry.cancel()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _tick(self) -> None:
        """Fail calls that waited too long. Reservations and jobs are dropped, unless their batch is in progress."""
        self._ticks += 1
        oldest = self._ticks - _TICKS
        while self._queue and self._queue[0].since < oldest:
            waiting = self._queue.popleft()
            waiting.fail(self._too_late)
            if isinstance(waiting, Call):
                if waiting.settlement is None:
                    self._reservations -= 1
                else:
                    self._backlog.append(waiting)
        for late in self._in_progress:
            if late.since < oldest:
                late.fail(self._too_late)
        self._timer = None
        if self._queue or self._in_progress:
            self._timer = self._loop.call_later(self._tick_every, self._tick)
