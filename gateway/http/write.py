# Serialises HTTP/1.1 heads and chunks, for requests and responses. Pure.

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
"""Fields for the next hop only (RFC 9110 7.6.1); Transfer-Encoding is generated again when it is needed."""
_EXPECT = frozenset({b"expect"})
_NEVER_HOP_BY_HOP = frozenset(
    {b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie"}
)
"""Connection cannot remove these: they describe the message itself, or authenticate its sender."""

_NOTHING: frozenset[bytes] = frozenset()

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
    """Serialise a request's field lines for the upstream, with the empty line after them.

    Hop-by-hop fields and those in `dropped` (in lower case) are left out; `added` are complete lines. `body_length` is
    set when the whole body was read: it adds a missing Content-Length, and removes Expect. With None the framing stays
    as received, and `chunked` says that it was chunked. `upgrade` is the protocol to request.
    """
    kept = end_to_end(headers, dropped if body_length is None else dropped | _EXPECT)
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
    fields: bytes = b"",
) -> bytes:
    """Serialise a response head for the client.

    `connection` is the value of the Connection field, or None; `fields` are more field lines.
    """
    kept = end_to_end(headers)
    own = b"Transfer-Encoding: chunked\r\n" + fields if chunked else fields
    if connection is not None:
        own += b"Connection: %b\r\n" % connection
    if upgrade is not None:
        own += b"Upgrade: %b\r\n" % upgrade
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, reason, kept.block, own)


def chunk(data: bytes) -> bytes:
    """Encode one chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def end_to_end(headers: Headers, dropped: frozenset[bytes] = _NOTHING) -> Headers:
    """Keep the end-to-end fields: no hop-by-hop field, none that Connection names, and none in `dropped`."""
    if b"connection" in headers.name_set:
        dropped |= headers.options(b"connection") - _NEVER_HOP_BY_HOP
    elif dropped.isdisjoint(headers.name_set) and HOP_BY_HOP.isdisjoint(headers.name_set):
        return headers  # nearly always
    return headers.without(dropped | HOP_BY_HOP)
