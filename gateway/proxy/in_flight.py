# The operations of this process that hold claims, and the creates that wait for one of them to end. No polling: they
# are woken when the operation is settled, in the order in which they came. Only for one of another process they look
# again, time after time.

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from gateway.front.exchange import Exchange
from gateway.guard.decision import Found
from gateway.guard.rule import Rule

_FIRST_LOOK, _LATER_LOOK = 0.03, 0.25
"""Seconds until the first look for the end of an operation of another process, and between later ones."""


class OperationsInFlight:
    """Mutable state: the operations by owner token, each with those that wait for it; how many wait for each rule."""

    def __init__(self, *, are_elsewhere: bool = False) -> None:
        """`are_elsewhere` says that other processes may hold claims, too."""
        self.are_elsewhere = are_elsewhere
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._count: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"OperationsInFlight({len(self._waiting)}, {self._count.total()} waiting)"

    def __contains__(self, owner: bytes) -> bool:
        return owner in self._waiting

    def begin(self, owner: bytes) -> None:
        """Note an operation, before its claims can be held."""
        self._waiting[owner] = []

    def end(self, owner: bytes) -> None:
        """Forget an operation whose settlement is the store's next write; wakes those that wait. May be repeated.

        The store keeps the order: what those ask of it comes behind the settlement, and before what later creates ask.
        """
        for waiting in self._waiting.pop(owner, ()):
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self, owner: bytes, rule: str, limit: int, seconds: float) -> bool:
        """Wait until an operation ends; False when that takes longer, or when `limit` creates of the rule wait already.

        True at once for an operation that is not known: it has ended.
        """
        if owner not in self._waiting:
            return True
        if seconds <= 0 or self._count[rule] >= limit:
            return False
        ended = asyncio.get_running_loop().create_future()
        self._waiting[owner].append(ended)
        with self._counted(rule):
            try:
                async with asyncio.timeout(seconds):
                    await ended
            except TimeoutError:
                return False
        return True

    async def pause(self, rule: str, limit: int, seconds: float) -> bool:
        """Wait until it is worth looking again at an operation of another process; False as with `wait`."""
        if seconds <= 0 or self._count[rule] >= limit:
            return False
        with self._counted(rule):
            await asyncio.sleep(seconds)
        return True

    @contextlib.contextmanager
    def _counted(self, rule: str) -> Iterator[None]:
        self._count[rule] += 1
        try:
            yield
        finally:
            self._count[rule] -= 1


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
        rule, exchange, owner = self.rule, self.exchange, found.record.owner
        if self.in_flight.are_elsewhere and owner not in self.in_flight and not exchange.is_gone:
            pause = _FIRST_LOOK if owner != self.waited_for else _LATER_LOOK
            self.waited_for = owner
            with self.may_stop():
                return await self.in_flight.pause(rule.name, rule.max_waiting_clients, min(pause, self.remaining()))
        # One that was waited for and is still in flight has an end that the store could not write yet.
        if owner == self.waited_for or exchange.is_gone:
            return False
        self.waited_for = owner
        with self.may_stop():
            return await self.in_flight.wait(owner, rule.name, rule.max_waiting_clients, self.remaining())

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
