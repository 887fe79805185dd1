# The admin listener: health, metrics, reload. Never on the public address.

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import msgspec
from aiohttp import web

from gateway.config.changes import Reload
from gateway.errors import StoreError
from gateway.process.accept import Acceptor
from gateway.process.admin.access import access_checks
from gateway.process.admin.metrics import Metrics
from gateway.stores.base import Store
from gateway.telemetry import Telemetry

PING_TIMEOUT = 2.0
"""Seconds the store may take to commit before the gateway counts as not ready."""


class Admin:
    """GET /livez, /readyz, /metrics; POST /reload.

    Mutable state: `ready`, set by the process; the aiohttp runner, and what accepts for it, once it listens.
    """

    def __init__(
        self,
        store: Store,
        telemetry: Telemetry,
        reload: Callable[[], Awaitable[Reload]],
        metrics: Metrics,
        hosts: Sequence[str] = (),
    ) -> None:
        """`reload` reads the rules file again; `hosts` are names by which this listener is reached."""
        self.ready = False
        self._hosts = hosts
        self._metrics = metrics
        self._reload = reload
        self._store = store
        self._telemetry = telemetry
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    def __repr__(self) -> str:
        return f"Admin(ready={self.ready})"

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Serve on listening sockets."""
        app = web.Application(middlewares=[access_checks(self._hosts)])
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._scrape)
        app.router.add_post("/reload", self._reload_rules)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        self._acceptor = Acceptor(listeners, cast("web.Server", self._runner.server), self._telemetry)

    async def close(self) -> None:
        """Stop listening."""
        if self._acceptor is not None:
            await self._acceptor.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        reason = await self._unready()
        if reason is None:
            return web.json_response({"ready": True})
        return web.json_response({"ready": False, "reason": reason}, status=503)

    async def _unready(self) -> str | None:
        if not self.ready:
            return "starting or draining"
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._store.ping(time.time_ns() // 1_000_000)
        except StoreError as error:
            return f"the store cannot commit: {error}"
        except TimeoutError:
            return "the store does not answer"
        return None

    async def _reload_rules(self, _request: web.Request) -> web.Response:
        result = await self._reload()
        return web.json_response(msgspec.to_builtins(result), status=422 if result.problems else 200)

    async def _scrape(self, request: web.Request) -> web.Response:
        text, kind = await self._metrics.text(", ".join(request.headers.getall("Accept", ())))
        return web.Response(body=text, headers={"Content-Type": kind, "Vary": "Accept"})
