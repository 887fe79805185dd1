# What the tests of the upstream package share: requests in the fewest words, and what came of them.

from collections.abc import AsyncIterator, Iterable

from gateway.config.table import Duration
from gateway.http.headers import Headers
from gateway.http.write import request_fields
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse

PIECE = b"x" * 60_000
PATIENT = {
    "connect_timeout": Duration(30),
    "response_timeout": Duration(30),
    "idle_timeout": Duration(30),
    "keepalive_timeout": Duration(60),
}
"""Timeouts that no test waits for; one that does sets its own."""


def request(
    method: str = "POST",
    body: bytes | AsyncIterator[bytes] = b"{}",
    *,
    has_host: bool = True,
    fields: Iterable[tuple[str, str]] = (),
) -> Request:
    """A request as the handler makes it, for a GET or HEAD one that may be sent again."""
    lines = [(b"Host", b"test")] if has_host else []
    headers = Headers.of([*lines, *((name.encode(), value.encode()) for name, value in fields)])
    is_whole = isinstance(body, bytes)
    return Request(
        line=f"{method} /users HTTP/1.1\r\n".encode(),
        fields=request_fields(
            headers,
            dropped=frozenset(),
            added=b"",
            body_length=len(body) if isinstance(body, bytes) else None,
            chunked=not is_whole,
        ),
        has_host=has_host,
        body=body,
        is_head=method == "HEAD",
        is_safe=method in {"GET", "HEAD"},
    )


async def whole(answer: UpstreamResponse | NotSent | NoResponse) -> bytes:
    """All of an answer's body."""
    assert isinstance(answer, UpstreamResponse)
    body = answer.body
    while answer.rest is not None and (piece := await answer.rest.read()):
        body += piece
    return body
