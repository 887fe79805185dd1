# HTTP/1.1 heads and body framing as bytes, both ways. Pure.

from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values as they came: order, case and repeats kept."""

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
_NEVER_REMOVED = frozenset(
    {b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie"}
)
"""Connection cannot name these away: they belong to the message itself, or say who asks."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def request_head(
    method: str, target: str, headers: Headers, *, host: bytes, body_length: int | None, chunked: bool
) -> bytes:
    """Write a request's head for the upstream.

    `host` is for requests that came without one (HTTP/1.0). `body_length` gives a Content-Length to a body that was
    read whole and had none; None leaves the framing as it came, and `chunked` says that it was chunked.
    """
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target.encode("utf-8", "surrogateescape"))]
    has_host = has_length = False
    for name, value in _end_to_end(headers):
        lower = name.lower()
        if lower == b"expect":
            continue  # met by the gateway itself
        has_host = has_host or lower == b"host"
        has_length = has_length or lower == b"content-length"
        lines.append(b"%b: %b" % (name, value))
    if not has_host:
        lines.append(b"Host: " + host)
    if body_length is not None and not has_length and (body_length or chunked):
        lines.append(b"Content-Length: %d" % body_length)
    elif body_length is None and chunked:
        lines.append(b"Transfer-Encoding: chunked")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def response_head(status: int, reason: bytes, headers: Headers, *, chunked: bool, connection: bytes | None) -> bytes:
    """Write an answer's head for the client. `connection` is a value for the Connection field, or None for no field."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason)]
    for name, value in _end_to_end(headers):
        lines.append(b"%b: %b" % (name, value))
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if connection is not None:
        lines.append(b"Connection: " + connection)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def chunk(data: bytes) -> bytes:
    """Frame one piece of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def connection_options(headers: Headers) -> frozenset[bytes]:
    """The fields that Connection names (RFC 9110 7.6.1), in lower case."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named.update(option.strip().lower() for option in value.split(b","))
    return frozenset(named)


def _end_to_end(headers: Headers) -> Iterable[tuple[bytes, bytes]]:
    kept = [field for field in headers if field[0].lower() not in HOP_BY_HOP]
    if len(kept) == len(headers):
        return kept
    named = connection_options(headers) - _NEVER_REMOVED
    return [field for field in kept if field[0].lower() not in named]
