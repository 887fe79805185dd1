# A protocol that is none, "raw", to change to and to speak through a tunnel. Knows nothing of the gateway.

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator

from tests.support import wire
from tests.support.client import Client, request_bytes
from tests.support.upstream import Act, Call

PIECE = bytes(range(251)) * 261
"""Bytes without a pattern that a lost or doubled part would keep."""


def asking(protocol: str = "raw") -> bytes:
    """A request to change to another protocol."""
    return request_bytes("GET", "/socket", [("Connection", "Upgrade"), ("Upgrade", protocol)])


SWITCHING = wire.render_head("HTTP/1.1 101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "raw")])
"""The answer that changes to it."""


def switched(then: Callable[[Call], Awaitable[None]], first: bytes = b"") -> Act:
    """Change to the protocol "raw", with `first` in the same segment, and then speak it."""

    async def act(call: Call) -> None:
        await call.send(SWITCHING + first)
        await then(call)
        if not call.ended:
            call.close()

    return act


async def upgraded(client: Client) -> None:
    """Ask for the protocol "raw", and get it."""
    await client.send_raw(asking())
    seen = await client.read_response()
    assert (seen.status, seen.reason, seen.header("Upgrade")) == (101, "Switching Protocols", "raw")
    assert seen.header("Connection") == "Upgrade"


async def echo(call: Call) -> None:
    """Send back what comes, until nothing more does."""
    while data := await call.reader.read(65536):
        await call.send(data)


class Flood:
    """Endless bytes, and how many have been taken of them."""

    def __init__(self) -> None:
        self.sent = 0
        self.is_over = asyncio.Event()

    def __iter__(self) -> Iterator[bytes]:
        while not self.is_over.is_set():
            yield PIECE
            self.sent += len(PIECE)

    def digest(self) -> str:
        """Of all that was taken."""
        hasher = hashlib.sha256()
        for _ in range(self.sent // len(PIECE)):
            hasher.update(PIECE)
        return hasher.hexdigest()


async def digest_of(reader: asyncio.StreamReader) -> str:
    """Of all that comes until the end."""
    hasher = hashlib.sha256()
    while data := await reader.read(2**20):
        hasher.update(data)
    return hasher.hexdigest()
