# What came of sending a request: exactly one of Answer, NotSent, NoAnswer. Everything else rests on telling them apart.

from typing import Protocol

import msgspec

from gateway.headers import Headers


class AnswerBroken(Exception):
    """The body of an answer broke off, or stood still for too long. Its head had come whole."""


REQUEST_BROKEN = "http_request_error"
"""The error of a NoAnswer that is the client's doing: the request's body did not arrive whole."""


class RequestBroken(Exception):
    """The body of a request broke off, or stood still for too long: the client's doing."""


class Rest(Protocol):
    """What is still to come of an answer's body."""

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises AnswerBroken."""

    def abandon(self) -> None:
        """Give up on what has not come yet."""


class Answer(msgspec.Struct, frozen=True):
    """The head of a final answer came whole."""

    status: int
    reason: bytes
    headers: Headers
    body: bytes
    """What has come so far; all of it when `rest` is None."""
    rest: Rest | None
    length_known: bool
    """Whether the end of the body is known without a chunked coding: Content-Length, or no body at all."""


class NotSent(msgspec.Struct, frozen=True):
    """No byte of the request left: provably nothing happened."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False


class NoAnswer(msgspec.Struct, frozen=True):
    """The upstream got the request, or some of it, or may have; no whole head came back."""

    error: str
    """A proxy error type of RFC 9209 2.3."""
    timed_out: bool = False
