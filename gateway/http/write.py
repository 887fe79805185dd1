# HTTP/1.1 heads and body framing as bytes, both ways. Pure.

from gateway.http.headers import Headers

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
_EXPECT = frozenset({b"expect"})
_NEVER_NAMED_AWAY = frozenset(
    {b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie"}
)
"""Connection cannot remove these: they belong to the message itself, or say who asks."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def request_fields(
    headers: Headers,
    dropped: frozenset[bytes],
    added: bytes,
    *,
    body_length: int | None,
    chunked: bool,
    upgrade: bytes | None = None,
) -> bytes:
    """Write a request's field lines for the upstream, and the empty line after them.

    Besides the hop-by-hop fields those in `dropped` (in lower case) are left out; `added` are whole lines.
    `body_length` gives a Content-Length to a body that was read whole and had none, and means that an expectation was
    met; None leaves the framing as it came, and `chunked` says that it was chunked. `upgrade` is the protocol to ask
    for.
    """
    kept = _end_to_end(headers, dropped if body_length is None else dropped | _EXPECT)
    framing = b""
    if body_length is None:
        if chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
    elif (body_length or chunked) and b"content-length" not in kept:
        framing = b"Content-Length: %d\r\n" % body_length
    if upgrade is not None:
        framing += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade
    return b"%b%b%b\r\n" % (kept.block, added, framing)


def response_head(
    status: int,
    reason: bytes,
    headers: Headers,
    *,
    chunked: bool = False,
    connection: bytes | None = None,
    upgrade: bytes | None = None,
) -> bytes:
    """Write an answer's head for the client. `connection` is a value for the Connection field, or None for no field."""
    kept = _end_to_end(headers, _NOTHING)
    own = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    if connection is not None:
        own += b"Connection: %b\r\n" % connection
    if upgrade is not None:
        own += b"Upgrade: %b\r\n" % upgrade
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, reason, kept.block, own)


def chunk(data: bytes) -> bytes:
    """Frame one piece of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


_NOTHING: frozenset[bytes] = frozenset()


def end_to_end(headers: Headers) -> Headers:
    """Keep what is meant for the other end: no hop-by-hop field, and none that Connection names."""
    return _end_to_end(headers, _NOTHING)


def _end_to_end(headers: Headers, dropped: frozenset[bytes]) -> Headers:
    """What is meant for the other end: without hop-by-hop fields, and without those that Connection names."""
    if b"connection" in headers.names:
        dropped |= headers.options(b"connection") - _NEVER_NAMED_AWAY
    elif dropped.isdisjoint(headers.names) and HOP_BY_HOP.isdisjoint(headers.names):
        return headers  # nearly always
    return headers.without(dropped | HOP_BY_HOP)
