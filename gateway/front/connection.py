# One client's connection: reads requests strictly, one at a time, and has each handled before the next is looked at.
#
# What comes meanwhile waits in a bounded buffer, so that answers leave in the order of the requests (RFC 9112 9.3.2).

import asyncio
from typing import Any, Protocol, cast

import msgspec

from gateway.errors import Malformed
from gateway.front.exchange import Exchange
from gateway.front.reader import Bounds, Intake
from gateway.http.forwarding import Peer
from gateway.http.request import RequestHead
from gateway.transport.budget import Budget
from gateway.transport.deadline import Deadline
from gateway.transport.outgoing import untaken, until_taken
from gateway.transport.stream import Stream, wake
from gateway.upstream.results import RequestBroken

LINGER = 5.0
"""Seconds for which a client may go on sending what nobody wants, so that it gets to see the answer (RFC 9112 9.6)."""


class Limits(msgspec.Struct, frozen=True):
    """What clients may take; times in seconds."""

    head_timeout: float
    """From the first byte of a head to its last; a new connection has as long for its first one, from the start."""
    body_timeout: float
    """For which a body may stand still."""
    keepalive_timeout: float
    max_connections: int
    max_buffered: int
    """Bytes of bodies in memory, those of all requests together."""
    bounds: Bounds


class House(Protocol):
    """What all connections have in common."""

    limits: Limits
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

    def __init__(self, loop: asyncio.AbstractEventLoop, house: House) -> None:
        self._loop = loop
        self._house = house
        self._idle = house.idle
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._deadline = Deadline(loop, self._too_late)
        self._intake = Intake(house.limits.bounds)
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
        self.budget = house.budget

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "idle" if self._exchange is None else "busy"
        return f"ClientConnection({state})"

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._house.admit(self):
            if self._house.is_overrun:
                self.abort()
            else:
                self._refuse("too-many-connections", "All connections are in use.")
            return
        peer = self._house.peer(transport)
        if peer is None:
            self.abort()
            return
        self.peer = peer
        self._deadline.set(self._house.limits.head_timeout)
        self._idle[self] = None
        self._task = self._loop.create_task(self._serve(), name="client")

    def data_received(self, data: bytes) -> None:
        """Read what came as far as it can be looked at now."""
        if self._is_closing:
            return
        intake = self._intake
        if self._stream is not None:
            self._read_body(self._stream, data)
            return
        intake.waiting = intake.waiting + data if intake.waiting else data
        if self._exchange is None:
            self._read_head()
        elif len(intake.waiting) > self._house.limits.bounds.head:
            self.hold()

    def eof_received(self) -> bool:
        """The client sends nothing more. It may still read, but not under TLS (RFC 9112 9.6)."""
        self.has_left = True
        if self._stream is not None:
            self.break_off(timed_out=False)
        return self._exchange is not None and not self._is_closing and self._transport.can_write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go. A handler that need not finish is cancelled; any other goes on until it has."""
        self.is_lost = self.has_left = True
        self._deadline.close()
        self._idle.pop(self, None)
        if self._task is None or self._task.done():  # else it counts until its exchange has ended
            self._house.gone(self)
        if self._stream is not None:
            self.break_off(timed_out=False)
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

    # What the house asks

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
        """Take up what has changed in the house, for requests to come."""
        self._intake.bounds = self._house.limits.bounds
        if (peer := self._house.peer(self._transport)) is not None:
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
        """See Wire."""
        if not self.is_lost:
            self._transport.write(data)

    async def drain(self, idle_timeout: float) -> bool:
        """See Exchange."""
        if not self.is_writable and not self.is_lost:
            self._draining = self._loop.create_future()
            await until_taken(self._transport, self._draining, idle_timeout, self.abort)
        return not self.is_lost

    def abort(self) -> None:
        """See Wire."""
        self._is_closing = True
        if not self.is_lost:
            self._transport.abort()

    def detach(self) -> tuple[Any, bytes]:
        """See Exchange."""
        self._deadline.close()
        self._is_detached = self._is_closing = True
        self._transport.pause_reading()
        return self._transport, self._intake.waiting

    # What the stream asks

    def hold(self) -> None:
        """See Source."""
        if not self._held and not self.is_lost:
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """See Source."""
        if self._held and not self.is_lost:
            self._held = False
            self._transport.resume_reading()

    def break_off(self, *, timed_out: bool) -> None:
        """See Source: the request's body ends here, unfinished, and nothing that follows is looked at."""
        self._is_closing = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(broken=True)

    # Requests

    def _read_head(self) -> None:
        """Begin an exchange, if a head has come whole."""
        intake = self._intake
        was_amid = intake.is_amid_head
        try:
            head = intake.next_head()
            if head is not None:
                self._begin(head)
            elif intake.is_amid_head and not was_amid:
                self._idle.pop(self, None)
                if not self._is_first:
                    self._deadline.set(self._house.limits.head_timeout)
        except Malformed as error:
            self._refuse(error.slug, error.detail)

    def _begin(self, head: RequestHead) -> None:
        """Raises Malformed, from what came of the body."""
        self._is_first = False
        self._idle.pop(self, None)
        content = b""
        if head.length:
            content, is_whole = self._intake.begin_body(head.length)
            if not is_whole:
                self._stream = Stream(self, self._house.limits.body_timeout, RequestBroken, self.budget)
                if content:
                    self._stream.feed(content)
                    content = b""
        self._exchange = Exchange(self, head, content, self._stream)
        wake(self._waiting)

    def _read_body(self, stream: Stream, data: bytes) -> None:
        try:
            content, is_whole = self._intake.go_on(data)
        except Malformed:
            self.break_off(timed_out=False)
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
                    await self._house.answer(exchange)
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
                self._house.gone(self)

    def _after(self, exchange: Exchange) -> None:
        self._exchange = None
        if self.is_lost or self._is_detached:
            return
        waiting = self._intake.waiting
        nothing_comes = self.has_left and not waiting
        if not exchange.keep_alive or self._is_closing or self._house.is_ending or nothing_comes:
            if waiting.strip() and not exchange.head.keep_alive and exchange.has_end and not self._is_closing:
                self._refuse("bad-request", "More came after a request that was to be the last one.")
            else:
                self._end(politely=bool(waiting) or not exchange.is_over)
            return
        self._idle[self] = None
        if self._held:
            self.go_on()
        self._deadline.set(self._house.limits.keepalive_timeout)
        if waiting:
            self._read_head()

    # The end

    def _refuse(self, slug: str, detail: str) -> None:
        self.write(self._house.refusal(slug, detail))
        self._end(politely=True)

    def _end(self, *, politely: bool) -> None:
        """Close. To a client that may be sending still, first say so and let it read (RFC 9112 9.6)."""
        self._is_closing = True
        self._stream = None
        self._intake.waiting = b""
        wake(self._waiting)
        if self._transport.is_closing():
            return
        if not politely:
            self._transport.close()
            self._untaken = self._transport.get_write_buffer_size() and untaken(self._transport)
            self._deadline.set(self._house.limits.body_timeout)  # for what the client has not fetched yet
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()  # says so under TLS
        self.go_on()
        self._deadline.set(LINGER)

    def _too_late(self) -> None:
        if self._exchange is not None:
            return  # it was set for the time before
        if self._is_closing:
            before, self._untaken = self._untaken, untaken(self._transport)
            if self._untaken < before:
                self._deadline.set(self._house.limits.body_timeout)
            else:
                self._transport.abort()
        elif self._intake.waiting:
            self._refuse("request-timeout", "The head of the request did not come in time.")
        else:
            self.close()
