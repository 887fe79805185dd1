# One connection to the API: writes requests, reads answers, and knows whether it may be used again.

import asyncio
import contextlib
import os
import select
from collections.abc import Callable
from typing import cast

from gateway.errors import Malformed
from gateway.http.fields import CHUNKED, lets_persist
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder, UntilCloseDecoder
from gateway.http.response import UNTIL_CLOSE, ResponseHead, body_length, read_response_head
from gateway.transport.deadline import Deadline
from gateway.transport.stream import Stream, wake
from gateway.transport.write_progress import wait_writable
from gateway.upstream.results import NoResponse, Request, ResponseBroken, UpstreamResponse

MAX_HEAD = 256 * 1024
"""Bytes in which an answer's head must end, interim answers before it included."""
_TERMINATED = NoResponse("connection_terminated")
_INCOMPLETE = NoResponse("http_response_incomplete")
_MALFORMED = NoResponse("http_protocol_error")
_TOO_LONG = NoResponse("http_response_header_section_size")
_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Connection(asyncio.Protocol):
    """Carries one exchange at a time.

    Mutable state: `_answer` is the future of the exchange under way (None when idle); `_buffer` holds a head that is
    not whole yet; `_decoder` takes the body apart once `_has_head`, unless it came whole with it; `_stream` gets what
    comes of it from then on; `idle_since` is loop time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_free: Callable[["Connection"], None], idle_timeout: float
    ) -> None:
        """`on_free` is called when another exchange may begin; a body may stand still for `idle_timeout` seconds."""
        self._loop = loop
        self._on_free = on_free
        self._idle_timeout = idle_timeout
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._poll = select.poll()
        self._deadline = Deadline(loop, self._too_late)
        self._answer: asyncio.Future[UpstreamResponse | NoResponse] | None = None
        self._stream: Stream | None = None
        self._draining: asyncio.Future[None] | None = None
        self._writable = True
        self._lost = False
        self._is_tls = False
        self._request: Request | None = None
        self._request_written = True
        self._stop: Callable[[], object] | None = None
        self._failure = _TERMINATED
        self._buffer = b""
        self._interim_bytes = 0
        self._has_head = False
        self._decoder: Decoder | None = None
        self._keep_alive = False
        self.idle_since = 0.0
        self.may_have_stray_body = False
        """Whether the last answer had no body by rule: an API that sends one all the same does so about now."""

    def __repr__(self) -> str:
        state = "lost" if self._lost else "idle" if self._answer is None else "busy"
        return f"Connection({state})"

    # What the pool asks

    @property
    def is_lost(self) -> bool:
        """Whether it is known to have ended."""
        return self._lost

    @property
    def has_head(self) -> bool:
        """Whether the head of the answer under way has come."""
        return self._has_head

    def is_usable(self) -> bool:
        """Whether nothing speaks against sending a request now: asked of the kernel, not of events still to come."""
        if self._lost or self._transport.is_closing():
            return False
        events = self._poll.poll(0)
        # An idle peer has nothing to say; under TLS, session tickets may still lie there.
        return not events or (self._is_tls and not events[0][1] & _ENDED)

    def close(self) -> None:
        """Close an idle connection."""
        self._lost = True
        self._deadline.close()
        self._transport.close()

    # What the sender asks

    def begin(self, request: Request, data: bytes) -> "asyncio.Future[UpstreamResponse | NoResponse]":
        """Start an exchange by sending `data`. The future never raises."""
        self._request = request
        self._buffer = b""
        self._interim_bytes = 0
        self._decoder = None
        self._has_head = self._request_written = False
        self._failure = _TERMINATED
        self._answer = answer = self._loop.create_future()
        self.write(data)
        return answer

    def add_done_callback(self, stop: Callable[[], object]) -> None:
        """Have `stop` called when the exchange ends, however it ends."""
        self._stop = stop

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if not self._lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the API takes more, and until what it has said meanwhile was read.

        The latter because a write that fails would take an early answer away. Raises ConnectionError when it is gone.
        """
        if not self._lost and self._poll.poll(0):
            await asyncio.sleep(0)
        if self._lost:
            raise ConnectionResetError
        if not self._writable:
            self._draining = self._loop.create_future()
            await wait_writable(self._transport, self._draining, self._idle_timeout, self._not_taken)

    def _not_taken(self) -> None:
        self.fail(NoResponse("connection_write_timeout", timed_out=True))

    def written(self, response_timeout: float) -> None:
        """Say that the request has been written whole: the head of the answer has so many seconds from now."""
        self._request_written = True
        self._stop = None
        if not self._has_head:
            self._deadline.set(response_timeout)

    def cancel(self, answer: "asyncio.Future[UpstreamResponse | NoResponse]") -> None:
        """Nobody waits any more for the answer of an exchange that was begun here, or reads what follows it."""
        if self._answer is answer:
            self.fail(_TERMINATED)
        elif (
            answer.done()
            and not answer.cancelled()
            and isinstance(told := answer.result(), UpstreamResponse)
            and told.upgraded
        ):
            self._transport.abort()

    def fail(self, failure: NoResponse) -> None:
        """End the exchange without an answer, or break off the one that is coming."""
        self._failure = failure
        self._lost = True
        self._transport.abort()
        self._finish_lost()

    def detach(self) -> asyncio.Transport:
        """See Upgraded."""
        return self._transport

    def _too_late(self) -> None:
        if self._answer is not None and self._request_written and not self._has_head:
            self.fail(NoResponse("http_response_timeout", timed_out=True))

    # What the stream asks

    def pause_reading(self) -> None:
        """See Source."""
        if not self._lost:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See Source."""
        if not self._lost:
            self._transport.resume_reading()

    def abort_body(self, *, timed_out: bool) -> None:
        """See Source."""
        self.fail(NoResponse("http_response_timeout" if timed_out else "connection_terminated", timed_out=timed_out))

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket, so that the kernel can be asked about it."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | _ENDED)

    def data_received(self, data: bytes) -> None:
        """Parse what came, then tell whoever waits."""
        if self._answer is None:  # nobody asked
            self.close()
        elif self._decoder is not None:
            self._read_body(self._decoder, data)
        else:
            looked = len(self._buffer)
            self._buffer = self._buffer + data if looked else data
            try:
                self._read_heads(looked)
            except Malformed:
                self.fail(_MALFORMED)

    def eof_received(self) -> None:
        """The API closed: that is an end for a body without a length, and a break for any other."""
        if isinstance(self._decoder, UntilCloseDecoder) and self._answer is not None:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle whoever waits."""
        self._lost = True
        if exc is None:
            self.eof_received()
        elif self._answer is not None and not self._has_head and not self._is_tls:
            self._read_pending_response()
        self._finish_lost()

    def pause_writing(self) -> None:
        """The API does not keep up."""
        self._writable = False

    def resume_writing(self) -> None:
        """The API keeps up again."""
        self._writable = True
        wake(self._draining)

    # What follows

    def _read_pending_response(self) -> None:
        """Read the answer of an API that did not wait for the request's end: a failed write came before the reading."""
        with contextlib.suppress(OSError, ValueError):
            descriptor = self._transport.get_extra_info("socket").fileno()
            while self._answer is not None and (data := os.read(descriptor, MAX_HEAD)):
                self.data_received(data)

    def _read_heads(self, looked: int) -> None:
        """Read interim heads, then the final one, as far as they came. Raises Malformed."""
        while True:
            found = read_response_head(self._buffer, looked)
            if found is None:
                self._failure = _INCOMPLETE
                if self._interim_bytes + len(self._buffer) > MAX_HEAD:
                    self.fail(_TOO_LONG)
                return
            head, end = found
            if self._interim_bytes + end > MAX_HEAD:
                self.fail(_TOO_LONG)
                return
            if head.status >= 200 or head.status == 101:
                self._begin_answer(head, end)
                return
            self._buffer = self._buffer[end:]
            self._interim_bytes += end
            looked = 0
            body_length(head, is_head=True)
            if self._request is not None and self._request.on_interim is not None:
                self._request.on_interim(head.status, head.reason, head.headers)

    def _begin_answer(self, head: ResponseHead, end: int) -> None:
        """Tell of an answer whose head takes the first `end` bytes of the buffer. Raises Malformed."""
        request, answer = self._request, self._answer
        if request is None or answer is None:
            return
        if head.status == 101 and (request.upgrade is None or head.headers.options(b"upgrade") != {request.upgrade}):
            raise Malformed("bad-response", "The API changed to a protocol that nobody asked for.")
        length = body_length(head, is_head=request.is_head)
        self.may_have_stray_body = request.is_head or head.status in {204, 304}
        body = self._buffer[end:]
        self._buffer = b""
        self._has_head = True
        self._keep_alive = lets_persist(head.headers, head.minor) and length != UNTIL_CLOSE
        upgraded = self if head.status == 101 else None
        broken = False
        if upgraded is None and length != len(body):
            body, broken = self._begin_body(length, body)
        if not answer.done():
            answer.set_result(
                UpstreamResponse(head.status, head.reason, head.headers, body, self._stream, length >= 0, upgraded)
            )
        if broken:
            self.fail(_MALFORMED)
        elif upgraded is not None:
            self._answer = None
            self._lost = True  # to this room: whoever gets the answer gets the transport too
            self._transport.pause_reading()
            self._stop_sending()
        elif self._stream is None:
            self._end()

    def _begin_body(self, length: int, data: bytes) -> tuple[bytes, bool]:
        """Take the first bytes of a body that may go on, or has more behind it; gives whether it is broken, too."""
        decoder: Decoder
        if length == CHUNKED:
            decoder = ChunkedDecoder(strict=False)
        else:
            decoder = UntilCloseDecoder() if length == UNTIL_CLOSE else LengthDecoder(length)
        self._decoder = decoder
        broken = False
        try:
            data = decoder.feed(data) if data else data
        except Malformed:
            data, broken = b"", True
        if decoder.surplus:
            self._keep_alive = False
        if not decoder.is_done:
            self._stream = Stream(self, self._idle_timeout, ResponseBroken)
        return data, broken

    def _read_body(self, decoder: Decoder, data: bytes) -> None:
        try:
            content = decoder.feed(data)
        except Malformed:
            self.fail(_MALFORMED)
            return
        if content and self._stream is not None:
            self._stream.feed(content)
        if decoder.is_done:
            if decoder.surplus:
                self._keep_alive = False
            self._end()

    def _end(self) -> None:
        """The exchange is over: free for another one, or closed. What is left of the request need not be sent."""
        self._answer = self._request = None
        self._end_stream(broken=False)
        self._stop_sending()
        if self._keep_alive and self._request_written and not self._lost:
            self.idle_since = self._loop.time()
            self._on_free(self)
        else:
            self.close()

    def _finish_lost(self) -> None:
        self._deadline.close()
        answer, self._answer = self._answer, None
        self._stop_sending()
        if answer is not None and not answer.done():
            answer.set_result(self._failure)
        self._end_stream(broken=True)
        wake(self._draining)

    def _end_stream(self, *, broken: bool) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(broken=broken)

    def _stop_sending(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
