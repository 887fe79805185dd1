# The load of the store fault campaign: new creates, known ones again, and requests that pass. Records the response and
# the time of each.

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from tests.support.client import Client, Response, create_bytes
from tests.support.tally import PATIENCE, Tally
from tests.support.upstream import Call, example

Phase = Literal["before", "during", "after"]
Kind = Literal["new", "known", "passed"]

LANES: dict[Kind, tuple[int, float]] = {"new": (40, 0.2), "known": (4, 0.1), "passed": (4, 0.05)}
"""Of each kind, connections, and seconds from one request of a connection to its next."""
LATE = 0.3
"""Seconds that the API takes for one create in five, so that some are on their way whenever something happens."""
MARK = "unguarded; reason=store-unavailable"
_GET = b"GET /users/17 HTTP/1.1\r\nHost: api.example\r\n\r\n"


@dataclass
class Sent:
    """A request, and its answer."""

    kind: Kind
    phase: Phase
    """When it was sent."""
    answered: Phase = "before"
    """When its answer came."""
    email: str = ""
    status: int | None = None
    """None when the connection broke."""
    slug: str | None = None
    ms: float = 0
    mark: str | None = None
    """What the answer says of a create that was forwarded without a guard."""
    retry_after: str | None = None


async def answer_some_late(call: Call) -> None:
    """Create, at once or not quite."""
    if call.request.method == "POST" and str(call.request.json()["email"]).startswith("late"):
        await asyncio.sleep(LATE)
    await example(call)


class Load:
    """Sends until it is left; use it with `async with`. Mutable state: the current phase, and all that was sent."""

    def __init__(self, port: int, known: list[str]) -> None:
        """`known` are emails that were created before."""
        self.phase: Phase = "before"
        self.sent: Tally[Sent] = Tally()
        self._port = port
        self._known = itertools.cycle(known)
        self._numbers = itertools.count()
        self._is_over = False

    def of(self, kind: Kind, phase: Phase | None = None) -> list[Sent]:
        """What was sent of a kind, in a phase or in all."""
        return [sent for sent in self.sent if sent.kind == kind and phase in {None, sent.phase}]

    async def until(self, count: int, wanted: Callable[[Sent], bool]) -> None:
        """Wait until so many were sent and answered that are `wanted`; AssertionError when they do not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while sum(map(wanted, self.sent)) < count:
                    await self.sent.reach(len(self.sent) + 1)
        except TimeoutError:
            raise AssertionError(f"{count} such requests did not come; {len(self.sent)} came in all") from None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Send from all lanes; requests in progress at the end are awaited."""
        async with asyncio.TaskGroup() as group:
            for kind, (lanes, pause) in LANES.items():
                for number in range(lanes):
                    group.create_task(self._lane(kind, pause, pause * number / lanes))
            try:
                yield self
            finally:
                self._is_over = True

    async def _lane(self, kind: Kind, pause: float, delay: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(delay)
        client: Client | None = None
        try:
            while not self._is_over:
                sent = Sent(kind, self.phase, email=self._email(kind))
                started = loop.time()
                try:
                    if client is None:
                        client = await Client(self._port).__aenter__()
                    await client.send_raw(create_bytes(sent.email) if sent.email else _GET)
                    _note(sent, await client.read_response())
                except OSError:
                    client = None
                sent.ms = (loop.time() - started) * 1000
                sent.answered = self.phase
                self.sent.add(sent)
                await asyncio.sleep(max(0, started + pause - loop.time()))
        finally:
            if client is not None:
                await client.leave()

    def _email(self, kind: Kind) -> str:
        if kind == "new":
            number = next(self._numbers)
            return f"{'late' if number % 5 == 0 else 'user'}-{number}@example.org"
        return next(self._known) if kind == "known" else ""


def _note(sent: Sent, answer: Response) -> None:
    sent.status, sent.slug = answer.status, answer.slug
    sent.mark, sent.retry_after = answer.header("Idempotency-Gateway"), answer.header("Retry-After")
