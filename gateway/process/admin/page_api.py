# The operator's page, what it shows live, and the rules in words.

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from gateway.process.admin.answers import answer
from gateway.process.admin.events import EventStream
from gateway.process.admin.live import Live
from gateway.process.admin.metrics import Sources
from gateway.process.admin.page import page_file
from gateway.process.admin.routes import Route
from gateway.process.admin.rules_in_words import RuleList, rule_words


class PageApi:
    """Handlers. Mutable state: the task that counts by the minute."""

    def __init__(self, sources: Sources, is_ready: Callable[[], bool], audit: Iterable[Mapping[str, Any]]) -> None:
        """`is_ready` says whether clients are served; `audit` has the last lines of what operators did."""
        self._assembly = sources.assembly
        self._live = Live(sources.store, sources.telemetry, is_ready, audit)
        self._events = EventStream(self._live.look)
        self._counting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"PageApi({self._events!r})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/",
                handler=page_file,
                name="page",
                summary="The operator's page. It holds no data, and asks for the token itself.",
                answers={200: "text/html"},
                access="open",
            ),
            Route(
                method="GET",
                path="/page/{file}",
                handler=page_file,
                name="page_file",
                summary="What the page consists of.",
                answers={200: "*/*"},
                access="open",
            ),
            Route(
                method="GET",
                path="/events",
                handler=self._events.answer,
                name="events",
                summary="What the page shows live, as server-sent events: minutes, now, state and audit.",
                answers={200: "text/event-stream"},
            ),
            Route(
                method="GET",
                path="/rules",
                handler=self._tell_rules,
                name="rules",
                summary="The rules in force, in words.",
                answers={200: RuleList},
            ),
        ]

    async def start(self, _app: web.Application) -> None:
        """Begin to count by the minute."""
        self._counting = asyncio.create_task(self._live.count_for_ever())

    async def close(self, _app: web.Application) -> None:
        """End all streams, at once."""
        await self._events.close()
        if self._counting is not None:
            self._counting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._counting

    async def _tell_rules(self, _request: web.Request) -> web.Response:
        return answer(RuleList([rule_words(rule) for rule in self._assembly.config.rules]))
