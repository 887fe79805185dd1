# Clients that go at a pace of their own: that send drop by drop, or read nothing. Knows nothing of the gateway.

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Self

from tests.support import wire
from tests.support.client import Client

EVERY = 0.02
"""Seconds between two drops, unless a test says otherwise."""


@contextlib.asynccontextmanager
async def dripping(client: Client, data: Iterable[bytes], every: float = EVERY) -> AsyncIterator[asyncio.Task[None]]:
    """Send the pieces of `data` one by one, beside what happens inside, until that is over or the peer is gone."""
    task = asyncio.create_task(drip(client, data, every))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def drip(client: Client, data: Iterable[bytes], every: float = EVERY) -> None:
    """Send the pieces of `data` one by one; no more when the peer is gone."""
    with contextlib.suppress(ConnectionError):
        for piece in data:
            await client.send_raw(piece)
            await asyncio.sleep(every)


class StandingClient(Client):
    """A client that reads nothing, and for which the kernel keeps little: what it is sent stays with the sender."""

    async def __aenter__(self) -> Self:
        assert isinstance(self._address, int)
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", self._address))
        self.reader, self.writer = await asyncio.open_connection(sock=own, limit=wire.HEAD_LIMIT)
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        return self

    def read_on(self) -> None:
        """Read from now on."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]
