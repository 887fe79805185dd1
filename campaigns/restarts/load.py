# The load of the reload and restart campaign: an API with slow responses, and clients with and without persistent
# connections and pauses.

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.crash.upstream import CountingUpstream
from campaigns.restarts.records import Clock, Creates, Figures
from tests.support import wire
from tests.support.client import BrokenBodyError, Client, NoResponseError, Response, create_bytes, request_bytes

SOONEST, LATEST = 0.005, 0.3
"""Seconds that a create with an identity takes the API."""
PIECE = b"x" * 200
_JSON = b"Content-Type: application/json\r\n"


class SlowUpstream(CountingUpstream):
    """Takes its time with creates; of other answers, and of some to creates, the body comes late and piece by piece."""

    def answer_later(self, head: bytes, body: bytes, transport: asyncio.Transport) -> None:
        """Answer 201 to a create, 200 to anything else, with the target in the body."""
        target = head.split(b" ", 2)[1]
        is_create = head.startswith(b"POST")
        wait = self._chance.uniform(SOONEST, LATEST) if b"X-Identity" in head else 0.0
        line = b"HTTP/1.1 201 Created\r\nLocation: /users/17\r\n" if is_create else b"HTTP/1.1 200 OK\r\n"
        if self._chance.random() < (0.2 if is_create else 0.5):
            count = self._chance.randint(1, 4)
            pieces = [b"%x\r\n%b\r\n" % (len(each), each) for each in (target, *[PIECE] * count)]
            parts = [line + _JSON + b"Transfer-Encoding: chunked\r\n\r\n", *pieces, b"0\r\n\r\n"]
        else:
            parts = [line + _JSON + b"Content-Length: %d\r\n\r\n%b" % (len(target), target)]
        loop = asyncio.get_running_loop()
        for part in parts:
            loop.call_later(wait, self._answer, transport, part)
            wait += self._chance.uniform(0.0, 0.03)


@dataclass(frozen=True)
class Habit:
    """How a client goes about it."""

    keeps: bool
    """Whether it keeps its connection for as long as the gateway does."""
    most_pause: float
    """Seconds between two requests, at most."""


@dataclass(frozen=True)
class Sent:
    """One request."""

    kind: str
    data: bytes
    method: str
    target: str
    identity: str | None = None


def create_of(identity: str) -> bytes:
    """The bytes of a create, with its identity where the API counts it."""
    return create_bytes(f"{identity}@example.org", headers=[("X-Identity", identity)])


class Traffic:
    """All clients. Mutable state: what they know, what they saw, and the creates under way."""

    def __init__(self, port: int, seed: int) -> None:
        self.figures = Figures()
        self.creates = Creates()
        self.clock = Clock()
        self.over = asyncio.Event()
        self.under_way: dict[object, str | None] = {}
        """The requests that were sent and are not answered yet, each with its identity, if it has one."""
        self.idle: set[object] = set()
        """The clients that keep a connection and send nothing now."""
        self._port = port
        self._seed = seed
        self._answered = asyncio.Event()

    async def client(self, number: int, habit: Habit) -> None:
        """Send one request after the other, until it is over."""
        chance = random.Random(f"{self._seed} {number}")
        async with _Lane(self, self._port, habit) as lane:
            for sent in self._requests(number, chance):
                if self.over.is_set():
                    return
                await lane.send(sent)
                if habit.most_pause:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.over.wait(), chance.uniform(0, habit.most_pause))

    def _requests(self, number: int, chance: random.Random) -> Iterator[Sent]:
        for count in itertools.count():
            kind = chance.choices(("create", "copy", "race", "GET"), (35, 20, 10, 35))[0]
            identity = self._identity(kind, f"{number}-{count}", chance)
            if identity is None:
                target = f"/things/{number}-{count}"
                yield Sent("GET", request_bytes("GET", target), "GET", target)
            else:
                yield Sent(kind, create_of(identity), "POST", "/users", identity)

    def _identity(self, kind: str, fresh: str, chance: random.Random) -> str | None:
        """One to create; None for a kind that has none, or for which there is none now."""
        if kind == "create":
            return fresh
        created, under_way = self.creates.created, [each for each in self.under_way.values() if each]
        if kind == "copy" and created:
            return chance.choice(created[-200:] if chance.random() < 0.5 else created)
        return chance.choice(under_way) if kind == "race" and under_way else None

    def answered(self, sent: Sent, response: Response, *, was_created: bool) -> None:
        """Take note of an answer, and judge it."""
        self.clock.answered()
        self._answered.set()
        met = response.slug or response.status
        self.figures.answers[f"{sent.kind}: {met}"] += 1
        if sent.identity is None:
            is_right = met == 200 and response.body.startswith(sent.target.encode())
        else:
            is_right = self.creates.judge(sent.identity, met, was_created=was_created)
        if not is_right:
            known = ", which was created before," if was_created else ""
            self.figures.wrong.append(
                f"{sent.kind} of {sent.identity or sent.target}{known} is answered {met}, {self.clock}"
            )

    async def next_answer(self) -> None:
        """Wait for the next response to any client."""
        self._answered.clear()
        await self._answered.wait()

    def order(self, what: str) -> None:
        """Something is ordered just now: take note of what it meets."""
        self.clock.order(what)
        self.figures.under_way.append(len(self.under_way))
        self.figures.idle.append(len(self.idle))


class _Lane:
    """One client's connections, one after the other. Mutable state: the one it keeps, and since when it is idle."""

    def __init__(self, traffic: Traffic, port: int, habit: Habit) -> None:
        self._traffic = traffic
        self._port = port
        self._habit = habit
        self._client: Client | None = None
        self._idle_since = 0.0

    async def __aenter__(self) -> "_Lane":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def send(self, sent: Sent) -> None:
        """Send a request once, and have what came of it noted."""
        traffic, figures = self._traffic, self._traffic.figures
        client = await self._connection()
        if client is None:
            return
        started = time.monotonic()
        kept = f"one idle for {started - self._idle_since:.3f} s" if self._idle_since else "a new one"
        figures.requests[sent.kind] += 1
        figures.reused += bool(self._idle_since)
        was_created = traffic.creates.send(sent.identity) if sent.identity else False
        traffic.under_way[self] = sent.identity
        try:
            await client.send_raw(sent.data)
            response = await client.read_response(sent.method)
        except (NoResponseError, BrokenBodyError, ConnectionError, AssertionError) as error:  # the last: its patience
            if sent.identity:
                traffic.creates.drop(sent.identity)
            cause = f" ({error.__cause__!r})" if error.__cause__ else ""
            figures.dropped.append(
                f"{sent.kind} over {kept}, {time.monotonic() - started:.3f} s after it was sent, {traffic.clock}: "
                f"{error}{cause}"
            )
            await self._leave()
        else:
            traffic.answered(sent, response, was_created=was_created)
            is_last = wire.says_close(response.headers)
            figures.told_to_close += is_last
            self._idle_since = time.monotonic()
            if is_last or not self._habit.keeps:
                await self._leave()
            else:
                traffic.idle.add(self)
        finally:
            del traffic.under_way[self]

    async def _connection(self) -> Client | None:
        """The one that is kept, as long as nothing shows that it has ended; else a new one. None when refused."""
        if self._client is not None:
            self._traffic.idle.discard(self)
            if not (self._client.reader.at_eof() or self._client.reader.exception()):
                return self._client
            self._traffic.figures.closed_idle += 1
            await self._leave()
        client = Client(self._port)
        try:
            await client.__aenter__()
        except OSError as error:
            self._traffic.figures.refused.append(f"{error}, {self._traffic.clock}")
            await asyncio.sleep(0.01)  # else nothing else had its turn
            return None
        self._traffic.figures.connections += 1
        self._client = client
        return client

    async def _leave(self) -> None:
        self._idle_since = 0.0
        self._traffic.idle.discard(self)
        if self._client is not None:
            client, self._client = self._client, None
            await client.leave()
