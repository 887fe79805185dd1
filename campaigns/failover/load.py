# The load of the failover campaign: copies of new creates to all gateways at once, and again those of the last seconds.

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence

from campaigns.failover.api import FICKLE, SILENT
from campaigns.failover.records import Figures
from tests.support.burst import Outcome, burst
from tests.support.client import create, create_bytes
from tests.support.tally import PATIENCE

_NEW = 30
"""Identities in one wave; each is sent twice, and as many older ones once."""
_RECENT = 200
_CONNECTIONS = 16
_EVERY = 0.15
"""Seconds from one wave to the next, if it has been answered by then."""
_KINDS = ("user",) * 8 + (FICKLE, SILENT)


class Load:
    """Mutable state: the names of identities so far, and those of the round."""

    def __init__(self, ports: Sequence[int], figures: Figures, phase: str, chance: random.Random) -> None:
        self._ports = ports
        self._figures = figures
        self._phase = phase
        self._chance = chance
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._number = 0
        self._round: list[str] = []
        self._is_over = False

    def _new_name(self) -> str:
        self._number += 1
        return f"{self._chance.choice(_KINDS)}-{self._phase}-{self._number}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until it is left; the last wave is awaited."""
        self._is_over = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            try:
                yield
            finally:
                self._is_over = True

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_over:
            until = loop.time() + _EVERY
            new = [self._new_name() for _ in range(_NEW)]
            old = self._chance.sample(self._recent, min(_NEW, len(self._recent)))
            self._round += new
            sent = await self._spread([*new, *new, *old])
            for name, outcome in sent:
                self._figures.note(self._phase, name, outcome)
            self._recent.extend(new)
            await asyncio.sleep(max(0.0, until - loop.time()))

    async def _spread(self, names: Sequence[str]) -> list[tuple[str, Outcome]]:
        """Send creates, each to any gateway."""
        sends: list[list[str]] = [[] for _ in self._ports]
        for name in names:
            self._chance.choice(sends).append(name)
        for each in sends:
            self._chance.shuffle(each)
        answers = await asyncio.gather(
            *[
                burst(port, [create_bytes(name) for name in each], _CONNECTIONS)
                for port, each in zip(self._ports, sends, strict=True)
                if each
            ]
        )
        filled = [each for each in sends if each]
        return [
            (each[outcome.index], outcome)
            for each, outcomes in zip(filled, answers, strict=True)
            for outcome in outcomes
        ]

    async def until_all_take(self) -> None:
        """Return once each gateway has created something new."""
        await asyncio.gather(*[self._until_taken(port) for port in self._ports])

    async def _until_taken(self, port: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                self._number += 1
                name = f"probe-{self._phase}-{self._number}"
                with contextlib.suppress(OSError):
                    if (await create(port, name)).status == 201:
                        return

    async def ask_again(self) -> None:
        """Send all of the round once more, until it is known of each what became of it."""
        pending, self._round = self._round, []
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while pending and loop.time() < until:
            sent = await self._spread(pending)
            pending = [name for name, outcome in sent if not self._figures.is_answered(name, outcome)]
        self._figures.stuck += pending
