# All client connections: how many there may be, who they are, and how they end together.

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from gateway.front.connection import ClientConnection
from gateway.front.exchange import Exchange
from gateway.front.head_parser import HeadParser
from gateway.http.forwarding import Forwarding, Peer
from gateway.http.problem import problem
from gateway.http.request import HeadLimits
from gateway.transport.budget import Budget


class ServerLimits(msgspec.Struct, frozen=True):
    """What clients may take; times in seconds."""

    head_timeout: float
    """From the first byte of a head to its last; a new connection has as long for its first one, from the start."""
    body_timeout: float
    """For which a body may stall."""
    keepalive_timeout: float
    max_connections: int
    max_buffered: int
    """Bytes of bodies in memory, those of all requests together."""
    head_limits: HeadLimits


class Watcher(msgspec.Struct, frozen=True):
    """Gets what never reaches the handler."""

    refused: Callable[[str, int], None]
    """The slug and the status of the answer to bytes that never became a request."""
    failed: Callable[[BaseException], None]
    """What a handler raised."""


class DownstreamServer(web.Server):
    """All client connections, on aiohttp's server.

    Mutable state: the connections; those that wait for a request (`idle`: each keeps itself there, the one that has
    waited longest first); whether answers end connections (`is_draining`), and whether none outlives its exchange
    (`is_ending`).
    """

    def __init__(
        self,
        handle: Callable[[Exchange], Awaitable[None]],
        watcher: Watcher,
        limits: ServerLimits,
        forwarding: Forwarding,
    ) -> None:
        super().__init__(handle)  # type: ignore[arg-type] # not called by aiohttp: our connections hand it exchanges
        self.limits = limits
        self.budget = Budget(limits.max_buffered)
        self.is_draining = self.is_ending = False
        self._handle = handle
        self._watcher = watcher
        self._forwarding = forwarding
        self._event_loop = asyncio.get_running_loop()
        self.head_parser = HeadParser()
        self._admitted: set[ClientConnection] = set()
        self._refused: set[ClientConnection] = set()
        self.idle: dict[ClientConnection, None] = {}
        self._active = 0
        self._none_active = asyncio.Event()

    def __repr__(self) -> str:
        return f"DownstreamServer({len(self._admitted)} connections, {self._active} active)"

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self, self._event_loop)

    # Called by connections

    def admit(self, connection: ClientConnection) -> bool:
        """Whether there is space for one more: a new client is worth more than the one that has been idle longest.

        One too many may still be answered, unless the server `is_overrun`.
        """
        space = self.has_space(0)
        (self._admitted if space else self._refused).add(connection)
        return space

    def _make_space(self) -> bool:
        if not self.idle:
            return False
        longest = next(iter(self.idle))
        del self.idle[longest]
        longest.make_space()
        return True

    def has_space(self, beside: int) -> bool:
        """Whether there is space for one more, `beside` those that are to come; an idle one is ended to make some."""
        if len(self._admitted) + beside < self.limits.max_connections:
            return True
        return self._make_space()

    @property
    def is_overrun(self) -> bool:
        """Whether there is not even time to answer."""
        return len(self._refused) > _MAX_REFUSED

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection that has ended."""
        self.idle.pop(connection, None)
        self._admitted.discard(connection)
        self._refused.discard(connection)
        self.connection_lost(connection)  # a transport that became a tunnel's does not report its end to aiohttp

    def peer(self, transport: asyncio.BaseTransport) -> Peer | None:
        """Say who is at the other end; None when that cannot be said any more, because it has left."""
        is_tls = transport.get_extra_info("sslcontext") is not None
        connected = transport.get_extra_info("socket")
        if connected is None:  # so it is under TLS once it closes
            return None
        if connected.family == socket.AF_UNIX:
            return self._forwarding.peer(None, is_tls=is_tls)
        name = transport.get_extra_info("peername")
        return self._forwarding.peer(name[0], is_tls=is_tls) if name else None

    def refusal(self, slug: str, detail: str) -> bytes:
        """Report bytes that never became a request; gives the answer to them."""
        reply = problem(slug, detail)
        self._watcher.refused(slug, reply.status)
        return reply.render(b"close", b"")

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request. Raises nothing but CancelledError."""
        if self.is_draining:
            exchange.keep_alive = False
        self._active += 1
        try:
            await self._handle(exchange)
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, this client must not wait for ever
            self._watcher.failed(error)
            if exchange.begun:
                exchange.abort()
            else:
                exchange.reply(problem("internal-error", "The gateway failed to handle the request."))
        finally:
            exchange.free_body()
            self._active -= 1
            if not self._active:
                self._none_active.set()

    # Called by the process

    def apply_config(
        self,
        handle: Callable[[Exchange], Awaitable[None]],
        watcher: Watcher,
        limits: ServerLimits,
        forwarding: Forwarding,
    ) -> None:
        """Answer what comes from now on in another way. Requests under way end as they began."""
        self._handle, self._watcher, self._forwarding = handle, watcher, forwarding
        self.limits = limits
        self.budget.limit = limits.max_buffered
        for connection in self._admitted:
            connection.renew()

    def disable_keepalive(self) -> None:
        """Go on, but let each answer be the last one on its connection."""
        self.is_draining = True
        for connection in self._admitted:
            connection.end_after_answer()

    async def final_request_grace(self, patience: float) -> None:
        """Give clients that are connected so many seconds at most to send a request; return early when none is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(connection.is_idle for connection in self._admitted):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_INTERVAL)  # hundreds may go in one turn, and nobody tells of the last

    async def drain(self, timeout: float) -> bool:
        """Let exchanges under way finish, close all other connections; False when `timeout` seconds were too short.

        Those that did not finish are cancelled, and have settled when this returns.
        """
        self.is_draining = self.is_ending = True
        for connection in [*self._admitted, *self._refused]:
            if connection.is_idle:
                connection.close()
            else:
                connection.end_after_answer()
        await asyncio.sleep(0)  # a request that was parsed in this turn reaches the handler in the next
        finished = await self._until_none_active(timeout)
        for connection in list(self._admitted):
            connection.cancel()
        await self._until_none_active(1)
        return finished

    async def _until_none_active(self, timeout: float) -> bool:
        self._none_active.clear()
        if self._active:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._none_active.wait()
        return self._active == 0


_MAX_REFUSED = 64
"""Connections that are refused and told so, at once; what comes beyond them is just closed."""
_POLL_INTERVAL = 0.02
