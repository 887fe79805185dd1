# The results of sending a request: exactly one of UpstreamResponse, NotSent and NoResponse. How a create is settled
# depends on which one it is.

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec

from gateway.http.headers import Headers


class ResponseBroken(Exception):
    """The body of a response was truncated, or stalled for too long. Its head had arrived complete."""


REQUEST_BROKEN = "http_request_error"
"""The error of a NoResponse that the client caused: the request's body was not received completely."""
SPOOL_BROKEN = "proxy_internal_error"
"""The error of a NoResponse that the gateway's disk caused: the body, once received, could not be read again."""


_READ_AT_ONCE = 4096
"""Bytes of a body that every server has read by the time it answers, unless it answers an error."""


class Request(msgspec.Struct, frozen=True):
    """A request as bytes, except for a Host line that the endpoint may have to add."""

    line: bytes
    """The request line, with its CRLF."""
    fields: bytes
    """All field lines, and the empty line."""
    has_host: bool
    """Whether `fields` contains a Host line. If not, the endpoint's own is added before them."""
    body: bytes | AsyncIterator[bytes]
    """The whole body, or an iterator over its framed pieces, which raises RequestBroken when the client
    fails, and SpoolError when the disk does."""
    is_head: bool
    """Whether the method is HEAD: its response has no body, whatever its fields say."""
    is_safe: bool
    """Whether it may be sent again (RFC 9110 9.2.1) when an idle connection turns out to be closed."""
    on_interim: Callable[[int, bytes, Headers], None] | None = None
    """Called with the status, the reason and the fields of each interim response (RFC 9110 15.2)."""
    upgrade: bytes | None = None
    """The protocol that the client wants to upgrade to (RFC 9110 7.8), in lower case."""

    def leaves_doubt(self, status: int) -> bool:
        """Whether the API may be about to close the connection, or to send more on it, after it answered `status`.

        Servers that answer an error before they have read a body close just after that; one that did not read a large
        body may have answered anything. A faulty API sends a body with an answer that must not have one.
        """
        if self.is_head or status in {204, 304}:
            return True
        size = len(self.body) if isinstance(self.body, bytes) else _READ_AT_ONCE + 1
        return size > _READ_AT_ONCE or (size > 0 and status >= 400)


class Rest(Protocol):
    """The part of a response's body that has not arrived yet."""

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises ResponseBroken."""

    def abandon(self) -> None:
        """Abort the exchange: the rest of the body is not wanted."""


class Upgraded(Protocol):
    """A connection that was upgraded to another protocol. It belongs to the receiver of the response."""

    def detach(self) -> Any:
        """Return the transport, which the caller now owns. Reading is paused."""


class UpstreamResponse(msgspec.Struct, frozen=True):
    """The complete head of a final response was received."""

    status: int
    reason: bytes
    headers: Headers
    body: bytes
    """What has arrived so far; the whole body when `rest` is None."""
    rest: Rest | None
    length_known: bool
    """Whether the length is known without chunked coding: Content-Length, or no body at all."""
    upgraded: Upgraded | None = None
    """The connection, when the status is 101; `body` is then the first data of the new protocol."""

    def abandon(self) -> None:
        """Close the connection if the response is still coming, or it was upgraded: nobody is there to take it."""
        if self.rest is not None:
            self.rest.abandon()
        if self.upgraded is not None:
            self.upgraded.detach().abort()


class NotSent(msgspec.Struct, frozen=True):
    """No byte of the request was written: provably nothing happened."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False


class NoResponse(msgspec.Struct, frozen=True):
    """The upstream may have received the request or a part of it, but no complete head came back."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False
