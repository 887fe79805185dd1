# HTTP/1.1 heads and body framing as bytes, both ways. Pure.

from gateway.headers import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that speak to the next hop only (RFC 9110 7.6.1); Transfer-Encoding is written anew when it is needed."""
_NOT_FORWARDED = HOP_BY_HOP | {b"expect"}
"""The gateway meets an expectation itself."""
_NEVER_NAMED_AWAY = frozenset(
    {b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie"}
)
"""Connection cannot remove these: they belong to the message itself, or say who asks."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def request_head(
    method: str, target: str, headers: Headers, *, host: bytes, body_length: int | None, chunked: bool
) -> bytes:
    """Write a request's head for the upstream.

    `host` is for requests that came without one (HTTP/1.0). `body_length` gives a Content-Length to a body that was
    read whole and had none; None leaves the framing as it came, and `chunked` says that it was chunked.
    """
    kept = _end_to_end(headers, _NOT_FORWARDED)
    lines = [
        b"%b %b HTTP/1.1" % (method.encode(), target.encode("utf-8", "surrogateescape")),
        *[b"%b: %b" % line for line in kept.lines],
    ]
    if b"host" not in kept:
        lines.append(b"Host: " + host)
    if body_length is None:
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
    elif (body_length or chunked) and b"content-length" not in kept:
        lines.append(b"Content-Length: %d" % body_length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def response_head(status: int, reason: bytes, headers: Headers, *, chunked: bool, connection: bytes | None) -> bytes:
    """Write an answer's head for the client. `connection` is a value for the Connection field, or None for no field."""
    kept = _end_to_end(headers, HOP_BY_HOP)
    lines = [b"HTTP/1.1 %d %b" % (status, reason), *[b"%b: %b" % line for line in kept.lines]]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if connection is not None:
        lines.append(b"Connection: " + connection)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def chunk(data: bytes) -> bytes:
    """Frame one piece of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _end_to_end(headers: Headers, dropped: frozenset[bytes]) -> Headers:
    """What is meant for the other end: without hop-by-hop fields, and without those that Connection names."""
    if b"connection" in headers:
        dropped |= headers.options(b"connection") - _NEVER_NAMED_AWAY
    return headers.without(dropped)
