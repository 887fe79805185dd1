# The admin listener: what every request to it goes through. Never on the public address.

import logging
import socket
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec
from aiohttp import web

from gateway import __version__
from gateway.audit import Audit, AuditError
from gateway.errors import StoreError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.accept import Acceptor
from gateway.process.admin.access import REQUEST_ID, Access
from gateway.process.admin.answers import JSON, Refused, failure
from gateway.process.admin.claims import ClaimsApi
from gateway.process.admin.exports import ExportApi
from gateway.process.admin.find import FindApi
from gateway.process.admin.health import HealthApi
from gateway.process.admin.imports import ImportApi
from gateway.process.admin.metrics import Sources
from gateway.process.admin.openapi import describe
from gateway.process.admin.page_api import PageApi
from gateway.process.admin.report import ReportApi
from gateway.process.admin.routes import Handler, Route
from gateway.process.admin.status import StatusApi
from gateway.process.admin.versions import VersionsApi
from gateway.process.operators import Operators
from gateway.process.reload import Reloader
from gateway.process.request_ids import random_ids

SECURITY: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Fields of each answer that does not set them itself: a browser makes nothing of it but what it says it is."""


class Admin:
    """The listener of operators.

    Mutable state: the aiohttp runner, and what accepts for it, once it listens; whether the gateway is ready.
    """

    def __init__(
        self,
        sources: Sources,
        reloader: Reloader,
        audit: Audit,
        operators: Operators,
        fingerprinter: Fingerprinter,
        hosts: Sequence[str] = (),
    ) -> None:
        """`hosts` are names, with dots, by which this listener is reached."""
        self._telemetry = sources.telemetry
        self._access = Access(operators, hosts)
        self.health = HealthApi(sources, reloader, self._access)
        self._page = PageApi(sources, lambda: self.health.ready, audit.recent)
        self._imports = ImportApi(sources.store, sources.assembly, fingerprinter, audit, self._access)
        found = [
            *self.health.routes,
            *StatusApi(sources, reloader, self.health.unready).routes,
            *ClaimsApi(sources.store, sources.assembly, fingerprinter, audit, self._access).routes,
            *VersionsApi(sources.store, sources.assembly).routes,
            *ReportApi(sources).routes,
            *FindApi(sources.store, sources.assembly, fingerprinter).routes,
            *self._imports.routes,
            *ExportApi(sources.store, fingerprinter).routes,
            *self._page.routes,
        ]
        document = Route(
            method="GET",
            path="/openapi.json",
            handler=self._describe,
            name="openapi",
            summary="This document.",
            answers={200: JSON},
        )
        self._routes: dict[tuple[str, str], Route] = {(route.path, route.method): route for route in (*found, document)}
        self._document = msgspec.json.encode(describe(list(self._routes.values()), __version__))
        self._ids = random_ids()
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    def __repr__(self) -> str:
        return f"Admin({len(self._routes)} routes)"

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Serve on listening sockets."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app = web.Application(middlewares=[guard])
        app.on_response_prepare.append(_secure)
        app.on_startup.append(self._page.start)
        app.on_shutdown.append(self._page.close)
        app.on_shutdown.append(self._imports.close)
        for route in self._routes.values():
            app.router.add_route(route.method, route.path, route.handler)
            if route.method == "GET":
                app.router.add_route("HEAD", route.path, route.handler)
        self._runner = web.AppRunner(app, access_log=None, logger=_silent(), handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        self._acceptor = Acceptor(listeners, cast("web.Server", self._runner.server), self._telemetry)

    async def close(self) -> None:
        """Stop listening."""
        if self._acceptor is not None:
            await self._acceptor.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that may be, by its handler, and any failure as JSON."""
        request[REQUEST_ID] = next(self._ids)
        try:
            self._access.check(request, self._route(request))
            return await handler(request)
        except Refused as refused:
            return failure(refused.status, str(refused), refused.headers)
        except (AuditError, StoreError) as error:
            return failure(503, f"{error}.")
        except web.HTTPException as error:
            allow = error.headers.get("Allow")
            if allow is not None:
                return failure(error.status, f"The path takes {allow} only.", {"Allow": allow})
            return failure(error.status, "There is no such path." if error.status == 404 else f"{error.reason}.")
        except Exception as error:  # noqa: BLE001 its text may be a value
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            self._telemetry.event("handler-failed", "error", reason=type(error).__name__, where=where)
            return failure(500, "Internal error of the gateway.")

    def _route(self, request: web.Request) -> Route | None:
        resource = request.match_info.route.resource
        method = "GET" if request.method == "HEAD" else request.method
        return None if resource is None else self._routes.get((resource.canonical, method))

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type=JSON)


def _silent() -> logging.Logger:
    """Takes what aiohttp has to say of requests that cannot be read: it quotes them."""
    logger = logging.Logger("admin")
    logger.addHandler(logging.NullHandler())
    return logger


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "idempotency-gateway"
    response.headers["X-Request-Id"] = request[REQUEST_ID]
