# The transport of one client's connection, on aiohttp's RequestHandler: what it may still be used for, writing at the
# client's pace, and an end that the client gets to see. What the bytes mean is not known here.
#
# None of aiohttp's private attributes is used, and none of ours has the name of one.

import asyncio
import enum
from typing import cast

from aiohttp import web

from gateway.http.forwarding import Peer
from gateway.transport.budget import Budget
from gateway.transport.deadline import Deadline
from gateway.transport.stream import wake
from gateway.transport.write_progress import has_progressed, unacknowledged, wait_writable

LINGER = 5.0
"""Seconds for which a client may go on sending what is not wanted, so that it gets to see the answer (RFC 9112 9.6)."""


class State(enum.IntEnum):
    """What a connection is doing, in the order in which it can come to that."""

    NEW = 1  # no head has come whole yet
    IDLE = 2  # between two requests
    HEAD = 3  # a later head has begun to come
    BUSY = 4  # a request is handled; what comes is its body, or is buffered
    LAST = 5  # as BUSY, but nothing that comes is parsed any more
    CLOSING = 6  # nothing is handled or parsed; what was written may still leave
    DETACHED = 7  # the transport belongs to a tunnel
    LOST = 8  # the transport is gone; a request may still be handled


NEW, IDLE, HEAD, BUSY, LAST, CLOSING, DETACHED, LOST = State
"""For the hot path: a name of this module is found faster than a member of an enum. Up to HEAD a request is waited for;
from DETACHED on, the transport is not this connection's any more."""


class ClientTransport(web.RequestHandler):
    """Mutable state: `state`; whether the client `has_left` (closed its side, or is lost); who it is (`peer`).

    `body_timeout`, in seconds, may change, too: for so long the client may make no progress. `_untaken` is what it has
    not taken yet of its answers, as counted in the budget for `answers`.
    """

    __slots__ = (
        "_left", "_untaken", "_writable", "answers", "body_timeout", "deadline", "has_left", "peer", "state",
        "stream_transport",
    )  # fmt: skip

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        *,
        answers: Budget,
        body_timeout: float,
    ) -> None:
        # As web.run_app does, None for no access log.
        super().__init__(server, loop=loop, keepalive_timeout=0, tcp_keepalive=False, access_log=None)  # type: ignore[arg-type]
        self.answers = answers
        self.body_timeout = body_timeout
        self.deadline = Deadline(loop, self.too_late)
        self.state: State = NEW
        self.has_left = False
        self.peer: Peer = cast("Peer", None)
        self.stream_transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._writable: asyncio.Future[None] | None = None
        self._left = self._untaken = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.state.name})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let whatever the kernel does not take count as too much: it holds enough to keep a client busy."""
        self.stream_transport = cast("asyncio.Transport", transport)
        # Under TLS the transport compares with "at least", so that 0 would always be reached.
        self.stream_transport.set_write_buffer_limits(high=transport.get_extra_info("sslcontext") is not None, low=0)
        super().connection_made(transport)

    # Writing

    def write(self, data: bytes) -> None:
        """Send bytes, if the client is still there."""
        if self.state is not LOST:
            self.stream_transport.write(data)
            if self.writing_paused:
                self._untaken += len(data)  # all of it is kept until the last byte has left
                self.answers.used += len(data)

    async def wait_writable(self, idle_timeout: float) -> bool:
        """Wait until the client takes more; False when it is gone, or takes nothing for `idle_timeout` seconds."""
        if self.writing_paused and self.state is not LOST:
            self._writable = asyncio.get_running_loop().create_future()
            try:
                await wait_writable(self.stream_transport, self._writable, idle_timeout, self.abort)
            finally:
                self._writable = None
        return self.state is not LOST

    def resume_writing(self) -> None:
        """The client takes more again."""
        super().resume_writing()
        self._forget_untaken()
        wake(self._writable)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing can be sent any more."""
        self.state = LOST
        self.has_left = True
        self.deadline.close()
        super().connection_lost(exc)
        self._forget_untaken()
        wake(self._writable)

    def _forget_untaken(self) -> None:
        self.answers.used -= self._untaken
        self._untaken = 0

    # Reading

    def pause_reading(self) -> None:
        """Read no more from the client for now."""
        if self.state is not LOST and self.stream_transport.is_reading():
            self.stream_transport.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read from the client again; the parameter is aiohttp's, and has no meaning here."""
        if self.state is not LOST and not self.stream_transport.is_reading():
            self.stream_transport.resume_reading()

    def stop_parsing(self) -> None:
        """Take nothing more from the client: a request that is being handled is the last one."""
        if self.state is BUSY:
            self.state = LAST
        elif self.state <= HEAD:
            self.state = CLOSING

    # The end

    def abort(self) -> None:
        """Close at once, without what was not sent yet."""
        if self.state is not LOST:
            self.stop_parsing()
            self.stream_transport.abort()

    def end(self, *, politely: bool) -> None:
        """Close once what was written has left; to a client that may be sending still, say so and let it read first."""
        self.state = CLOSING
        transport = self.stream_transport
        if transport.is_closing():
            return
        if not politely:
            transport.close()
            self._left = transport.get_write_buffer_size() and unacknowledged(transport)
            self.deadline.set(self.body_timeout)
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()  # says so under TLS
        self.resume_reading()
        self.deadline.set(LINGER)

    def too_late(self) -> None:
        """The deadline has passed: a client that makes no progress with the last bytes is not waited for."""
        if self.state is CLOSING:
            before, self._left = self._left, unacknowledged(self.stream_transport)
            if has_progressed(before, self._left):
                self.deadline.set(self.body_timeout)
            else:
                self.stream_transport.abort()
