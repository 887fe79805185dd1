# The client's side of the wire: aiohttp's low-level server with its C parser, bodies as bytes, heads written as bytes.
#
# web.Application is left out on purpose: its routing and response objects cost as much as proxying does.

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gateway.errors import BodyTooLarge
from gateway.headers import Headers
from gateway.respond import fault
from gateway.upstream.results import RequestBroken
from gateway.upstream.wire import CONTINUE, chunk


class Exchange:
    """One request and the answer written to it. Stands in for aiohttp's request and for its response.

    Mutable state: `keep_alive`; `told`, once bytes of an answer were written to a client that was still there; whether
    100 was sent.
    """

    __slots__ = (
        "_expects_continue",
        "_message",
        "_payload",
        "_protocol",
        "_task",
        "headers",
        "keep_alive",
        "method",
        "target",
        "told",
    )

    def __init__(
        self, message: RawRequestMessage, payload: StreamReader, protocol: "_Protocol", _writer: object, _task: object
    ) -> None:
        self._message = message
        self._payload = payload
        self._protocol = protocol
        self._task: object = None
        self.method: str = message.method
        self.target: str = message.path
        self.headers = Headers(message.raw_headers)
        # Behind a request with Upgrade the parser may drop what came in the same read: nothing can follow it here.
        self.keep_alive = not message.should_close and b"upgrade" not in self.headers
        self.told = False
        self._expects_continue = False
        if b"expect" in self.headers and payload is not EMPTY_PAYLOAD and message.version.minor == 1:
            self._expects_continue = b"100-continue" in self.headers.options(b"expect")

    def __repr__(self) -> str:
        return f"Exchange({self.method})"

    @property
    def is_http_1_0(self) -> bool:
        """Whether the client speaks HTTP/1.0: no chunked coding, no persistence unless it asks."""
        return self._message.version.minor == 0

    @property
    def is_chunked(self) -> bool:
        """Whether the request's body is chunked."""
        return self._message.chunked

    @property
    def has_body(self) -> bool:
        """Whether a body may come."""
        return self._payload is not EMPTY_PAYLOAD

    @property
    def is_over(self) -> bool:
        """Whether the request has ended where the next one can begin; otherwise the connection ends with the answer."""
        return self._payload.is_eof() and (not self._message.chunked or self._protocol.ended_without_trailers)

    @property
    def is_http_1(self) -> bool:
        """Whether the client speaks HTTP/1.0 or 1.1; the parser takes other versions too."""
        return self._message.version in (HttpVersion11, HttpVersion10)

    @property
    def is_gone(self) -> bool:
        """Whether the client has left."""
        return self._protocol.transport is None

    async def read_body(self, limit: int, idle_timeout: float) -> bytes:
        """The whole body. Raises BodyTooLarge past `limit` bytes, and RequestBroken."""
        if self._payload.is_eof():  # it came with the head, as most do
            if self._payload.total_bytes > limit:
                raise BodyTooLarge(limit)
            return self._payload.read_nowait()
        if any(int(length) > limit for length in self.headers.values(b"content-length")):
            raise BodyTooLarge(limit)
        pieces: list[bytes] = []
        size = 0
        while piece := await self._read_piece(idle_timeout):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(limit)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def body_pieces(self, idle_timeout: float) -> AsyncIterator[bytes]:
        """The body as it comes, framed as it was announced. Raises RequestBroken."""
        while piece := await self._read_piece(idle_timeout):
            yield chunk(piece) if self.is_chunked else piece
        if self.is_chunked:
            yield b"0\r\n\r\n"

    async def _read_piece(self, idle_timeout: float) -> bytes:
        payload = self._payload
        if payload.at_eof():
            return b""
        if self._expects_continue:
            self._expects_continue = False
            self.write(CONTINUE)
            self.told = False
        try:
            if payload._size:  # noqa: SLF001 - no public way tells whether a read would wait
                return payload.read_nowait()
            async with asyncio.timeout(idle_timeout):
                return await payload.readany()
        except (web.RequestPayloadError, ConnectionError, TimeoutError, RuntimeError) as error:
            raise RequestBroken from error

    def write(self, data: bytes) -> None:
        """Send bytes to the client; a client that has left gets none."""
        transport = self._protocol.transport
        if transport is not None:
            transport.write(data)
            self.told = True

    async def drain(self, idle_timeout: float) -> bool:
        """Wait until the client takes more; False when it is gone, or takes nothing for `idle_timeout` seconds."""
        if not self._protocol.writing_paused:
            return not self.is_gone
        try:
            async with asyncio.timeout(idle_timeout):
                await self._protocol.drain()
        except (ConnectionError, TimeoutError):
            self.abort()
            return False
        return not self.is_gone

    def abort(self) -> None:
        """Break the connection off, so that an answer that is not whole does not look whole."""
        self.keep_alive = False
        transport = self._protocol.transport
        if transport is not None:
            transport.abort()

    # What aiohttp asks of a request and of a response

    def _finish(self) -> None:
        """Nothing is left to do: nothing here outlives the handler."""

    def _cancel(self, error: BaseException) -> None:
        if not self._payload.is_eof():
            self._payload.set_exception(error)

    async def prepare(self, _request: object) -> None:
        """Nothing is left to do: the handler wrote the answer."""

    async def write_eof(self, _data: bytes = b"") -> None:
        """Nothing is left to do: the handler wrote the answer."""


class _Protocol(RequestHandler):
    """aiohttp's connection, answering its own parser's errors as the gateway answers."""

    __slots__ = ("_front", "_recent")

    def __init__(self, front: "Front", **options: Any) -> None:
        super().__init__(front, **options)
        self._front = front
        self._recent = b""

    @property
    def ended_without_trailers(self) -> bool:
        """Whether nothing came since the last chunk of a chunked body, no trailer either.

        The parser takes the last trailer of a request for the first header of the next one on the connection.
        """
        return self._recent == b"\r\n0\r\n\r\n" and not self._messages

    def data_received(self, data: bytes) -> None:
        """Parse what came. A body in which the parser finds an error must not be waited for any longer."""
        self._recent = data[-7:] if len(data) >= 7 else (self._recent + data)[-7:]
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo) and self._current_request is not None:
            self._lingering_time = 0.0  # nothing that can be read is left of the body
            self._current_request._cancel(web.RequestPayloadError())  # noqa: SLF001 - as aiohttp itself calls it

    async def drain(self) -> None:
        """Wait until the client takes more. Raises ConnectionError when it is gone."""
        await self._drain_helper()

    def handle_error(  # type: ignore[override]
        self, request: Exchange, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Exchange:
        """Answer a request that the parser refused, or whose handler failed."""
        request.keep_alive = False
        if request.told:
            request.abort()
        elif status >= 500:
            self.log_exception("the handler failed", exc_info=exc)
            request.write(fault("internal-error")[1])
        else:
            slug = "head-too-large" if isinstance(exc, LineTooLong) else "bad-request"
            refused, answer = fault(slug)
            request.write(answer)
            self._front.on_refused(slug, refused)
        return request

    @property
    def is_busy(self) -> bool:
        """Whether a request is being handled, or waits to be: the connection does not wait for one."""
        return self._waiter is None or self._waiter.done()


class Handle(Protocol):
    """Answers one exchange."""

    def __call__(self, exchange: Exchange) -> Awaitable[None]:
        """Write an answer. Whatever it raises becomes a 500."""


class Front(web.Server):
    """All client connections. Mutable state: the exchanges under way, and whether it is draining."""

    def __init__(self, handle: Handle, on_refused: Callable[[str, int], None], *, keepalive_timeout: float) -> None:
        """`on_refused` is told the slug and the status of each answer to bytes that never became a request."""

        async def answer(exchange: Exchange) -> Exchange:
            if self._draining:
                exchange.keep_alive = False
            self._active.add(exchange)
            try:
                await handle(exchange)
            finally:
                self._active.discard(exchange)
                if not self._active:
                    self._none_active.set()
            return exchange

        super().__init__(
            cast("Any", answer),
            request_factory=cast("Any", Exchange),
            keepalive_timeout=keepalive_timeout,
            auto_decompress=False,
            access_log=None,
            lingering_time=LINGER,
        )
        self.on_refused = on_refused
        self._active: set[Exchange] = set()
        self._draining = False
        self._none_active = asyncio.Event()

    def __repr__(self) -> str:
        return f"Front({len(self._active)} active)"

    def __call__(self) -> _Protocol:
        """Make the protocol of a new connection."""
        return _Protocol(self, loop=self._loop, **self._kwargs)

    async def drain(self, timeout: float) -> bool:
        """Let exchanges under way finish, close all other connections; False when `timeout` seconds were too short.

        Those that did not finish are cancelled, and have settled when this returns.
        """
        self._draining = True
        for protocol in self.connections:
            if not cast("_Protocol", protocol).is_busy:
                protocol.force_close()
        for exchange in self._active:
            exchange.keep_alive = False
        for _ in range(_TURNS_TO_BEGIN):
            await asyncio.sleep(0)
        finished = await self._until_none_active(timeout)
        await self.shutdown(timeout=0.1)
        await self._until_none_active(1)
        return finished

    async def _until_none_active(self, timeout: float) -> bool:
        self._none_active.clear()
        if self._active:
            try:
                async with asyncio.timeout(timeout):
                    await self._none_active.wait()
            except TimeoutError:
                return False
        return True


_TURNS_TO_BEGIN = 3
"""Turns of the loop in which a request that was already parsed is certain to have reached the handler."""
LINGER = 5.0
"""Seconds for which the rest of a body nobody wants is read, so that the client gets to see the answer."""
