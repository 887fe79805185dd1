# Sends requests to the API and says what came of it. The pool lives here; what a request means does not.

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator

import msgspec

from gateway.config.endpoints import UpstreamAddress
from gateway.upstream.connection import Connection
from gateway.upstream.results import REQUEST_BROKEN, Answer, NoAnswer, NotSent, RequestBroken

FRESH = 1.0
"""Seconds for which an idle connection may carry a request that must not be sent twice. Longer, and the API may be
closing it at this very moment; then nobody could tell whether it had read the request."""


class Request(msgspec.Struct, frozen=True):
    """A request as bytes."""

    head: bytes
    body: bytes | AsyncIterator[bytes]
    """All of it, or the pieces, framed, as they come; they raise RequestBroken when the client breaks off."""
    is_head: bool
    """Whether the method is HEAD: its answer has no body, whatever its fields say."""
    is_safe: bool
    """Whether it may be sent again (RFC 9110 9.2.1) when a kept connection turns out to be dead."""


class Limits(msgspec.Struct, frozen=True):
    """Timeouts in seconds, and the size of the pool."""

    connect: float
    response: float
    idle: float
    pool_size: int
    pool_idle: float


class Upstream:
    """The API behind the gateway. Mutable state: the idle connections, oldest first."""

    def __init__(self, address: UpstreamAddress, limits: Limits) -> None:
        self._address = address
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._tls = ssl.create_default_context() if address.tls else None
        self._sweeper = self._loop.call_later(limits.pool_idle, self._sweep)
        default_port = 443 if address.tls else 80
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.host = (host if address.port == default_port else f"{host}:{address.port}").encode()
        """What a request that names no host is sent with."""

    def __repr__(self) -> str:
        return f"Upstream({self.host.decode()}, {len(self._idle)} idle)"

    async def send(self, request: Request) -> Answer | NotSent | NoAnswer:
        """Send one request and wait for its answer's head. Only a safe request is ever sent a second time."""
        reused = self._reuse(self._limits.pool_idle if request.is_safe else FRESH)
        if reused is not None:
            result = await self._exchange(reused, request)
            if not (isinstance(result, NoAnswer) and request.is_safe and request.body == b"" and not result.timed_out):
                return result
        connection = await self._connect()
        if isinstance(connection, NotSent):
            return connection
        if not connection.is_usable():
            connection.close()
            return NotSent("connection_terminated")
        return await self._exchange(connection, request)

    def close(self) -> None:
        """Close the idle connections. Those that carry an exchange end with it."""
        self._sweeper.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _reuse(self, longest_idle: float) -> Connection | None:
        oldest = self._loop.time() - longest_idle
        while self._idle and self._idle[-1].idle_since >= oldest:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection | NotSent:
        address = self._address

        def protocol() -> Connection:
            return Connection(self._loop, self._keep)

        try:
            async with asyncio.timeout(self._limits.connect):
                if address.unix is not None:
                    _, connection = await self._loop.create_unix_connection(protocol, address.unix)
                else:
                    _, connection = await self._loop.create_connection(
                        protocol, address.host, address.port, ssl=self._tls
                    )
        except TimeoutError:
            return NotSent("connection_timeout", timed_out=True)
        except socket.gaierror:
            return NotSent("dns_error")
        except ssl.SSLCertVerificationError:
            return NotSent("tls_certificate_error")
        except ssl.SSLError:
            return NotSent("tls_protocol_error")
        except (ConnectionRefusedError, FileNotFoundError):
            return NotSent("connection_refused")
        except OSError:
            return NotSent("destination_ip_unroutable")
        return connection

    async def _exchange(self, connection: Connection, request: Request) -> Answer | NoAnswer:
        answer = connection.begin(is_head=request.is_head, idle_timeout=self._limits.idle)
        timer: asyncio.TimerHandle | None = None
        try:
            if isinstance(request.body, bytes):
                connection.write(request.head + request.body if request.body else request.head)
                connection.written()
            else:
                connection.write(request.head)
                pump = self._loop.create_task(_pump(connection, request.body), name="request-body")
                connection.when_over(pump.cancel)
                # The clock for an answer starts when the request has left, unless the answer comes sooner.
                await asyncio.wait((pump, answer), return_when=asyncio.FIRST_COMPLETED)
            timer = self._loop.call_later(
                self._limits.response, connection.fail, NoAnswer("http_response_timeout", timed_out=True)
            )
            return await answer
        except asyncio.CancelledError:
            connection.fail(NoAnswer("connection_terminated"))
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if len(self._idle) > self._limits.pool_size:
            self._idle.popleft().close()  # the one that has been idle longest is the least likely to be of use

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._limits.pool_idle
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()
        self._sweeper = self._loop.call_later(self._limits.pool_idle, self._sweep)


async def _pump(connection: Connection, pieces: AsyncIterator[bytes]) -> None:
    """Send a body as it comes. One that breaks off must not look whole to the API: the connection goes with it."""
    while True:
        try:
            piece = await anext(pieces, None)
        except RequestBroken:
            connection.fail(NoAnswer(REQUEST_BROKEN))
            return
        if piece is None:
            connection.written()
            return
        connection.write(piece)
        try:
            await connection.drain()
        except ConnectionError:
            return  # the API has closed; what it said before that, if anything, is the answer
