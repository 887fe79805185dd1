# An API that fails in one way for selected creates, and counts the creates that reached it, including truncated ones.
# Knows nothing of the gateway.

import asyncio
import itertools
import re
import socket
import weakref
from collections import Counter
from random import Random

from tests.support import behaviours as do
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage, example, perform

REFUSE, RESET_BEFORE = "refuse", "reset-before"
ENDINGS: dict[str, tuple[Behaviour, ...]] = {
    "reset-amid": (do.reset_after_head(), do.reset_amid(1), do.reset_amid(40), do.reset_amid(100_000)),
    "reset-after": (do.reset_after_request(), do.close_without_answer()),
    "half-head": (do.half_head(), do.half_head("reset"), do.raw(b"H", "close"), do.interim(do.half_head("reset"))),
    "broken-body": (do.broken_body(), do.broken_body("reset"), do.broken_body(is_chunked=True)),
    "never": (do.never,),
    "garbage": tuple(do.raw(data) for data in do.GARBAGE),
}
"""What harmed creates meet, in turns. The other two faults hit connections, not single creates."""
FAULTS = (REFUSE, RESET_BEFORE, *ENDINGS)
HARMED = "harmed-"
"""What the identities begin with that shall meet the fault. Others are answered, and so is one that comes again."""
_LATEST = 0.003
"""Seconds after an answer within which an idle connection is reset: now before the next create comes, now just then."""
_WHO = re.compile(r"\?who=([\w-]+)")


class FaultyApi:
    """Serves on `port` while `serve` runs.

    Mutable state: how often each identity has reached it, by so much as its request line; how many met the fault.
    """

    def __init__(self, fault: str, random: Random, spell: int) -> None:
        """`spell`: an API that refuses changes over after so many creates that were answered, or were not sent."""
        self.fault = fault
        self.reached: Counter[str] = Counter()
        self.on_fresh = self.on_kept = 0
        """How many requests met the fault on a connection of their own, and on one that had carried others."""
        self.is_up = asyncio.Event()
        self._random = random
        self._spell = spell
        self._endings = itertools.cycle(ENDINGS.get(fault, (example,)))
        self._used: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._heard = 0
        self._is_over = asyncio.Event()
        self._has_recovered = self._has_ended = False
        self._holder = _bound(0)  # keeps the port while nothing listens on it
        self.port: int = self._holder.getsockname()[1]

    async def serve(self) -> None:
        """Listen until `end`; an API that refuses ceases to listen and begins again meanwhile, as `hear` says.

        Raises what RawUpstream does: requests that break RFC 9112 reached it.
        """
        with self._holder:
            while not self._has_ended:
                async with RawUpstream(At(Stage.ACCEPTED, self._act), listener=_bound(self.port), digest_only=True):
                    self._begin_spell(is_up=True)
                    await self._is_over.wait()
                    self._begin_spell(is_up=False)
                if not self._has_recovered:
                    await self._is_over.wait()

    def hear(self, *, was_sent: bool) -> None:
        """Note a client's response: that its create was sent, or that it was not."""
        if self.fault == REFUSE and was_sent == self.is_up.is_set() and not self._has_recovered:
            self._heard += 1
            if self._heard >= self._spell:
                self._is_over.set()

    def recover(self) -> None:
        """Refuse no more."""
        self._has_recovered = True
        if not self.is_up.is_set():
            self._is_over.set()

    def end(self) -> None:
        """Let `serve` return."""
        self._has_ended = self._has_recovered = True
        self._is_over.set()

    def _begin_spell(self, *, is_up: bool) -> None:
        self._heard = 0
        if not self._has_ended:
            self._is_over.clear()
        if is_up:
            self.is_up.set()
        else:
            self.is_up.clear()

    async def _act(self, call: Call) -> None:
        if call.arrived is None:
            if self.fault == RESET_BEFORE:
                await self._accept(call)
            return
        is_kept = call.writer in self._used
        self._used.add(call.writer)
        identity = self._take_note(call.request.target)
        if self.fault in ENDINGS and identity.startswith(HARMED) and self.reached[identity] == 1:
            self._count(is_kept=is_kept)
            ending = next(self._endings)
            if not isinstance(ending, At):
                await call.read_body()
            await perform(ending, call)
            return
        await call.read_body()
        await self._answer(call)

    async def _accept(self, call: Call) -> None:
        """Reset one fresh connection at once, the next one with its first bytes; let the third one through."""
        turn = self._random.randrange(3)
        if turn == 1:
            self._take_note((await call.reader.readline()).decode("latin-1"))
        if turn < 2:
            await self._reset(call, is_kept=False)

    async def _answer(self, call: Call) -> None:
        """Answer; the connection is kept at times, and at times not, so that the next create needs another."""
        if self._random.random() < 0.3:
            await perform(do.answer(201, [("Connection", "close")]), call)
            return
        await example(call)
        if self.fault == RESET_BEFORE and self._random.random() < 0.7:
            await asyncio.sleep(self._random.random() * _LATEST)
            await self._reset(call, is_kept=True)

    async def _reset(self, call: Call, *, is_kept: bool) -> None:
        """Reset, and take note of a create that has come by then."""
        self._take_note((await do.at_hand(call)).decode("latin-1"))
        self._count(is_kept=is_kept)
        call.reset()

    def _take_note(self, target: str) -> str:
        """Count the create that a request's target, or its first bytes, belong to; its identity."""
        found = _WHO.search(target)
        identity = found[1] if found else ""
        if identity:
            self.reached[identity] += 1
        return identity

    def _count(self, *, is_kept: bool) -> None:
        if is_kept:
            self.on_kept += 1
        else:
            self.on_fresh += 1


def _bound(port: int) -> socket.socket:
    """A port of this machine that several sockets may be bound to; only those that listen are asked."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
