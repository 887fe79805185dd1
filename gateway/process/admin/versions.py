# By which identities the claims of the store were made, counted part by part: however many there are, an answer comes
# soon, and creates go on between its steps.

import asyncio
import time

from aiohttp import web

from gateway.config.versions import present, version
from gateway.model import FOREVER
from gateway.process.admin.answers import answer, read_cursor, read_query
from gateway.process.admin.routes import Route
from gateway.process.admin.version_shapes import EntryInForce, VersionCount, VersionPage, VersionQuery
from gateway.process.assembly import Assembly, wall_clock
from gateway.proxy.answers import rfc_3339
from gateway.stores.base import Store
from gateway.stores.tally import MadeBy, Tally

SECONDS = 0.2
"""How long the steps of one answer go on."""


class VersionsApi:
    """A handler."""

    def __init__(self, store: Store, assembly: Assembly) -> None:
        self._store = store
        self._assembly = assembly

    def __repr__(self) -> str:
        return f"VersionsApi({self._store!r})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/claims/versions",
                handler=self._count,
                name="countVersions",
                summary="How many claims were made by which identity of an entry, for one part of the store.",
                answers={200: VersionPage},
                query=VersionQuery,
            )
        ]

    async def _count(self, request: web.Request) -> web.Response:
        after = read_cursor(read_query(request, VersionQuery).cursor)
        total, in_force, now = None, list[EntryInForce](), wall_clock()
        if not after:
            total = sum((await self._store.overview(now)).claims.values())
            in_force = self._in_force()
        tally, until, place = Tally(), time.monotonic() + SECONDS, after
        while True:
            counted = await self._store.count_versions(place, now)
            for made_by, (count, last) in counted.claims.items():
                tally.count(made_by, count, last)
            if counted.next is None or time.monotonic() >= until:
                break
            place = counted.next
            await asyncio.sleep(0)  # a store in memory never waits
        claims = [_shown(made_by, *counts) for made_by, counts in tally.items()]
        return answer(VersionPage(claims, total, in_force, None if counted.next is None else counted.next.hex()))

    def _in_force(self) -> list[EntryInForce]:
        rules = self._assembly.config.rules
        found = [(rule, entry, present(rule, entry)) for rule in rules for entry in rule.unique]
        return [EntryInForce(rule.name, entry.name, version(rule, now), now) for rule, entry, now in found]


def _shown(made_by: MadeBy, count: int, last: int | None) -> VersionCount:
    has_end = last is not None and last != FOREVER
    return VersionCount(*made_by, count, rfc_3339(last) if has_end and last is not None else None, last == FOREVER)
