# The load of the campaign: copies of creates to all gateways at once, and each identity again until its claim is known.

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence

from campaigns.cluster.__main__ import create_of
from campaigns.cluster.records import Figures
from tests.support.burst import Outcome, burst
from tests.support.tally import PATIENCE, Tally

_AT_ONCE = 40
"""Identities of which copies are under way together; those without an end may be as many again before new ones wait."""
_COPIES = 2
"""To each gateway."""
_CONNECTIONS = 8
"""To each gateway."""
_PAUSE = 0.02
"""Seconds between two waves, so that refusals do not keep the machine busy."""


class Load:
    """Mutable state: identities without an end, and how many were created."""

    def __init__(self, ports: Sequence[int], phase: str, figures: Figures, chance: random.Random) -> None:
        """Take note of all answers in `figures`, under the name of the phase."""
        self.names: list[str] = []
        """All identities."""
        self._ports = ports
        self._phase = phase
        self._figures = figures
        self._chance = chance
        self._numbers = itertools.count()
        self._open: list[str] = []
        self._is_over = False
        self._created: Tally[int] = Tally()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Send all the time; in the end wait until each identity is known to be created, or unknown."""
        sending = asyncio.create_task(self._send_waves())
        try:
            yield self
            self._is_over = True
            async with asyncio.timeout(PATIENCE):
                await sending
        except TimeoutError:
            raise AssertionError(f"{len(self._open)} identities never get an end: {self._open[:5]}") from None
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def until_created(self, count: int) -> None:
        """Wait until so many more are created. AssertionError when they are not."""
        await self._created.reach(len(self._created) + count)

    async def _send_waves(self) -> None:
        while not self._is_over or self._open:
            if not self._is_over and len(self._open) <= _AT_ONCE:
                made = [f"{self._phase}-{next(self._numbers)}" for _ in range(_AT_ONCE)]
                self.names += made
                self._open += made
            await asyncio.gather(*[self._send(port) for port in self._ports])
            self._open = [name for name in self._open if name not in self._figures.told]
            await asyncio.sleep(_PAUSE)

    async def _send(self, port: int) -> None:
        names = self._open * _COPIES
        self._chance.shuffle(names)
        for outcome in await burst(port, [create_of(name) for name in names], _CONNECTIONS, watch=self._watch):
            self._figures.note(self._phase, names[outcome.index], outcome)

    def _watch(self, outcome: Outcome) -> None:
        if outcome.status in {200, 201, 202}:
            self._created.add(outcome.status)
