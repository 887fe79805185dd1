# One URL of an API: its pool of idle connections, new connections, and its health. Knows nothing about HTTP semantics.

import asyncio
import errno
import ipaddress
import socket
import ssl
import weakref
from collections import deque

import msgspec

from gateway.config.endpoints import UpstreamAddress
from gateway.transport.budget import Budget
from gateway.upstream.connection import Connection
from gateway.upstream.resolve import Resolver
from gateway.upstream.results import NotSent

MAX_IDLE_UNSAFE = 1.0
"""How many seconds a connection may have been idle to carry a request that must not be sent twice. After a longer time
the API may be closing it just now, and it would be unknown whether it had read the request."""

_SHORTAGES = {errno.EMFILE, errno.ENFILE}
_NEXT_ATTEMPT_AFTER = 0.02
"""Seconds until the next attempt when there was no file descriptor."""
_OUT_OF_DESCRIPTORS = NotSent("proxy_internal_error")


class EndpointLimits(msgspec.Struct, frozen=True):
    """Timeouts in seconds, and the pool size of one endpoint."""

    connect: float
    """For a connection, including the DNS lookup and the TLS handshake."""
    idle: float
    """How long a body may stall."""
    pool_size: int
    pool_idle: float
    unhealthy: float
    """How long an endpoint is avoided after a failed connection attempt."""


class EndpointTls(msgspec.Struct, frozen=True):
    """The TLS settings for an endpoint."""

    context: ssl.SSLContext
    server_name: str


class EndpointShared(msgspec.Struct, frozen=True):
    """What all endpoints share."""

    resolver: Resolver
    answers: Budget
    """Counts what was received and clients have not taken yet."""
    connections: weakref.WeakSet[Connection] = msgspec.field(default_factory=weakref.WeakSet)
    """All that were made, until nothing refers to them any more."""


class Endpoint:
    """Connections to one URL.

    Mutable state: the idle connections, oldest first; whether the pool is closed; `down_until` is the loop time until
    which other endpoints are preferred, 0 when the last connection attempt succeeded.
    """

    def __init__(
        self,
        address: UpstreamAddress,
        host: str,
        limits: EndpointLimits,
        tls: EndpointTls | None,
        shared: EndpointShared,
    ) -> None:
        """`host` is the value of the Host field for requests that have none."""
        self._address = address
        self._limits = limits
        self._tls = tls
        self._resolver = shared.resolver
        self._answers = shared.answers
        self._connections = shared.connections
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._is_closed = False
        self._sweeper = self._loop.call_later(limits.pool_idle, self._sweep)
        self.host_line = b"Host: %b\r\n" % host.encode()
        self.down_until = 0.0

    def __repr__(self) -> str:
        state = "up" if self.is_up else "down"
        return f"Endpoint({self._address.unix or self._address.authority}, {state}, {len(self._idle)} idle)"

    @property
    def is_up(self) -> bool:
        """Whether the last attempt to connect succeeded, or there was none, or an answer came after it."""
        return not self.down_until

    def reuse(self, *, is_safe: bool, is_retryable: bool) -> Connection | None:
        """Take a usable idle connection; for an unsafe request only a recently used one.

        For a retryable request the kernel is not polled: that costs more than the rare retry.
        """
        oldest = self._loop.time() - (self._limits.pool_idle if is_safe else MAX_IDLE_UNSAFE)
        while self._idle and self._idle[-1].idle_since >= oldest:
            connection = self._idle.pop()
            if is_retryable and not connection.is_lost:
                return connection
            if (is_safe or not connection.is_doubtful) and connection.is_usable():
                return connection
            connection.close()
        return None

    async def connect(self) -> Connection | NotSent:
        """Open a connection, or return why that failed, and update the health of the endpoint.

        When this process has no file descriptor left, wait for one, and give up idle connections.
        """
        connection = await self._connect()
        if isinstance(connection, Connection) and not connection.is_usable():
            connection.close()
            connection = NotSent("connection_terminated")
        if connection is not _OUT_OF_DESCRIPTORS:  # which says nothing of the endpoint
            self.down_until = self._loop.time() + self._limits.unhealthy if isinstance(connection, NotSent) else 0.0
        return connection

    def try_again(self) -> None:
        """Let only the calling request probe whether the endpoint is back: for others it stays down meanwhile."""
        self.down_until = self._loop.time() + self._limits.connect

    def close(self) -> None:
        """Close the idle connections. Busy ones are closed at the end of their exchange."""
        self._is_closed = True
        self._sweeper.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connect(self) -> Connection | NotSent:
        is_short = False
        try:
            async with asyncio.timeout(self._limits.connect):
                while True:
                    try:
                        return await self._open()
                    except OSError as error:
                        is_short = error.errno in _SHORTAGES
                        if not is_short:
                            raise
                    if self._idle:
                        self._idle.popleft().close()
                    await asyncio.sleep(_NEXT_ATTEMPT_AFTER)
                    is_short = False
        except TimeoutError:
            return _OUT_OF_DESCRIPTORS if is_short else NotSent("connection_timeout", timed_out=True)
        except socket.gaierror:
            return NotSent("dns_error")
        except ssl.SSLCertVerificationError:
            return NotSent("tls_certificate_error")
        except ssl.SSLError:
            return NotSent("tls_protocol_error")
        except (ConnectionRefusedError, FileNotFoundError):
            return NotSent("connection_refused")
        except ConnectionError:
            return NotSent("connection_terminated")  # during the handshake
        except OSError:
            return NotSent("destination_ip_unroutable")

    async def _open(self) -> Connection:
        address, tls = self._address, self._tls
        context, server_name = (None, None) if tls is None else (tls.context, tls.server_name)
        if address.unix is not None:
            _, connection = await self._loop.create_unix_connection(self._protocol, address.unix)
        elif _is_ip(address.host):
            _, connection = await self._loop.create_connection(
                self._protocol, address.host, address.port, ssl=context, server_hostname=server_name
            )
        else:
            connected = await self._resolver.connect(address.host, address.port)
            _, connection = await self._loop.create_connection(
                self._protocol, sock=connected, ssl=context, server_hostname=server_name
            )
        return connection

    def _protocol(self) -> Connection:
        connection = Connection(self._loop, self._keep, self._limits.idle, self._answers)
        self._connections.add(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._is_closed or len(self._idle) > self._limits.pool_size:
            self._idle.popleft().close()  # the connection that has been idle longest is the least likely to be usable

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._limits.pool_idle
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()
        self._sweeper = self._loop.call_later(self._limits.pool_idle, self._sweep)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
