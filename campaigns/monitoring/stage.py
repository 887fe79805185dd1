# Where a scenario plays: a gateway that is scraped, an API behind it, and traffic until the alerts have fired.

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.monitoring.prometheus import Prometheus
from tests.support import behaviours
from tests.support.client import Response, create
from tests.support.program import GatewayProgram, rules
from tests.support.upstream import Behaviour, RawUpstream, example

ENOUGH = 120.0
"""Seconds after which an alert that has not fired will not."""
_BREATH = 0.2
LOST = behaviours.close_without_answer()
"""An API that has got the whole request, and gives no answer."""


@dataclass
class Stage:
    """Of one scenario. Mutable state: what was sent, and what has come of it."""

    name: str
    fires: Collection[str]
    prometheus: Prometheus
    directory: Path
    stalls: list[int] = field(default_factory=list)
    """Milliseconds for which event loops were blocked, as the gateways say."""
    fired_after: float | None = None
    """Seconds from the first scrape until all alerts were firing."""
    is_over: bool | None = None
    """Whether they ended once all was well again; None where that was not looked at."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _began: float = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @contextlib.asynccontextmanager
    async def gateway(
        self, api: RawUpstream | int | str, *urls: str, **overrides: Any
    ) -> AsyncIterator[GatewayProgram]:
        """A gateway that is scraped, until the block is left; it may have ended before. `urls` are all of the API's."""
        toml = rules(api.url if isinstance(api, RawUpstream) else api, **{"log": {"requests": "none"}, **overrides})
        if urls:
            toml = toml.replace(f'url = "{urls[0]}"', f"urls = {json.dumps(urls)}")
        async with GatewayProgram(self.directory, toml) as program:
            await self.prometheus.expose(self.name, program.admin_port)
            self._began = self._loop.time()
            try:
                yield program
            finally:
                await self.prometheus.hide(self.name)
                stalled = re.findall(r'"event":"loop-stalled".*?"ms":(\d+)', program.whole_output)  # of all its starts
                self.stalls += map(int, stalled)

    @contextlib.asynccontextmanager
    async def in_front_of(self, behaviour: Behaviour = example, **overrides: Any) -> AsyncIterator[GatewayProgram]:
        """The same, in front of an API of its own that does this."""
        async with RawUpstream(behaviour) as api, self.gateway(api, **overrides) as program:
            yield program

    async def create(self, program: GatewayProgram, email: str | None = None, **fields: Any) -> Response:
        """Send a create; of something new unless told otherwise."""
        return await create(program.port, self.new_email() if email is None else email, **fields)

    def new_email(self) -> str:
        """One that was not sent yet."""
        return f"{next(self._numbers)}@example.org"

    async def until_told(self, once: Callable[[], Awaitable[object]] | None = None, every: float = _BREATH) -> None:
        """Do something again and again until the alerts of the scenario are firing, or will not."""
        began = self._loop.time()
        while not set(self.fires) <= await self.prometheus.firing(self.name):
            if self._loop.time() - began > ENOUGH:
                return
            await (asyncio.sleep(0) if once is None else once())
            await asyncio.sleep(every)
        self.fired_after = self._loop.time() - self._began

    async def until_over(self, once: Callable[[], Awaitable[object]] | None = None) -> None:
        """Do something again and again until no alert is firing, or one goes on for too long."""
        self.is_over = False
        began = self._loop.time()
        while not self.is_over and self._loop.time() - began < ENOUGH:
            await (asyncio.sleep(0) if once is None else once())
            await asyncio.sleep(_BREATH)
            self.is_over = not await self.prometheus.firing(self.name)
