# How the gateway is: its configuration, its store, what is unknown, its APIs.

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway import __version__
from gateway.config.endpoints import MemoryStoreUrl, SqliteStoreUrl, parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.schema import Config
from gateway.errors import StoreError
from gateway.model import Overview, State
from gateway.process.admin.answers import answer
from gateway.process.admin.metrics import Sources
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import STATE_NAMES
from gateway.process.admin.status_shapes import (
    ConfigStatus,
    OldestUnknown,
    RuleStateCount,
    Status,
    StoreStatus,
    UpstreamStatus,
)
from gateway.process.assembly import wall_clock
from gateway.process.reload import Reloader
from gateway.proxy.answers import rfc_3339

OVERVIEW_TIMEOUT = 2.0
"""Seconds the store may take to count its claims."""


class StatusApi:
    """Handlers."""

    def __init__(self, sources: Sources, reloader: Reloader, unready: Callable[[], Awaitable[str | None]]) -> None:
        """`unready` says why creates are not taken; None when they are."""
        self._sources = sources
        self._reloader = reloader
        self._unready = unready
        self._started = time.time()
        self._path = str(reloader.path.absolute())

    def __repr__(self) -> str:
        return "StatusApi()"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/status",
                handler=self._tell_status,
                name="status",
                summary="How the gateway is: its configuration, its store, what is unknown, its APIs.",
                answers={200: Status},
            ),
        ]

    async def _tell_status(self, _request: web.Request) -> web.Response:
        sources, now = self._sources, wall_clock()
        reason = await self._unready()
        overview, trouble = await self._overview(now)
        config = sources.assembly.config
        ends = [file.not_after for file in (*sources.certificates(), *sources.assembly.upstreams.certificates)]
        return answer(
            Status(
                version=__version__,
                started_at=_time(self._started),
                uptime=round(time.time() - self._started, 3),
                config=ConfigStatus(
                    path=self._path,
                    hash=self._reloader.fingerprint,
                    rules=len(config.active_rules),
                    loaded_at=_time(sources.assembly.applied_at),
                    problems=list(self._reloader.problems),
                    lost=self._reloader.lost,
                ),
                ready=reason is None,
                reason=reason,
                store=_store(config, overview, trouble),
                in_flight=_count(overview, State.IN_FLIGHT),
                oldest_unknown=_oldest(overview, now),
                upstreams=[UpstreamStatus(*each) for each in sources.assembly.upstreams.health()],
                loop_lag=round(sources.telemetry.loop_lag, 3),
                certificate_not_after=_time(min(ends)) if ends else None,
            )
        )

    async def _overview(self, now: int) -> tuple[Overview | None, str | None]:
        """What the store holds; or why that is not known."""
        try:
            async with asyncio.timeout(OVERVIEW_TIMEOUT):
                return await self._sources.store.overview(now), None
        except StoreError as error:
            return None, str(error)
        except TimeoutError:
            return None, "the store does not answer"


def _store(config: Config, overview: Overview | None, trouble: str | None) -> StoreStatus:
    match parse_store(config.store.url):
        case MemoryStoreUrl():
            kind = "memory"
        case SqliteStoreUrl():
            kind = "sqlite"
        case PostgresqlStoreUrl():
            kind = "postgresql"
        case _:
            kind = "valkey"
    counts = [] if overview is None else sorted(overview.claims.items())
    claims = [RuleStateCount(rule, STATE_NAMES[state], count) for (rule, state), count in counts if count]
    return StoreStatus(kind, trouble is None, trouble, None if overview is None else overview.size, claims)


def _count(overview: Overview | None, wanted: State) -> int | None:
    if overview is None:
        return None
    return sum(count for (_, state), count in overview.claims.items() if state is wanted)


def _oldest(overview: Overview | None, now: int) -> list[OldestUnknown]:
    if overview is None:
        return []
    found = sorted(overview.oldest_unknown.items(), key=lambda item: item[1])
    return [OldestUnknown(rule, rfc_3339(seen), max(0, now - seen) / 1000) for rule, seen in found]


def _time(seconds: float) -> str:
    return rfc_3339(round(seconds * 1000))
