# One connection to the API: writes requests, reads answers with llhttp, and knows whether it may be used again.

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from gateway.headers import Headers
from gateway.upstream.body import AnswerBody
from gateway.upstream.results import Answer, AnswerBroken, NoAnswer

MAX_HEAD = 256 * 1024
"""Bytes in which an answer's head must end."""
_TERMINATED = NoAnswer("connection_terminated")
_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Connection(asyncio.Protocol):
    """Carries one exchange at a time.

    Mutable state: `_answer` is the future of the exchange under way (None when idle); `_status` is None until the head
    is complete; `_pieces` holds what came of the body with the head, `_body` gets the rest; `idle_since` is loop time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_free: Callable[["Connection"], None]) -> None:
        self._loop = loop
        self._on_free = on_free
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpResponseParser(self)
        self._poll = select.poll()
        self._answer: asyncio.Future[Answer | NoAnswer] | None = None
        self._body: AnswerBody | None = None
        self._draining: asyncio.Future[None] | None = None
        self._writable = True
        self._lost = False
        self._is_tls = False
        self._is_head = False
        self._request_written = True
        self._stop: Callable[[], object] | None = None
        self._failure = _TERMINATED
        self._idle_timeout = 0.0
        self.idle_since = 0.0
        self._reset()

    def __repr__(self) -> str:
        state = "lost" if self._lost else "idle" if self._answer is None else "busy"
        return f"Connection({state})"

    def _reset(self) -> None:
        self._status: int | None = None
        self._reason: list[bytes] = []
        self._lines: list[tuple[bytes, bytes]] = []
        self._names: list[bytes] = []
        self._head_bytes = 0
        self._has_length = False
        self._has_coding = False
        self._keep_alive = False
        self._complete = False
        self._pieces: list[bytes] = []

    # What the pool asks

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
        self._transport.close()

    # What the sender asks

    def begin(self, *, is_head: bool, idle_timeout: float) -> "asyncio.Future[Answer | NoAnswer]":
        """Start an exchange. The future never raises."""
        self._reset()
        self._is_head = is_head
        self._idle_timeout = idle_timeout
        self._request_written = False
        self._failure = _TERMINATED
        self._answer = self._loop.create_future()
        return self._answer

    def when_over(self, stop: Callable[[], object]) -> None:
        """Have `stop` called when the exchange ends, however it ends."""
        self._stop = stop

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if not self._lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the API takes more. Raises ConnectionError when it is gone."""
        if self._lost:
            raise ConnectionResetError
        if not self._writable:
            self._draining = self._loop.create_future()
            timer = self._loop.call_later(self._idle_timeout, self.fail, NoAnswer("connection_write_timeout", True))
            try:
                await self._draining
            finally:
                timer.cancel()

    def written(self) -> None:
        """Say that the request has been written whole."""
        self._request_written = True
        self._stop = None

    def fail(self, failure: NoAnswer) -> None:
        """End the exchange without an answer, or break off the one that is coming."""
        self._failure = failure
        self._lost = True
        self._transport.abort()
        self._finish_lost()

    # What the body asks

    def hold(self) -> None:
        """See Source."""
        self._transport.pause_reading()

    def go_on(self) -> None:
        """See Source."""
        if not self._lost:
            self._transport.resume_reading()

    def break_off(self, *, timed_out: bool) -> None:
        """See Source."""
        self.fail(NoAnswer("http_response_timeout" if timed_out else "connection_terminated", timed_out))

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
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            if not self._complete:  # what follows a whole answer takes nothing away from it
                self.fail(NoAnswer("http_protocol_error"))
                return
        if self._status is None:
            self._head_bytes += len(data)
            self._failure = NoAnswer("http_response_incomplete")
            if self._head_bytes > MAX_HEAD:
                self.fail(NoAnswer("http_response_header_section_size"))
            return
        self._tell()

    def eof_received(self) -> None:
        """The API closed: that is an end for a body without a length, and a break for any other."""
        if self._status is not None and not self._has_length and not self._has_coding:
            self._complete = True
            self._keep_alive = False
            self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle whoever waits."""
        self._lost = True
        if exc is None and self._answer is not None and not self._complete:
            self.eof_received()
        self._finish_lost()

    def pause_writing(self) -> None:
        """The API does not keep up."""
        self._writable = False

    def resume_writing(self) -> None:
        """The API keeps up again."""
        self._writable = True
        _wake(self._draining)

    # What the parser tells

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._complete:
            raise AnswerBroken

    def on_status(self, reason: bytes) -> None:
        """A piece of the reason phrase."""
        self._reason.append(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field line. Those behind the body (trailers) are dropped, as RFC 9110 6.5.1 lets an intermediary do."""
        if self._status is not None:
            return
        value = value.rstrip(b" \t")
        lower = name.lower()
        if lower == b"content-length":
            self._has_length = True
        elif lower == b"transfer-encoding":
            self._has_coding = True
        self._lines.append((name, value))
        self._names.append(lower)

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (1xx) is passed over."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self._status = status
        self._keep_alive = self._parser.should_keep_alive()
        if self._is_head:
            # llhttp would wait for the body that this Content-Length describes and that never comes
            self._complete = True
            self._parser = httptools.HttpResponseParser(self)
        elif status in {204, 304}:
            self._has_length = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body, the coding undone."""
        if self._complete:  # a body in answer to HEAD
            self._keep_alive = False
            return
        if self._body is None:
            self._pieces.append(data)
        else:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        """The end of an answer, or of an interim one."""
        if self._status is None:
            self._reason.clear()
            self._lines.clear()
            self._names.clear()
            self._has_length = self._has_coding = False
        else:
            self._complete = True

    # What follows

    def _tell(self) -> None:
        answer = self._answer
        if answer is not None and not answer.done():
            if not self._complete:
                self._body = AnswerBody(self, self._idle_timeout)
            answer.set_result(
                Answer(
                    cast("int", self._status),
                    b"".join(self._reason),
                    Headers(self._lines, self._names),
                    b"".join(self._pieces),
                    self._body,
                    self._has_length or self._is_head,
                )
            )
        elif self._body is not None:
            self._body.wake()
        if self._complete:
            self._end()

    def _end(self) -> None:
        """The exchange is over: free for another one, or closed. What is left of the request need not be sent."""
        self._answer = None
        self._end_body(broken=False)
        self._stop_sending()
        if self._keep_alive and self._request_written and not self._lost:
            self.idle_since = self._loop.time()
            self._on_free(self)
        else:
            self.close()

    def _finish_lost(self) -> None:
        answer, self._answer = self._answer, None
        self._stop_sending()
        if answer is not None and not answer.done():
            answer.set_result(self._failure)
        self._end_body(broken=True)
        _wake(self._draining)

    def _end_body(self, *, broken: bool) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.end(broken=broken)

    def _stop_sending(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
