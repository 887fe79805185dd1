# Whether the gateway runs and takes creates, its metrics, and the reading of its rules file.

import asyncio

from aiohttp import web

from gateway.config.changes import Reload
from gateway.errors import StoreError
from gateway.process.admin.access import Access
from gateway.process.admin.answers import MAX_BODY, answer, read_body
from gateway.process.admin.metrics import Metrics, Sources
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import Live, Nothing, Ready
from gateway.process.assembly import wall_clock
from gateway.process.reload import Reloader

PING_TIMEOUT = 2.0
"""Seconds the store may take to commit before the gateway counts as not ready."""


class HealthApi:
    """Handlers. Mutable state: `ready`, set by the process."""

    def __init__(self, sources: Sources, reloader: Reloader, access: Access) -> None:
        self.ready = False
        self._store = sources.store
        self._metrics = Metrics(sources)
        self._reloader = reloader
        self._access = access

    def __repr__(self) -> str:
        return f"HealthApi(ready={self.ready})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/livez",
                handler=self._live,
                name="live",
                summary="Whether the event loop runs.",
                answers={200: Live},
                access="open",
            ),
            Route(
                method="GET",
                path="/readyz",
                handler=self._ready,
                name="ready",
                summary="Whether creates are taken: it listens, is not draining, and the store commits.",
                answers={200: Ready, 503: Ready},
                access="open",
            ),
            Route(
                method="GET",
                path="/metrics",
                handler=self._scrape,
                name="metrics",
                summary="Metrics, for Prometheus.",
                answers={200: "text/plain"},
                access="metrics",
            ),
            Route(
                method="POST",
                path="/reload",
                handler=self._reload,
                name="reload",
                summary="Read the rules file again.",
                answers={200: Reload, 422: Reload},
                body=Nothing,
                changes=True,
            ),
        ]

    async def unready(self) -> str | None:
        """Why creates are not taken; None when they are."""
        if not self.ready:
            return "starting or draining"
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._store.ping(wall_clock())
        except StoreError as error:
            return f"the store cannot commit: {error}"
        except TimeoutError:
            return "the store does not answer"
        return None

    async def _live(self, _request: web.Request) -> web.Response:
        return answer(Live(True))

    async def _ready(self, _request: web.Request) -> web.Response:
        reason = await self.unready()
        return answer(Ready(reason is None, reason), 200 if reason is None else 503)

    async def _reload(self, request: web.Request) -> web.Response:
        await read_body(request, Nothing, MAX_BODY)
        result = await self._reloader.reload(self._access.actor(request))
        return answer(result, 422 if result.problems else 200)

    async def _scrape(self, request: web.Request) -> web.Response:
        text, kind = await self._metrics.text(", ".join(request.headers.getall("Accept", ())))
        return web.Response(body=text, headers={"Content-Type": kind, "Vary": "Accept"})
