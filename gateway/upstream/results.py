# What came of sending a request: exactly one of UpstreamResponse, NotSent and NoResponse. Everything else rests on
# telling them apart.

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec

from gateway.http.headers import Headers


class ResponseBroken(Exception):
    """The body of an answer broke off, or stood still for too long. Its head had come whole."""


REQUEST_BROKEN = "http_request_error"
"""The error of a NoResponse that is the client's doing: the request's body did not arrive whole."""


class RequestBroken(Exception):
    """The body of a request broke off, or stood still for too long: the client's doing."""


class Request(msgspec.Struct, frozen=True):
    """A request as bytes, but for the Host that its target may have to add."""

    line: bytes
    """The request line, with its line end."""
    fields: bytes
    """All field lines, and the empty line."""
    has_host: bool
    """Whether `fields` holds a Host line. If not, the target's own is put before them."""
    body: bytes | AsyncIterator[bytes]
    """All of it, or the pieces, framed, as they come; they raise RequestBroken when the client breaks off."""
    is_head: bool
    """Whether the method is HEAD: its answer has no body, whatever its fields say."""
    is_safe: bool
    """Whether it may be sent again (RFC 9110 9.2.1) when a kept connection turns out to be dead."""
    on_interim: Callable[[int, bytes, Headers], None] | None = None
    """Called with the status, the reason and the fields of each interim answer (RFC 9110 15.2)."""
    upgrade: bytes | None = None
    """The protocol that the client asks to change to (RFC 9110 7.8), in lower case."""


class Rest(Protocol):
    """What is still to come of an answer's body."""

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises ResponseBroken."""

    def abandon(self) -> None:
        """Give up on what has not come yet."""


class Upgraded(Protocol):
    """A connection that speaks another protocol from now on. It belongs to whoever got the answer."""

    def detach(self) -> Any:
        """Give away the transport. Its reading is paused."""


class UpstreamResponse(msgspec.Struct, frozen=True):
    """The head of a final answer came whole."""

    status: int
    reason: bytes
    headers: Headers
    body: bytes
    """What has come so far; all of it when `rest` is None."""
    rest: Rest | None
    length_known: bool
    """Whether the end of the body is known without a chunked coding: Content-Length, or no body at all."""
    upgraded: Upgraded | None = None
    """The connection, when the answer is 101; `body` is what came of the new protocol already."""


class NotSent(msgspec.Struct, frozen=True):
    """No byte of the request left: provably nothing happened."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False


class NoResponse(msgspec.Struct, frozen=True):
    """The upstream got the request, or some of it, or may have; no whole head came back."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False
