# One connection to the API: writes requests, reads responses, and decides whether it can be reused.

import asyncio
import contextlib
import os
from collections.abc import Callable

from typing_extensions import override

from gateway.errors import Malformed
from gateway.http.fields import CHUNKED, lets_persist
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder, UntilCloseDecoder
from gateway.http.response import UNTIL_CLOSE, ResponseHead, body_length, read_response_head
from gateway.transport.budget import Budget
from gateway.transport.deadline import Deadline
from gateway.transport.stream import Stream, wake
from gateway.upstream.results import NoResponse, Request, ResponseBroken, Upgraded, UpstreamResponse
from gateway.upstream.transport import ApiTransport

MAX_HEAD = 256 * 1024
"""Bytes in which a response's head must end, including the interim responses before it."""
MAX_FIRST_PIECE = 4 * 1024
"""Bytes of an unfinished body that are delivered with its head: they are held until all of it has been passed on."""
_TERMINATED = NoResponse("connection_terminated")
_INCOMPLETE = NoResponse("http_response_incomplete")
_MALFORMED = NoResponse("http_protocol_error")
_TOO_LONG = NoResponse("http_response_header_section_size")


class Connection(ApiTransport, Upgraded):
    """Carries one exchange at a time.

    Mutable state: `_response` is the future of the exchange in progress (None when idle); `_buffer` holds an incomplete
    head; `_decoder` decodes the body once `_has_head`, unless the body arrived complete with the head; `_stream`
    receives the decoded content; `idle_since` is loop time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_free: Callable[["Connection"], None],
        idle_timeout: float,
        answers: Budget,
    ) -> None:
        """`on_free` is called when another exchange may begin; a body may stall for `idle_timeout` seconds.

        `answers` counts what was received and not passed on yet.
        """
        super().__init__(loop, idle_timeout, answers)
        self._on_free = on_free
        self._deadline = Deadline(loop, self._response_timeout)
        self._response: asyncio.Future[UpstreamResponse | NoResponse] | None = None
        self._stream: Stream | None = None
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
        self.is_doubtful = False
        """Whether a create must not use it after the last exchange (see Request.leaves_doubt)."""

    def __repr__(self) -> str:
        state = "lost" if self._lost else "idle" if self._response is None else "busy"
        return f"Connection({state})"

    # Called by the pool

    @property
    def has_head(self) -> bool:
        """Whether the head of the current response has arrived."""
        return self._has_head

    def close(self) -> None:
        """Close an idle connection."""
        self._lost = True
        self._deadline.close()
        self._transport.close()

    # Called by the sender

    def begin(self, request: Request, data: bytes) -> "asyncio.Future[UpstreamResponse | NoResponse]":
        """Start an exchange by sending `data`. The future never raises."""
        self._request = request
        self._buffer = b""
        self._interim_bytes = 0
        self._decoder = None
        self._has_head = self._request_written = False
        self._failure = _TERMINATED
        self._response = response = self._loop.create_future()
        self.write(data)
        return response

    def add_done_callback(self, stop: Callable[[], object]) -> None:
        """Call `stop` when the exchange ends, whatever its result."""
        self._stop = stop

    def written(self, response_timeout: float) -> None:
        """Note that the whole request was written: the head of the response is due in `response_timeout` seconds."""
        self._request_written = True
        self._stop = None
        if not self._has_head:
            self._deadline.set(response_timeout)

    def cancel(self, response: "asyncio.Future[UpstreamResponse | NoResponse]") -> None:
        """Abort the exchange of a future that `begin` returned, or the upgraded connection that it resulted in."""
        if self._response is response:
            self.fail(_TERMINATED)
        if response.done() and not response.cancelled() and isinstance(result := response.result(), UpstreamResponse):
            result.abandon()

    def fail(self, failure: NoResponse) -> None:
        """End the exchange without a response, or abort the response that is being read."""
        self._failure = failure
        self._lost = True
        self._transport.abort()
        self._finish_lost()

    @override
    def detach(self) -> asyncio.Transport:
        return self._transport

    def _response_timeout(self) -> None:
        if self._response is not None and self._request_written and not self._has_head:
            self.fail(NoResponse("http_response_timeout", timed_out=True))

    @override
    def _write_timeout(self) -> None:
        self.fail(NoResponse("connection_write_timeout", timed_out=True))

    @override
    def abort_body(self, *, timed_out: bool) -> None:
        self.fail(NoResponse("http_response_timeout" if timed_out else "connection_terminated", timed_out=timed_out))

    # Called by the transport

    @override
    def data_received(self, data: bytes) -> None:
        """Parse the data, and pass the result to the waiting caller."""
        if self._response is None:  # unsolicited data
            self.close()
        elif self._decoder is not None:
            self._read_body(self._decoder, data)
        else:
            scanned = len(self._buffer)
            self._buffer = self._buffer + data if scanned else data
            try:
                self._read_heads(scanned)
            except Malformed:
                self.fail(_MALFORMED)

    def eof_received(self) -> None:
        """The API closed: that ends a body without a length, and truncates any other."""
        if isinstance(self._decoder, UntilCloseDecoder) and self._response is not None:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete the exchange in progress, if there is one."""
        self._lost = True
        if exc is None:
            self.eof_received()
        elif self._response is not None and not self._has_head and not self._is_tls:
            self._read_pending_response()
        self._finish_lost()

    # Internals

    def _read_pending_response(self) -> None:
        """Read an early response that is still in the socket: a write failed before it could be read."""
        with contextlib.suppress(OSError, ValueError):
            descriptor = self._transport.get_extra_info("socket").fileno()
            while self._response is not None and (data := os.read(descriptor, MAX_HEAD)):
                self.data_received(data)

    def _read_heads(self, scanned: int) -> None:
        """Read interim heads, then the final one, as far as they have arrived. Raises Malformed."""
        while True:
            found = read_response_head(self._buffer, scanned)
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
                self._begin_response(head, end)
                return
            self._buffer = self._buffer[end:]
            self._interim_bytes += end
            scanned = 0
            body_length(head, is_head=True)
            if self._request is not None and self._request.on_interim is not None:
                self._request.on_interim(head.status, head.reason, head.headers)

    def _begin_response(self, head: ResponseHead, end: int) -> None:
        """Deliver a response whose head is the first `end` bytes of the buffer. Raises Malformed."""
        request, response = self._request, self._response
        if request is None or response is None:
            return
        if head.status == 101 and (request.upgrade is None or head.headers.options(b"upgrade") != {request.upgrade}):
            raise Malformed("bad-response", "The API changed to a protocol that was not requested.")
        length = body_length(head, is_head=request.is_head)
        self.is_doubtful = request.leaves_doubt(head.status)
        body = self._buffer[end:]
        self._buffer = b""
        self._has_head = True
        self._keep_alive = lets_persist(head.headers, head.minor) and length != UNTIL_CLOSE
        upgraded = self if head.status == 101 else None
        broken = False
        if upgraded is None and length != len(body):
            body, broken = self._begin_body(length, body)
        if not response.done():
            response.set_result(
                UpstreamResponse(head.status, head.reason, head.headers, body, self._stream, length >= 0, upgraded)
            )
        if broken:
            self.fail(_MALFORMED)
        elif upgraded is not None:
            self._response = None
            self._lost = True  # for this class: the receiver of the response owns the transport now
            self._transport.pause_reading()
            self._stop_sending()
        elif self._stream is None:
            self._end()

    def _begin_body(self, length: int, data: bytes) -> tuple[bytes, bool]:
        """Decode the first bytes of a body that may be incomplete; also returns whether it is malformed."""
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
            self._stream = Stream(self, self._idle_timeout, ResponseBroken, self._answers)
            if len(data) > MAX_FIRST_PIECE:
                self._stream.feed(data)
                data = b""
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
        """End the exchange: keep the connection for another one, or close it. The rest of the request is not sent."""
        self._response = self._request = None
        self._end_stream(broken=False)
        self._stop_sending()
        if self._keep_alive and self._request_written and not self._lost:
            self.idle_since = self._loop.time()
            self._on_free(self)
        else:
            self.close()

    def _finish_lost(self) -> None:
        self._deadline.close()
        response, self._response = self._response, None
        self._request = None
        self._buffer = b""
        self._stop_sending()
        if response is not None and not response.done():
            response.set_result(self._failure)
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
