# One client's connection: reads requests strictly, one at a time, and has each handled before the next is looked at.
#
# What comes meanwhile waits in a bounded buffer, so that answers leave in the order of the requests (RFC 9112 9.3.2).

import asyncio
from typing import Any, Protocol, cast

import msgspec

from gateway.errors import Malformed
from gateway.front.exchange import Exchange
from gateway.front.reader import HeadLimits, RequestReader
from gateway.http.forwarding import Peer
from gateway.http.request import RequestHead
from gateway.transport.budget import Budget
from gateway.transport.deadline import Deadline
from gateway.transport.stream import Stream, wake
from gateway.transport.write_progress import unacknowledged, wait_writable
from gateway.upstream.results import RequestBroken

LINGER = 5.0
"""Seconds for which a client may go on sending what nobody wants, so that it gets to see the answer (RFC 9112 9.6)."""


class ServerLimits(msgspec.Struct, frozen=True):
    """What clients may take; times in seconds."""

    head_timeout: float
    """From the first byte of a head to its last; a new connection has as long for its first one, from the start."""
    body_timeout: float
    """For which a body may stand still."""
    keepalive_timeout: float
    max_connections: int
    max_buffered: int
    """Bytes of bodies in memory, those of all requests together."""
    head_limits: HeadLimits


class ConnectionManager(Protocol):
    """What all connections have in common."""

    limits: ServerLimits
    is_ending: bool
    """Whether no connection outlives its exchange any more."""
    budget: Budget
    idle: "dict[ClientConnection, None]"
    """Connections that wait for a request, the one that has waited longest first. Each keeps itself there."""

    def admit(self, connection: "ClientConnection") -> bool:
        """Whether there is room for one more. One too many may still be told so, unless it `is_overrun`."""

    @property
    def is_overrun(self) -> bool:
        """Whether there is not even time to say so."""

    def gone(self, connection: "ClientConnection") -> None:
        """Take note that a connection has ended."""

    def peer(self, transport: asyncio.BaseTransport) -> Peer | None:
        """Say who is at the other end; None when that cannot be said any more, because it has left."""

    def refusal(self, slug: str, detail: str) -> bytes:
        """Tell of bytes that never became a request; gives the answer to them."""

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request. Raises nothing but CancelledError."""


class ClientConnection(asyncio.Protocol):
    """One client's connection.

    Mutable state: `_exchange` is under way; while `_stream` is there its body is still coming; once `_is_closing`,
    nothing that comes is looked at any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, manager: ConnectionManager) -> None:
        self._loop = loop
        self._manager = manager
        self._idle = manager.idle
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._deadline = Deadline(loop, self._too_late)
        self._reader = RequestReader(manager.limits.head_limits)
        self._exchange: Exchange | None = None
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._draining: asyncio.Future[None] | None = None
        self.is_writable = True
        self._held = False
        self._untaken = 0
        self._is_first = True
        self._is_closing = False
        self._is_detached = False
        self.is_lost = False
        self.has_left = False
        self.peer: Peer = cast("Peer", None)
        self.budget = manager.budget

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "idle" if self._exchange is None else "busy"
        return f"ClientConnection({state})"

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._manager.admit(self):
            if self._manager.is_overrun:
                self.abort()
            else:
                self._refuse("too-many-connections", "All connections are in use.")
            return
        peer = self._manager.peer(transport)
        if peer is None:
            self.abort()
            return
        self.peer = peer
        self._deadline.set(self._manager.limits.head_timeout)
        self._idle[self] = None
        self._task = self._loop.create_task(self._serve(), name="client")

    def data_received(self, data: bytes) -> None:
        """Read what came as far as it can be looked at now."""
        if self._is_closing:
            return
        reader = self._reader
        if self._stream is not None:
            self._read_body(self._stream, data)
            return
        reader.buffered = reader.buffered + data if reader.buffered else data
        if self._exchange is None:
            self._read_head()
        elif len(reader.buffered) > self._manager.limits.head_limits.head:
            self.pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more. It may still read, but not under TLS (RFC 9112 9.6)."""
        self.has_left = True
        if self._stream is not None:
            self.abort_body(timed_out=False)
        return self._exchange is not None and not self._is_closing and self._transport.can_write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go. A handler that need not finish is cancelled; any other goes on until it has."""
        self.is_lost = self.has_left = True
        self._deadline.close()
        self._idle.pop(self, None)
        if self._task is None or self._task.done():  # else it counts until its exchange has ended
            self._manager.gone(self)
        if self._stream is not None:
            self.abort_body(timed_out=False)
        wake(self._waiting)
        wake(self._draining)
        if self._task is not None and self._exchange is not None and self._exchange.may_stop:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """The client keeps up again."""
        self.is_writable = True
        wake(self._draining)

    # What the manager asks

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._exchange is None

    def close(self) -> None:
        """End the connection once what was written has left."""
        self._end(politely=False)

    def make_room(self) -> None:
        """End an idle connection now: what the client has not fetched yet is not waited for."""
        if self._transport.get_write_buffer_size():
            self.abort()
        else:
            self.close()

    def renew(self) -> None:
        """Take up what has changed in the manager, for requests to come."""
        self._reader.head_limits = self._manager.limits.head_limits
        if (peer := self._manager.peer(self._transport)) is not None:
            self.peer = peer

    def end_after_answer(self) -> None:
        """Let the exchange under way be the last one, unless its client was told already that it is not."""
        if self._exchange is not None and not self._exchange.begun:
            self._exchange.keep_alive = False

    def cancel(self) -> None:
        """Cancel the exchange under way."""
        if self._task is not None:
            self._task.cancel()

    # What an exchange asks

    def write(self, data: bytes) -> None:
        """See ClientTransport."""
        if not self.is_lost:
            self._transport.write(data)

    async def wait_writable(self, idle_timeout: float) -> bool:
        """See Exchange."""
        if not self.is_writable and not self.is_lost:
            self._draining = self._loop.create_future()
            await wait_writable(self._transport, self._draining, idle_timeout, self.abort)
        return not self.is_lost

    def abort(self) -> None:
        """See ClientTransport."""
        self._is_closing = True
        if not self.is_lost:
            self._transport.abort()

    def detach(self) -> tuple[Any, bytes]:
        """See Exchange."""
        self._deadline.close()
        self._is_detached = self._is_closing = True
        self._transport.pause_reading()
        return self._transport, self._reader.buffered

    # What the stream asks

    def pause_reading(self) -> None:
        """See Source."""
        if not self._held and not self.is_lost:
            self._held = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See Source."""
        if self._held and not self.is_lost:
            self._held = False
            self._transport.resume_reading()

    def abort_body(self, *, timed_out: bool) -> None:
        """See Source: the request's body ends here, unfinished, and nothing that follows is looked at."""
        self._is_closing = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(broken=True)

    # Requests

    def _read_head(self) -> None:
        """Begin an exchange, if a head has come whole."""
        reader = self._reader
        was_amid = reader.is_amid_head
        try:
            head = reader.next_head()
            if head is not None:
                self._begin(head)
            elif reader.is_amid_head and not was_amid:
                self._idle.pop(self, None)
                if not self._is_first:
                    self._deadline.set(self._manager.limits.head_timeout)
        except Malformed as error:
            self._refuse(error.slug, error.detail)

    def _begin(self, head: RequestHead) -> None:
        """Raises Malformed, from what came of the body."""
        self._is_first = False
        self._idle.pop(self, None)
        content = b""
        if head.length:
            content, is_whole = self._reader.begin_body(head.length)
            if not is_whole:
                self._stream = Stream(self, self._manager.limits.body_timeout, RequestBroken, self.budget)
                if content:
                    self._stream.feed(content)
                    content = b""
        self._exchange = Exchange(self, head, content, self._stream)
        wake(self._waiting)

    def _read_body(self, stream: Stream, data: bytes) -> None:
        try:
            content, is_whole = self._reader.feed_body(data)
        except Malformed:
            self.abort_body(timed_out=False)
            return
        if content:
            stream.feed(content)
        if is_whole:
            self._stream = None
            stream.end(broken=False)

    async def _serve(self) -> None:
        """Have one request after the other handled."""
        try:
            while True:
                exchange = self._exchange
                if exchange is not None:
                    await self._manager.answer(exchange)
                    self._after(exchange)
                    if self._exchange is not None:  # pipelined: others have their turn first
                        await asyncio.sleep(0)
                elif self._is_closing or self.is_lost:
                    return
                else:
                    self._waiting = self._loop.create_future()
                    await self._waiting
                    self._waiting = None
        finally:
            if self.is_lost or self._is_detached:
                self._manager.gone(self)

    def _after(self, exchange: Exchange) -> None:
        self._exchange = None
        if self.is_lost or self._is_detached:
            return
        waiting = self._reader.buffered
        nothing_comes = self.has_left and not waiting
        if not exchange.keep_alive or self._is_closing or self._manager.is_ending or nothing_comes:
            if waiting.strip() and not exchange.head.keep_alive and exchange.has_end and not self._is_closing:
                self._refuse("bad-request", "More came after a request that was to be the last one.")
            else:
                self._end(politely=bool(waiting) or not exchange.is_over)
            return
        self._idle[self] = None
        if self._held:
            self.resume_reading()
        self._deadline.set(self._manager.limits.keepalive_timeout)
        if waiting:
            self._read_head()

    # The end

    def _refuse(self, slug: str, detail: str) -> None:
        self.write(self._manager.refusal(slug, detail))
        self._end(politely=True)

    def _end(self, *, politely: bool) -> None:
        """Close. To a client that may be sending still, first say so and let it read (RFC 9112 9.6)."""
        self._is_closing = True
        self._stream = None
        self._reader.buffered = b""
        wake(self._waiting)
        if self._transport.is_closing():
            return
        if not politely:
            self._transport.close()
            self._untaken = self._transport.get_write_buffer_size() and unacknowledged(self._transport)
            self._deadline.set(self._manager.limits.body_timeout)  # for what the client has not fetched yet
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()  # says so under TLS
        self.resume_reading()
        self._deadline.set(LINGER)

    def _too_late(self) -> None:
        if self._exchange is not None:
            return  # it was set for the time before
        if self._is_closing:
            before, self._untaken = self._untaken, unacknowledged(self._transport)
            if self._untaken < before:
                self._deadline.set(self._manager.limits.body_timeout)
            else:
                self._transport.abort()
        elif self._reader.buffered:
            self._refuse("request-timeout", "The head of the request did not come in time.")
        else:
            self.close()
