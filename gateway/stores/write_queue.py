# Who waits for the store: calls in the order in which they came, for so long, and no more than so many; and the
# settlements that are still owed to the file. Knows no SQL.

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from gateway.errors import StoreBusy, StoreError
from gateway.model import FREE, Claim, Settlement

MAX_ROWS = 1024
"""Claims in one batch. Beyond a hundred a longer statement saves nothing more; but when the event loop has so much else
to do that batches are few, each must take many."""
_TICKS = 16
_BACKOFF = 0.05
_MAX_BACKOFF = 0.25
_CLOSING_TRIES = 4

T = TypeVar("T")


class Waiting(Generic[T]):
    """Something that waits, and the future that hears its answer, which may have been cancelled."""

    __slots__ = ("future", "since")

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.since = 0
        """The look before which it came (see WriteQueue)."""

    @property
    def has_failed(self) -> bool:
        """Whether its caller was told that nothing came of it."""
        return self.future.done() and not self.future.cancelled() and self.future.exception() is not None

    def answer(self, result: T) -> None:
        """Tell the caller, if it has not been told, and still waits."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, reason: str, kind: type[StoreError] = StoreError) -> None:
        """Tell the caller that nothing came of it, if it has not been told, and still waits."""
        if not self.future.done():
            self.future.set_exception(kind(reason))
            self.future.exception()  # heard: a caller that left must not make the loop complain


class Call(Waiting[T]):
    """A reservation, or with a settlement the end of one."""

    __slots__ = ("claims", "now", "owner", "settlement")

    def __init__(self, claims: Sequence[Claim], owner: bytes, now: int, settlement: Settlement | None) -> None:
        super().__init__()
        self.claims = claims
        self.owner = owner
        self.now = now
        self.settlement = settlement  # None: a reservation


class Job(Waiting[T]):
    """A statement that runs between two batches: a read for the operator, a step of a purge."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__()
        self.work = work


class WriteQueue:
    """Gives the writer one batch after the other.

    A batch is a job, or calls in their order, or settlements that an earlier batch could not write, or not in time.
    Those are kept apart in a retry backlog, so that new calls never wait behind them: the two kinds of batches
    alternate, and while nothing can be written, the backlog is tried only now and then.

    Nobody is kept for longer than `commit_timeout` seconds; and once the first in the queue has waited for half of
    that, reservations are turned away at once. Else, with more coming than the store can take, each of them would wait
    until it is too late, and the store would be busy with taking and freeing what nobody waits for any more.

    A clock that is read for each call would cost more than all the rest here; so while anybody waits there is a look at
    the line every sixteenth of that time, and each call knows how many there were before it came.

    Mutable state: the queue, and how many of it are reservations; the batch under way; what is owed, and since how many
    tries; whether the writer rests.
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
        self._under_way: Sequence[Waiting[Any]] = ()
        self._batch_began = 0
        self._backlog: deque[Call[Any]] = deque()
        self._is_retry_batch = False
        self._failures = 0
        self._try_again_at = 0.0
        self._idle: asyncio.Future[None] | None = None
        self.is_closing = False

    def __repr__(self) -> str:
        return f"WriteQueue({len(self._queue)} waiting, {len(self._backlog)} owed)"

    # Coming

    def add_reservation(self, call: Call[Any]) -> None:
        """Let a reservation wait, or fail it when too many do."""
        if self._reservations >= self._max_waiting:
            call.fail(self._too_many, self._why_not())
        elif self._queue and self._queue[0].since < self._ticks - _TICKS // 2:
            call.fail(self._too_slow, self._why_not())
        else:
            self._reservations += not self.is_closing
            self.add(call)

    def add(self, waiting: Call[Any] | Job[Any]) -> None:
        """Let a settlement or a job wait, however many do."""
        if self.is_closing:
            waiting.fail("the store is closed")
            return
        waiting.since = self._ticks
        self._queue.append(waiting)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_every, self._tick)
        self._wake()

    def close(self) -> None:
        """Take nothing more. What waits is still given out, and what is owed is tried a few times more."""
        self.is_closing = True
        self._failures = 0
        self._wake()

    # Going

    async def next_batch(self) -> "list[Call[Any]] | Job[Any] | None":
        """Wait until there is something to do, and return it; None when the line is closed and all is done.

        What could not be settled then is in flight in the file, and unknown at the next start.
        """
        while True:
            was_retry_batch, self._is_retry_batch = self._is_retry_batch, False
            self._batch_began = self._ticks
            if self._is_retry_due() and not (was_retry_batch and self._queue):
                self._is_retry_batch = True
                return self._retry_batch()
            if self._queue:
                return self._next_in_queue()
            if self.is_closing and (not self._backlog or self._failures > _CLOSING_TRIES):
                if self._timer is not None:
                    self._timer.cancel()
                return None
            await self._rest()

    def batch_done(self, kept: Sequence[Call[Any]] = ()) -> None:
        """Hear that the batch under way has ended. `kept` are settlements that it could not write."""
        self._under_way = ()
        self._backlog.extend(kept)
        if self._is_retry_batch:
            self._failures = self._failures + 1 if kept else 0
            self._try_again_at = 0.0
            if kept:
                self._try_again_at = self._loop.time() + min(_BACKOFF * self._failures, _MAX_BACKOFF)

    def free(self, call: Call[Any]) -> None:
        """Let what a reservation took be freed before anything else: nobody was told that it was taken.

        In a batch with those who wait, which is to be no later for that: else a slow store would never catch up.
        """
        freed: Call[Any] = Call(call.claims, call.owner, call.now, FREE)
        freed.since = self._queue[0].since if self._queue else self._ticks
        self._queue.appendleft(freed)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_every, self._tick)

    # How it is done

    def _why_not(self) -> type[StoreError]:
        """Whether the store is busy, or takes too long over one batch to be taken for one that commits."""
        is_stuck = bool(self._under_way) and self._batch_began < self._ticks - _TICKS
        return StoreError if is_stuck else StoreBusy

    def _is_retry_due(self) -> bool:
        return bool(self._backlog) and (not self._failures or self._loop.time() >= self._try_again_at)

    def _retry_batch(self) -> list[Call[Any]]:
        """Take as many as a batch holds; one, when the last try failed: it may be just one that cannot be written."""
        batch = [self._backlog.popleft()]
        rows = len(batch[0].claims)
        while self._backlog and not self._failures and (rows := rows + len(self._backlog[0].claims)) <= MAX_ROWS:
            batch.append(self._backlog.popleft())
        self._under_way = batch
        return batch

    def _next_in_queue(self) -> "list[Call[Any]] | Job[Any]":
        """Take a job, or calls in order, up to a job, up to MAX_ROWS, and up to a settlement of what they reserve.

        The last, because the write statement changes a row for an owner only if it was there before.
        """
        batch: list[Call[Any]] = []
        rows = 0
        reserving: set[bytes] = set()
        while self._queue:
            call = self._queue[0]
            if isinstance(call, Job):
                if batch:
                    break
                self._under_way = (self._queue.popleft(),)
                return call
            if call.settlement is not None and call.owner in reserving:
                break
            rows += len(call.claims)
            if batch and rows > MAX_ROWS:
                break
            if call.settlement is None:
                reserving.add(call.owner)
                self._reservations -= 1
            batch.append(call)
            self._queue.popleft()
        self._under_way = batch
        return batch

    async def _rest(self) -> None:
        self._idle = self._loop.create_future()
        alarm = self._loop.call_at(self._try_again_at, self._wake) if self._backlog else None
        await self._idle
        self._idle = None
        if alarm is not None:
            alarm.cancel()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _tick(self) -> None:
        """Fail whoever has waited for too long. Reservations and jobs are dropped, unless their batch is under way."""
        self._ticks += 1
        came_before = self._ticks - _TICKS
        while self._queue and self._queue[0].since < came_before:
            waiting = self._queue.popleft()
            waiting.fail(self._too_late)
            if isinstance(waiting, Call):
                if waiting.settlement is None:
                    self._reservations -= 1
                else:
                    self._backlog.append(waiting)
        for late in self._under_way:
            if late.since < came_before:
                late.fail(self._too_late)
        self._timer = None
        if self._queue or self._under_way:
            self._timer = self._loop.call_later(self._tick_every, self._tick)
