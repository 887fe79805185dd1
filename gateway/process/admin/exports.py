# An export over the admin listener.

import msgspec
from aiohttp import web

from gateway.errors import StoreError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.admin.answers import LINES, read_query
from gateway.process.admin.routes import Route
from gateway.process.assembly import wall_clock
from gateway.process.exports import export
from gateway.stores.base import Store


class ExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is exported."""

    rule: str | None = None
    """The only rule whose claims are."""


class ExportApi:
    """A handler."""

    def __init__(self, store: Store, fingerprinter: Fingerprinter) -> None:
        self._store = store
        self._key_check = fingerprinter.key_check

    def __repr__(self) -> str:
        return f"ExportApi({self._store!r})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/claims/export",
                handler=self._export,
                name="exportClaims",
                summary="All claims, one a line, with a header and an end: an import takes it, into any kind of store.",
                answers={200: LINES},
                query=ExportQuery,
            )
        ]

    async def _export(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, ExportQuery)
        response = web.StreamResponse(headers={"Content-Type": LINES})
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        lines = export(self._store, query.rule, self._key_check, wall_clock)
        first = await anext(lines)  # a store that fails at once is answered as any other failure
        await response.prepare(request)
        try:
            await response.write(first)
            async for part in lines:
                await response.write(part)
            await response.write_eof()
        except StoreError:
            if request.transport is not None:
                request.transport.abort()  # it ends without its last line, and is seen to
        except ConnectionError:
            pass
        return response
