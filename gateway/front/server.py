# All client connections: how many there may be, who they are, and how they end together.

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from gateway.config.schema import ServerConfig
from gateway.front.connection import ClientConnection
from gateway.front.exchange import Exchange
from gateway.front.reader import HeadParser
from gateway.http.cors import Cors
from gateway.http.forwarding import Forwarding, Peer
from gateway.http.negotiation import unread
from gateway.http.problem import problem
from gateway.transport.budget import Budget


class Watcher(msgspec.Struct, frozen=True):
    """Gets what never reaches the handler."""

    refused: Callable[[str, int], None]
    """The slug and the status of the answer to bytes that never became a request."""
    failed: Callable[[BaseException], None]
    """What a handler raised."""


class DownstreamServer(web.Server):
    """All client connections, on aiohttp's server.

    Mutable state: the connections, `admitted` and `refused`; those that wait for a request (`idle`: each keeps itself
    there, the one that has waited longest first); whether answers end connections (`is_draining`), and whether none
    outlives its exchange (`is_ending`).
    """

    def __init__(
        self,
        handle: Callable[[Exchange], Awaitable[None]],
        watcher: Watcher,
        limits: ServerConfig,
        forwarding: Forwarding,
        answers: Budget | None = None,
        cors: Cors | None = None,
    ) -> None:
        """`answers` counts what was received from APIs too, where there are some."""
        super().__init__(handle)  # type: ignore[arg-type] # not called by aiohttp: our connections hand it exchanges
        self.limits = limits
        self.budget = Budget(limits.max_buffered)
        self.transit = Budget(_transit_limit(limits))
        self.answers = Budget(limits.max_buffered_answers) if answers is None else answers
        self.cors = cors
        self.is_draining = self.is_ending = False
        self._handle = handle
        self._watcher = watcher
        self._forwarding = forwarding
        self._event_loop = asyncio.get_running_loop()
        self.head_parser = HeadParser()
        self.admitted: set[ClientConnection] = set()
        self.refused: set[ClientConnection] = set()
        self.idle: dict[ClientConnection, None] = {}
        self._active = 0
        self._none_active = asyncio.Event()

    def __repr__(self) -> str:
        return f"DownstreamServer({len(self.admitted)} connections, {self._active} active)"

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self, self._event_loop)

    # Called by connections

    def admit(self, connection: ClientConnection) -> bool:
        """Whether there is space for one more: a new client is worth more than the one that has been idle longest.

        One too many may still be answered, unless the server `is_overrun`.
        """
        space = self.has_space(0)
        (self.admitted if space else self.refused).add(connection)
        return space

    def has_space(self, beside: int) -> bool:
        """Whether there is space for one more, `beside` those that are to come; an idle one is ended to make some."""
        if len(self.admitted) + beside < self.limits.max_connections:
            return True
        longest = next(iter(self.idle), None)
        if longest is not None:
            del self.idle[longest]
            longest.make_space()
        return longest is not None

    @property
    def is_overrun(self) -> bool:
        """Whether there is not even time to answer."""
        return len(self.refused) > _MAX_REFUSED

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection that has ended."""
        self.idle.pop(connection, None)
        self.admitted.discard(connection)
        self.refused.discard(connection)
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
        return reply.render(b"close", unread(self.cors))

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
        limits: ServerConfig,
        forwarding: Forwarding,
        cors: Cors | None = None,
    ) -> None:
        """Answer what comes from now on in another way. Requests under way end as they began."""
        self._handle, self._watcher, self._forwarding = handle, watcher, forwarding
        self.limits = limits
        self.cors = cors
        self.budget.limit = limits.max_buffered
        self.transit.limit = _transit_limit(limits)
        self.answers.limit = limits.max_buffered_answers
        for connection in self.admitted:
            connection.renew()

    def disable_keepalive(self) -> None:
        """Go on, but let each answer be the last one on its connection."""
        self.is_draining = True
        for connection in self.admitted:
            connection.end_after_answer()

    async def wait_until_inactive(self, timeout: float) -> bool:
        """Wait until no exchange is under way; False when that takes more than `timeout` seconds."""
        self._none_active.clear()
        if self._active:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._none_active.wait()
        return self._active == 0


_MAX_REFUSED = 64
"""Connections that are refused and told so, at once; what comes beyond them is just closed."""


def _transit_limit(limits: ServerConfig) -> int:
    """Bytes for bodies that are passed on. They have a budget of their own, so that no create is refused for them."""
    return limits.max_buffered // 4  # half of which is used before uploads are slowed down
