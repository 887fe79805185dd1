# One client's connection: reads requests one at a time, and has each handled before the next is parsed.
#
# What comes meanwhile waits in a bounded buffer, so that answers leave in the order of the requests (RFC 9112 9.3.2).
# aiohttp's server accepts the connection and runs `start` in a task of its own.

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.errors import Malformed, RequestBroken
from gateway.front.exchange import Exchange
from gateway.front.reader import RequestReader
from gateway.front.transport import BUSY, DETACHED, HEAD, IDLE, LAST, ClientTransport
from gateway.http.cors import Cors
from gateway.http.request import RequestHead
from gateway.transport.stream import Stream, wake

if TYPE_CHECKING:
    from gateway.front.server import DownstreamServer


class ClientConnection(ClientTransport):
    """One client's connection.

    Mutable state: the exchange under way, and the stream of its body while that is still coming.
    """

    __slots__ = (
        "_event_loop", "_exchange", "_idle", "_next", "_reader", "_serving", "_stream", "budget", "server", "transit",
    )  # fmt: skip

    def __init__(self, server: "DownstreamServer", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop, answers=server.answers, body_timeout=server.limits.body_timeout)
        self.server = server
        self.budget, self.transit = server.budget, server.transit
        self._event_loop = loop
        self._exchange: Exchange | None = None
        self._idle = server.idle
        self._next: asyncio.Future[None] | None = None
        self._reader = RequestReader(server.limits, server.head_parser)
        self._serving: asyncio.Task[None] | None = None
        self._stream: Stream | None = None

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request."""
        super().connection_made(transport)
        if not self.server.admit(self):
            if self.server.is_overrun:
                self.abort()
            else:
                self._refuse("too-many-connections", "All connections are in use.")
            return
        peer = self.server.peer(transport)
        if peer is None:
            self.abort()
            return
        self.peer = peer
        self.deadline.set(self.server.limits.head_timeout)
        self._idle[self] = None

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it can be parsed now."""
        reader = self._reader
        if self.state is BUSY:
            if self._stream is not None:
                self._read_body(self._stream, data)
                return
            reader.buffered = reader.buffered + data if reader.buffered else data
            if len(reader.buffered) > reader.limits.max_head:
                self.pause_reading()
        elif self.state <= HEAD:
            reader.buffered = reader.buffered + data if reader.buffered else data
            self._read_head()

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp's own keeps no half-closed connection
        """The client sends nothing more. It may still read, but not under TLS (RFC 9112 9.6)."""
        self.has_left = True
        self.abort_body(timed_out=False)
        if self._exchange is not None and self._exchange.stops_at_eof:
            self.cancel()
        return self.state is BUSY and self.stream_transport.can_write_eof()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Clean up. A handler that need not finish is cancelled; any other continues until it has."""
        self._idle.pop(self, None)
        self.abort_body(timed_out=False)
        super().connection_lost(exc)
        wake(self._next)
        if self._serving is None:  # else it counts until its exchange has ended
            self.server.gone(self)
        elif self._exchange is not None and self._exchange.may_stop:
            self._serving.cancel()

    # Called by the server

    @property
    def is_idle(self) -> bool:
        """Whether no request is being handled."""
        return self._exchange is None

    def close(self) -> None:
        """End the connection once what was written has left."""
        self.end(politely=False)

    def make_space(self) -> None:
        """End an idle connection now, without waiting until the client has fetched everything."""
        if self.stream_transport.get_write_buffer_size():
            self.abort()
        else:
            self.close()

    def renew(self) -> None:
        """Apply changed limits and trust to requests to come."""
        self._reader.limits = self.server.limits
        self.body_timeout = self.server.limits.body_timeout
        if (peer := self.server.peer(self.stream_transport)) is not None:
            self.peer = peer

    def end_after_answer(self) -> None:
        """Let the exchange under way be the last one, unless its answer has said already that it is not."""
        if self._exchange is not None and not self._exchange.begun:
            self._exchange.keep_alive = False

    def cancel(self) -> None:
        """Cancel the exchange under way."""
        if self._serving is not None:
            self._serving.cancel()

    # Called by an exchange and the stream of its body

    @property
    def cors(self) -> Cors | None:
        """Which pages may read the gateway's own answers."""
        return self.server.cors

    def detach(self) -> tuple[Any, bytes]:
        """Give away the transport, for another protocol, and what came behind the request."""
        self.deadline.close()
        self.state = DETACHED
        self._forget_untaken()
        self.stream_transport.pause_reading()
        self.stream_transport.set_write_buffer_limits()  # a tunnel has the event loop's own
        return self.stream_transport, self._reader.buffered

    def abort_body(self, *, timed_out: bool) -> None:
        """End the request's body here, unfinished; what follows is not parsed."""
        if self._stream is not None:
            self.stop_parsing()
            stream, self._stream = self._stream, None
            stream.end(broken=True)

    # Requests

    async def start(self) -> None:
        """Have one request after the other handled; aiohttp runs this in the connection's task."""
        self._serving = asyncio.current_task()
        try:
            while True:
                exchange = self._exchange
                if exchange is not None:
                    await self.server.answer(exchange)
                    self._after(exchange)
                    if self._exchange is not None:  # pipelined: other connections go first
                        await asyncio.sleep(0)
                elif self.state <= HEAD:
                    self._next = self._event_loop.create_future()
                    await self._next
                    self._next = None
                else:
                    return
        finally:
            # Else a handler that was cancelled would keep itself: by its traceback, or by the exchange.
            self._serving = self._exchange = self._next = None
            if self.state >= DETACHED:
                self.server.gone(self)

    def _read_head(self) -> None:
        """Begin an exchange, if a head has come whole."""
        reader = self._reader
        try:
            head = reader.next_head()
            if head is not None:
                self._begin(head)
            elif reader.has_partial_head:
                self._idle.pop(self, None)
                if self.state is IDLE:
                    self.state = HEAD
                    self.deadline.set(self.server.limits.head_timeout)
        except Malformed as error:
            self._refuse(error.slug, error.detail)

    def _begin(self, head: RequestHead) -> None:
        """Raises Malformed, from what came of the body."""
        self.state = BUSY
        self._idle.pop(self, None)
        content = b""
        if head.length:
            content, is_whole = self._reader.begin_body(head.length)
            if not is_whole:
                self._stream = Stream(self, self.body_timeout, RequestBroken, self.transit)
                if content:
                    self._stream.feed(content)
                    content = b""
        self._exchange = Exchange(self, head, content, self._stream)
        wake(self._next)

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

    def _after(self, exchange: Exchange) -> None:
        """Wait for the next request, or end."""
        self._exchange = None
        if self.state >= DETACHED:
            return
        buffered = self._reader.buffered
        is_last = self.state is LAST
        if is_last or not exchange.keep_alive or self.server.is_ending or (self.has_left and not buffered):
            if buffered.strip() and not exchange.head.keep_alive and exchange.has_end and not is_last:
                self._refuse("bad-request", "More data follows a request that has Connection: close.")
            else:
                self.end(politely=bool(buffered) or not exchange.is_over)
            return
        self.state = IDLE
        self._idle[self] = None
        self.deadline.set(self.server.limits.keepalive_timeout)
        if buffered:
            self.resume_reading()
            self._read_head()

    # The end

    def end(self, *, politely: bool) -> None:
        """Close; what came and was not parsed yet is dropped."""
        self._stream = None
        self._reader.buffered = b""
        super().end(politely=politely)
        wake(self._next)

    def too_late(self) -> None:
        """The deadline of a head, or between two requests, has passed."""
        if self.state > HEAD:
            super().too_late()
        elif self._reader.buffered:
            self._refuse("request-timeout", "The head of the request did not arrive in time.")
        else:
            self.close()

    def _refuse(self, slug: str, detail: str) -> None:
        self.write(self.server.refusal(slug, detail))
        self.end(politely=True)
