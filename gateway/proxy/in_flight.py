# The operations that hold claims, and the creates that wait for one of them to end: woken all at once, in the order in
# which they came. One of this process ends with its settlement; for one of another process the store is asked to tell.

import asyncio
import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import msgspec

from gateway.front.exchange import Exchange
from gateway.guard.decision import Found
from gateway.guard.rule import Rule
from gateway.model import Record

PROCESS_BYTES = 8
"""So many bytes of an owner token, the first ones, are those of its process; see owner_tokens."""

UntilEnded = Callable[[bytes, bytes], Coroutine[Any, Any, None]]
"""Store.until_ended."""
_Waiting = list["asyncio.Future[None]"]


class _Elsewhere:
    """An operation of another process: those that wait for it, how many of them are left, and what tells its end."""

    __slots__ = ("left", "task", "waiting")

    def __init__(self, told: Coroutine[Any, Any, None]) -> None:
        self.waiting: _Waiting = []
        self.left = 0
        self.task = asyncio.get_running_loop().create_task(told, name="elsewhere")
        self.task.add_done_callback(lambda _: _wake(self.waiting))


class OperationsInFlight:
    """The operations of all processes, as far as this one knows them.

    Mutable state: its own by owner token, each with those that wait for it; those of others that somebody waits for;
    how many wait for each rule; what its own owner tokens begin with, which a reload changes.
    """

    def __init__(self, until_ended: UntilEnded | None = None) -> None:
        """`until_ended` returns once an operation of another process may have ended; None where there are none."""
        self._until_ended = until_ended
        self._waiting: dict[bytes, _Waiting] = {}
        self._elsewhere: dict[bytes, _Elsewhere] = {}
        self._own: set[bytes] = set()
        self._count: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"OperationsInFlight({len(self._waiting)}, {self._count.total()} waiting)"

    def __contains__(self, owner: bytes) -> bool:
        return owner in self._waiting

    def is_elsewhere(self, owner: bytes) -> bool:
        """Whether an operation that holds claims is another process's; one of this process may have just ended."""
        return self._until_ended is not None and owner[:PROCESS_BYTES] not in self._own

    def begin(self, owner: bytes) -> None:
        """Note an operation, before its claims can be held."""
        self._waiting[owner] = []
        if self._until_ended is not None:
            self._own.add(owner[:PROCESS_BYTES])

    def end(self, owner: bytes) -> None:
        """Forget an operation whose settlement is the store's next write; wakes those that wait. May be repeated.

        The store keeps the order: what those ask of it comes behind the settlement, and before what later creates ask.
        """
        _wake(self._waiting.pop(owner, ()))

    async def wait(self, owner: bytes, rule: str, limit: int, seconds: float) -> bool:
        """Wait until an operation ends; False when that takes longer, or when `limit` creates of the rule wait already.

        True at once for an operation that is not known: it has ended.
        """
        waiting = self._waiting.get(owner)
        return True if waiting is None else await self._wait(waiting, rule, limit, seconds)

    async def wait_elsewhere(self, record: Record, rule: str, limit: int, seconds: float) -> bool:
        """Wait until an operation of another process may have ended; False when there is no time, or no place, to wait.

        True also when that takes longer: the end may not have been told yet, and the store is asked a last time.
        """
        if self._until_ended is None:
            return True
        if seconds <= 0 or self._count[rule] >= limit:
            return False
        owner = record.owner
        operation = self._elsewhere.get(owner)
        if operation is None or operation.task.done():
            operation = self._elsewhere[owner] = _Elsewhere(self._until_ended(record.fingerprint, owner))
        operation.left += 1
        try:
            await self._wait(operation.waiting, rule, limit, seconds)
        finally:
            operation.left -= 1
            if not operation.left:
                operation.task.cancel()
                if self._elsewhere.get(owner) is operation:
                    del self._elsewhere[owner]
        return True

    async def _wait(self, waiting: _Waiting, rule: str, limit: int, seconds: float) -> bool:
        if seconds <= 0 or self._count[rule] >= limit:
            return False
        ended = asyncio.get_running_loop().create_future()
        waiting.append(ended)
        with self._counted(rule):
            try:
                async with asyncio.timeout(seconds):
                    await ended
            except TimeoutError:
                return False
        return True

    @contextlib.contextmanager
    def _counted(self, rule: str) -> Iterator[None]:
        self._count[rule] += 1
        try:
            yield
        finally:
            self._count[rule] -= 1


def owner_tokens() -> Iterator[bytes]:
    """Yield 16 bytes that no other operation has: random for this process, then counted."""
    process = os.urandom(PROCESS_BYTES)
    for number in itertools.count():
        yield process + number.to_bytes(16 - PROCESS_BYTES, "big")


def _wake(waiting: Iterable["asyncio.Future[None]"]) -> None:
    for each in waiting:
        if not each.done():
            each.set_result(None)


class InFlightWait(msgspec.Struct):
    """How long one create has waited for those that hold its claims, one after the other.

    Made for every create, and so a struct, which costs less than a class. Mutable state: `since`, when it began to
    wait, and `waited_for`, the owner token of the operation it waited for last; `asked`, that of the operation whose
    outcome was last found out, or not, for this create.
    """

    in_flight: OperationsInFlight
    stopwatch: Callable[[], float]
    exchange: Exchange
    rule: Rule
    since: float | None = None
    waited_for: bytes = b""
    asked: bytes = b""

    async def ended(self, found: Found) -> bool:
        """Wait for the end of the operation in flight that a create met, as long as the rule and the client do.

        Whether to look again.
        """
        exchange, owner = self.exchange, found.record.owner
        is_elsewhere = self.in_flight.is_elsewhere(owner)
        # One that was waited for and is still in flight has an end that the store could not write yet; of another
        # process, there was but a hint that it has ended.
        if exchange.is_gone or (owner == self.waited_for and not is_elsewhere):
            return False
        self.waited_for = owner
        with self.may_stop():
            if is_elsewhere:
                waits = self.in_flight.wait_elsewhere(found.record, *self._limits())
            else:
                waits = self.in_flight.wait(owner, *self._limits())
            return await waits

    def _limits(self) -> tuple[str, int, float]:
        return self.rule.name, self.rule.max_waiting_clients, self.remaining()

    def remaining(self) -> float:
        """Seconds for which it may wait still; the first call begins them."""
        now = self.stopwatch()
        self.since = now if self.since is None else self.since
        return self.rule.wait_timeout - (now - self.since)

    @contextlib.contextmanager
    def may_stop(self) -> Iterator[None]:
        """Let the create end with its client's connection: nothing is reserved or sent."""
        exchange = self.exchange
        exchange.may_stop = exchange.stops_at_eof = True
        try:
            yield
        finally:
            exchange.may_stop = exchange.stops_at_eof = False
