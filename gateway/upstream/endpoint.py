# One URL of an API: its idle connections, new ones, and whether it is worth a try. What a request means is not its
# business.

import asyncio
import ipaddress
import socket
import ssl
from collections import deque

import msgspec

from gateway.config.endpoints import UpstreamAddress
from gateway.upstream.connection import Connection
from gateway.upstream.resolve import Resolver
from gateway.upstream.results import NotSent

MAX_IDLE_UNSAFE = 1.0
"""Seconds for which an idle connection may carry a request that must not be sent twice. Longer, and the API may be
closing it at this very moment; then nobody could tell whether it had read the request."""


class EndpointLimits(msgspec.Struct, frozen=True):
    """Times in seconds, and the size of the pool of one target."""

    connect: float
    """For a connection, its TLS handshake and the lookup of its name included."""
    idle: float
    """How long a body may stand still."""
    pool_size: int
    pool_idle: float
    unhealthy: float
    """How long a target that could not be connected to is left alone."""


class EndpointTls(msgspec.Struct, frozen=True):
    """What TLS to a target needs."""

    context: ssl.SSLContext
    server_name: str


class Endpoint:
    """Connections to one URL.

    Mutable state: the idle connections, oldest first; whether more are kept; `down_until` is the loop time until which
    others go first, 0 when the last connection could be made.
    """

    def __init__(
        self, address: UpstreamAddress, host: str, limits: EndpointLimits, tls: EndpointTls | None, resolver: Resolver
    ) -> None:
        """`host` is what the Host line says, for requests that have none of their own."""
        self._address = address
        self._limits = limits
        self._tls = tls
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._is_closed = False
        self._sweeper = self._loop.call_later(limits.pool_idle, self._sweep)
        self.host_line = b"Host: %b\r\n" % host.encode()
        self.down_until = 0.0

    def __repr__(self) -> str:
        state = "down" if self.down_until else "up"
        return f"Endpoint({self._address.unix or self._address.authority}, {state}, {len(self._idle)} idle)"

    def reuse(self, *, is_safe: bool, may_go_again: bool) -> Connection | None:
        """Take an idle connection that nothing speaks against; for a request that is not safe, a fresh one.

        For one that may go again the kernel is not asked: that costs more than the few that are lost.
        """
        oldest = self._loop.time() - (self._limits.pool_idle if is_safe else MAX_IDLE_UNSAFE)
        while self._idle and self._idle[-1].idle_since >= oldest:
            connection = self._idle.pop()
            if may_go_again and not connection.is_lost:
                return connection
            if (is_safe or not connection.may_have_stray_body) and connection.is_usable():
                return connection
            connection.close()
        return None

    async def connect(self) -> Connection | NotSent:
        """Make a connection, or say why there is none, and note how healthy that shows the target to be."""
        connection = await self._connect()
        if isinstance(connection, Connection) and not connection.is_usable():
            connection.close()
            connection = NotSent("connection_terminated")
        self.down_until = self._loop.time() + self._limits.unhealthy if isinstance(connection, NotSent) else 0.0
        return connection

    def try_again(self) -> None:
        """Let the caller alone find out whether the target is back: for others it is still down meanwhile."""
        self.down_until = self._loop.time() + self._limits.connect

    def close(self) -> None:
        """Close the idle connections. Those that carry an exchange end with it."""
        self._is_closed = True
        self._sweeper.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connect(self) -> Connection | NotSent:
        try:
            async with asyncio.timeout(self._limits.connect):
                return await self._open()
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
        except ConnectionError:
            return NotSent("connection_terminated")  # amid the handshake
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
        return Connection(self._loop, self._keep, self._limits.idle)

    def _keep(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._is_closed or len(self._idle) > self._limits.pool_size:
            self._idle.popleft().close()  # the one that has been idle longest is the least likely to be of use

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
