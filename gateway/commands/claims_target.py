# Where claims are imported into, and exported from: a running gateway, by its admin listener, or the store of a rules
# file that nobody runs.

import argparse
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec
from typing_extensions import override

from gateway.commands.admin_client import Connection, NotDone, NothingListens, given_listener
from gateway.config import load
from gateway.process.import_shapes import Asked, Begun, Part

_FAILED = 400


class Target(Protocol):
    """Takes an import's lines, and gives an export's. Every method may raise GatewayError."""

    async def begin(self, asked: Asked) -> Begun:
        """Begin an import."""

    async def add(self, first: int, lines: Sequence[str], *, skips: bool) -> Part:
        """Add the claims of lines, the first of which has that number."""

    async def end(self) -> None:
        """End the import, which is written down."""

    def export(self, rule: str | None) -> AsyncIterator[bytes]:
        """The lines of an export, in pieces."""


class _Gateway(Target):
    """A running gateway."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._path = ""

    @override
    async def begin(self, asked: Asked) -> Begun:
        begun = msgspec.convert(await self._ask("/claims/import", asked), Begun)
        self._path = f"/claims/import/{begun.id}"
        return begun

    @override
    async def add(self, first: int, lines: Sequence[str], *, skips: bool) -> Part:
        body = {"first": first, "lines": lines, "skip": skips}
        return msgspec.convert(await self._ask(self._path, body), Part)

    @override
    async def end(self) -> None:
        await self._ask(f"{self._path}/end", {})

    @override
    def export(self, rule: str | None) -> AsyncIterator[bytes]:
        query = "" if rule is None else f"?{urlencode({'rule': rule})}"
        return self._connection.stream(f"/claims/export{query}")

    async def _ask(self, path: str, body: object) -> dict[str, Any]:
        status, answer = await self._connection.ask("POST", path, body)
        if status >= _FAILED:
            raise NotDone(answer, status)
        return answer


@contextlib.asynccontextmanager
async def open_target(args: argparse.Namespace, *, reads: bool) -> AsyncIterator[Target]:
    """The gateway that arguments name, or else the store of its rules file. With `reads` it must be there already.

    Raises GatewayError when neither can be had.
    """
    listener = given_listener(args)
    if listener.address != "off" or args.admin is not None:
        async with Connection(listener, args.timeout) as connection:
            try:
                await connection.ask("GET", "/livez")
            except NothingListens:
                if args.admin is not None:
                    raise
            else:
                yield _Gateway(connection)
                return
    from gateway.commands.claims_store import open_by_itself  # imported only when needed

    async with open_by_itself(args.config, load(args.config), listener.address, reads=reads) as target:
        yield target
