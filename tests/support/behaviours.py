# What an API may do to a request, ready-made. Each function returns a behaviour for RawUpstream.

import asyncio
import contextlib
import http
from collections.abc import Iterable
from typing import Literal

from tests.support import wire
from tests.support.request import Request
from tests.support.tally import Tally
from tests.support.upstream import Act, At, Behaviour, Call, Stage, perform

Pairs = Iterable[tuple[str, str]]
End = Literal["close", "reset"]


def _status_line(status: int, reason: str | None) -> str:
    return f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase if reason is None else reason}"


def _end(call: Call, end: End) -> None:
    if end == "reset":
        call.reset()
    else:
        call.close()


def answer(status: int = 201, headers: Pairs = (), body: bytes = b"", reason: str | None = None) -> Act:
    """Answer. Content-Length is added unless `headers` frame the body, or the status has none."""
    fields = list(headers)
    framed = wire.values(fields, "Content-Length") or wire.values(fields, "Transfer-Encoding")
    if not framed and status not in {204, 304}:
        fields.append(("Content-Length", str(len(body))))
    head = wire.render_head(_status_line(status, reason), fields)

    async def act(call: Call) -> None:
        await call.send(head if call.request.method == "HEAD" else head + body)
        if wire.says_close(fields):
            call.close()

    return act


def chunked(pieces: Iterable[bytes], status: int = 200, headers: Pairs = ()) -> Act:
    """Answer with one chunk per piece. Pieces may come from a generator; each is sent before the next is asked for."""
    head = wire.render_head(_status_line(status, None), [*headers, ("Transfer-Encoding", "chunked")])

    async def act(call: Call) -> None:
        await call.send(head)
        for piece in pieces:
            await call.send(wire.render_chunk(piece))
        await call.send(wire.render_chunk(b""))

    return act


def streamed(length: int, pieces: Iterable[bytes], status: int = 200, headers: Pairs = ()) -> Act:
    """Answer with a Content-Length of `length` and the pieces, which must add up to it."""
    head = wire.render_head(_status_line(status, None), [*headers, ("Content-Length", str(length))])

    async def act(call: Call) -> None:
        await call.send(head)
        for piece in pieces:
            await call.send(piece)

    return act


def until_close(body: bytes, status: int = 200, headers: Pairs = ()) -> Act:
    """Answer with a body that ends with the connection."""
    return raw(wire.render_head(_status_line(status, None), headers) + body, "close")


def raw(data: bytes, end: End | None = None) -> Act:
    """Send `data` as it is, then end the connection or leave it open."""

    async def act(call: Call) -> None:
        await call.send(data)
        if end:
            _end(call, end)

    return act


def interim(then: Behaviour, status: int = 103, headers: Pairs = ()) -> Act:
    """Send a 1xx answer first, then behave as `then`."""
    head = wire.render_head(_status_line(status, None), headers)

    async def act(call: Call) -> None:
        await call.send(head)
        await perform(then, call)

    return act


def reset_on_accept() -> At:
    """Reset a fresh connection before anything is read."""
    return At(Stage.ACCEPTED, Call.reset)


def reset_after_head() -> At:
    """Reset amid the request: the head was read and the body was not."""
    return At(Stage.HEAD, Call.reset)


def reset_after_request() -> Act:
    """Reset once the whole request was read."""
    return Call.reset


def close_without_answer() -> Act:
    """Read the whole request, then close."""
    return Call.close


def reset_amid(count: int) -> At:
    """Reset once `count` bytes of the body were read, or all but the last one of a shorter body of known length."""

    async def act(call: Call) -> None:
        length = wire.request_framing(call.request.headers)
        await call.reader.readexactly(min(count, length - 1) if isinstance(length, int) else count)
        call.reset()

    return At(Stage.HEAD, act)


async def at_hand(call: Call) -> bytes:
    """Take what has come and was not read yet; empty when that is nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            return await call.reader.read(2**16)
    return b""


GARBAGE = (
    b"\x16\x03\x01\x00\x2a nonsense\r\n\r\n",
    b"\0" * 100 + b"\r\n\r\n",
    b"201 Created\r\n\r\n",
    b"HTTP/1.1 2O1 Created\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 201 Created\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 201 Created\r\nContent-Length: none\r\n\r\n",
    b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
    b"HTTP/1.1 201 Created\r\nno header field\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
)
"""What is no answer to any request, though some of it looks like one."""


def half_head(end: End = "close", status: int = 201) -> Act:
    """Send the status line and half of a header field, then end."""
    return raw(f"{_status_line(status, None)}\r\nContent-Le".encode("latin-1"), end)


def broken_body(
    end: End = "close", status: int = 201, headers: Pairs = (), *, body: bytes = b'{"id', is_chunked: bool = False
) -> Act:
    """Send a whole head and the beginning of a body that promised more, then end."""
    framing = ("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(len(body) + 1000))
    head = wire.render_head(_status_line(status, None), [*headers, framing])
    return raw(head + (wire.render_chunk(body) if is_chunked else body), end)


async def never(call: Call) -> None:
    """Never answer: wait until the peer gives up and closes."""
    await call.reader.read()
    call.close()


class Held:
    """A behaviour that keeps requests waiting until `release()`, then behaves as `then`."""

    def __init__(self, then: Behaviour) -> None:
        self.waiting: Tally[Request] = Tally()
        """The requests that were held, so that a test can wait for them."""
        self._then = then
        self._released = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        self.waiting.add(call.request)
        await self._released.wait()
        await perform(self._then, call)

    def release(self) -> None:
        """Let all that wait, and all that come later, go on."""
        self._released.set()
