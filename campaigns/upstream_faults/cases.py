# Creates in front of an API that fails: each is sent several times at once, then again, and the responses are compared
# with what reached the API. Knows the gateway only by its responses.

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from campaigns.upstream_faults.api import ENDINGS, HARMED, FaultyApi
from tests.support import wire
from tests.support.client import BrokenBodyError, Client, NoResponseError, request_bytes

CREATED, BROKEN, UNKNOWN, NOT_SENT = "201", "201, broken off", "outcome-unknown", "upstream-unreachable"
STATES = {CREATED: "created", BROKEN: "created", UNKNOWN: "unknown"}
"""The state that a forwarded create leaves, by the response to its client."""
HELD = {"created": "409 duplicate", "unknown": "409 outcome-unknown"}
IN_PROGRESS = "409 in-progress"
BIG, BIG_EVERY = 6 * 2**20, 25
"""Bytes that no socket buffers hold, in one of so many bodies: some is still to be sent when the fault comes."""
_TRIES = 200
"""How often a create that was never sent is sent again before it counts as stuck."""


@dataclass
class Figures:
    """What came of one fault."""

    fault: str
    times: int = 0
    """How many identities met it."""
    on_fresh: int = 0
    on_kept: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """To those that met it, of all that were sent at once."""
    states: Counter[str] = field(default_factory=Counter)
    """What the fault left behind, of those that met it."""
    second_forwards: int = 0
    wrong_releases: int = 0
    never_sent: int = 0
    free_again: int = 0
    """How many of the never-sent ones were forwarded when they came again."""
    surprises: list[str] = field(default_factory=list)
    """Answers that no create should have got."""
    left: Counter[str] = field(default_factory=Counter)
    """The states of all identities in the end, of those that were not harmed too."""


class Lane:
    """One client connection after the other, each kept for as long as the gateway keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def create(self, path: str, identity: str, size: int = 0) -> str:
        """Send a create, with so many bytes beside its identity, and say in a word what came back."""
        body = json.dumps({"email": f"{identity}@example.org", "note": "x" * size}).encode()
        sent = request_bytes("POST", f"{path}?who={identity}", [("Content-Type", "application/json")], body)
        return await self.send(sent, "POST")

    async def send(self, sent: bytes, method: str) -> str:
        """Send a request, and say in a word what came back."""
        if self._client is None:
            self._client = await Client(self._port).__aenter__()
        try:
            await self._client.send_raw(sent)
            response = await self._client.read_response(method)
        except BrokenBodyError as error:
            await self._leave()
            return f"{error.response.status}, broken off"
        except NoResponseError:
            await self._leave()
            return "no answer"
        if wire.says_close(response.headers):
            await self._leave()
        if response.slug in {UNKNOWN, NOT_SENT} and response.status in {502, 504}:
            return response.slug
        return str(response.status) if response.slug is None else f"{response.status} {response.slug}"

    async def _leave(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.leave()


class Cases:
    """Sends creates to one faulty API until enough of them have met its fault. Mutable state: `figures`."""

    def __init__(self, port: int, api: FaultyApi, path: str, times: int) -> None:
        self.figures = Figures(api.fault)
        self._port = port
        self._api = api
        self._path = path
        self._times = times
        self._numbers = itertools.count()

    async def run(self, workers: int, copies: int) -> None:
        """Work on so many identities at once, with each of them sent so many times at once."""
        await self._api.is_up.wait()
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(copies))
        self.figures.on_fresh, self.figures.on_kept = self._api.on_fresh, self._api.on_kept

    async def _work(self, copies: int) -> None:
        async with AsyncExitStack() as stack:
            lanes = [await stack.enter_async_context(Lane(self._port)) for _ in range(copies)]
            while self.figures.times < self._times:
                number = next(self._numbers)
                await self._case(f"{self._api.fault}-plain-{number}", lanes[:1], 0)
                size = 0 if number % BIG_EVERY or self._api.fault not in ENDINGS else BIG
                await self._case(f"{HARMED}{self._api.fault}-{number}", lanes, size)
            self._api.recover()

    async def _case(self, identity: str, lanes: Sequence[Lane], size: int) -> None:
        """Send an identity's creates at once, then again, one after the other, until it must stay as it is."""
        told = await asyncio.gather(*(self._create(lane, identity, size) for lane in lanes))
        states = [STATES[each] for each in told if each in STATES]
        state = states[0] if states else None
        self._judge_at_once(identity, told, state)
        if identity.startswith(HARMED) and (self._api.fault in ENDINGS or NOT_SENT in told or UNKNOWN in told):
            self.figures.times += 1
            self.figures.answers.update(told)
            self.figures.states[state or "free"] += 1
        if state is None:
            state = await self._until_sent(identity, lanes[0])
        again = await self._create(lanes[0], identity)
        if state is not None and again != HELD[state]:
            self.figures.wrong_releases += 1
            self.figures.surprises.append(f"{identity}: {', '.join(told)}, and then {again}")
        self.figures.left[state or "free"] += 1
        reached = self._api.reached[identity]  # by so much as a byte: that was forwarded, once, and is held
        self.figures.second_forwards += max(0, reached - 1)
        self.figures.wrong_releases += bool(reached and state is None)

    async def _until_sent(self, identity: str, lane: Lane) -> str | None:
        """Send again what was never sent: it must be tried each time, and go through once the API is there."""
        self.figures.never_sent += 1
        for _ in range(_TRIES):
            told = await self._create(lane, identity)
            if told in STATES:
                self.figures.free_again += 1
                return STATES[told]
            if told != NOT_SENT:
                self.figures.surprises.append(f"{identity} was never sent, and then {told}")
                return None
            await self._api.is_up.wait()
        self.figures.surprises.append(f"{identity} is never sent")
        return None

    async def _create(self, lane: Lane, identity: str, size: int = 0) -> str:
        told = await lane.create(self._path, identity, size)
        if told in STATES or told == NOT_SENT:
            self._api.hear(was_sent=told != NOT_SENT)
        return told

    def _judge_at_once(self, identity: str, told: Sequence[str], state: str | None) -> None:
        """Of several at once one may be forwarded; the others are refused, or were never sent."""
        self.figures.second_forwards += max(0, sum(each in STATES for each in told) - 1)
        allowed = {*STATES, NOT_SENT, IN_PROGRESS}
        if state is not None:
            allowed.add(HELD[state])
        if not allowed.issuperset(told) or (state is None and NOT_SENT not in told):
            self.figures.surprises.append(f"{identity}: {', '.join(told)}")
