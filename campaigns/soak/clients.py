# The clients of the soak test: cheap persistent connections, and one that reads slowly. Knows HTTP/1.1, and the format
# of the gateway's problem responses.

import asyncio
import socket
import ssl
from collections import deque
from typing import cast

import httptools

from tests.support.client import Client, problem_slug
from tests.support.tally import PATIENCE
from tests.support.tls import TlsClient

NO_ANSWER = "no answer"
_SLOWLY = 0.05
"""Seconds between two readings of a client that reads slowly."""
_LITTLE = 2**16
"""Bytes that the kernel keeps for it: with less than a segment of the loopback it would be slower than anybody is."""


class Connection(asyncio.Protocol):
    """Sends requests, several at once if asked to, and tells what came back. One `ask` at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._told: list[str] = []
        self._wanted = 0
        self._done: asyncio.Future[list[str]] | None = None
        self._body: list[bytes] = []
        self._has_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self.is_open = True

    async def ask(self, requests: bytes, count: int = 1) -> list[str]:
        """Send so many requests, and say in a word what was answered to each."""
        self._told, self._wanted = [], count
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(requests)
        async with asyncio.timeout(PATIENCE):
            return await self._done

    def close(self) -> None:
        """Leave; nothing is awaited any more."""
        self.is_open = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._tell(f"malformed: {error!r}")
            self.close()

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        slug = problem_slug(b"".join(self._body)) if status >= 400 else None
        self._body.clear()
        self._has_head = False
        if not self._parser.should_keep_alive():
            self.close()
        self._tell(str(status) if slug is None else f"{status} {slug}")

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        while self._done is not None:
            self._tell(f"{self._parser.get_status_code()}, broken off" if self._has_head else NO_ANSWER)
            self._has_head = False

    def _tell(self, told: str) -> None:
        self._told.append(told)
        if self._done is not None and len(self._told) == self._wanted:
            done, self._done = self._done, None
            if not done.done():
                done.set_result(self._told)


class SlowReader(asyncio.Protocol):
    """Reads an answer that ends with its connection, a little at a time. `read` is done when it has ended."""

    def __init__(self, request: bytes) -> None:
        self.read: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._count += len(data)
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(_SLOWLY, self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.read.done():
            self.read.set_result(self._count)


class Clients:
    """Makes clients of a port, with or without TLS. Mutable state: the connections that wait for another request."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._name = None if tls is None else "localhost"
        self._idle: deque[Connection] = deque()

    async def ask(self, requests: bytes, count: int = 1, *, leaves: bool = False) -> list[str]:
        """Send over a connection, the one that has been idle longest; see Connection. `leaves`: close it then."""
        connection = await self._take()
        try:
            told = await connection.ask(requests, count)
        except BaseException:
            connection.close()
            raise
        if leaves or not connection.is_open:
            connection.close()
        else:
            self._idle.append(connection)
        return told

    def streams(self) -> Client:
        """A client that is driven byte by byte."""
        return Client(self._port) if self._tls is None else TlsClient(self._port, self._tls)

    async def read_slowly(self, request: bytes) -> int:
        """Send a request, and return the bytes of its answer, head and all, which was read slowly."""
        loop = asyncio.get_running_loop()
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)
        own.setblocking(False)
        await loop.sock_connect(own, ("127.0.0.1", self._port))
        _, reader = await loop.create_connection(
            lambda: SlowReader(request), sock=own, ssl=self._tls, server_hostname=self._name
        )
        async with asyncio.timeout(PATIENCE):
            return await reader.read

    async def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.popleft().close()
        await asyncio.sleep(0)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            Connection, "127.0.0.1", self._port, ssl=self._tls, server_hostname=self._name
        )
        return connection
