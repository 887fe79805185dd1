# The syntax of field lines and framing fields (RFC 9110, RFC 9112) that requests and responses share. Pure.

import re

from gateway.http.headers import Headers

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 5.6.2."""
QUOTED_STRING = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
"""RFC 9110 5.6.4."""
MEDIA_TYPE = re.compile(rb"%b/%b" % (TOKEN, TOKEN))
"""RFC 9110 8.3.1, without its parameters."""
MEDIA_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(?:(%b)=(%b|%b))?" % (TOKEN, TOKEN, QUOTED_STRING))
"""One parameter behind it: name and value, which may both be missing (RFC 9110 5.6.6)."""
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
"""RFC 9110 5.5: visible characters, space, tab, and bytes above ASCII (obs-text); no control characters."""
BLOCK = rb"(?:" + TOKEN + rb"+:" + _VALUE + rb"+\r\n)*+"
"""Field lines, each ended by CRLF (RFC 9112 5)."""
_BLOCK = re.compile(BLOCK)
CHUNKED = -1
"""The length of a body with chunked coding."""
_MAX_DIGITS = 18
"""Enough for any real length, and it fits a 64-bit integer."""


def parse_fields(block: bytes) -> Headers | None:
    """Parse field lines, each ended by CRLF (RFC 9112 5). None when their syntax is invalid."""
    return Headers(block) if _BLOCK.fullmatch(block) else None


def parse_length(value: bytes) -> int | None:
    """Parse a Content-Length: digits only (RFC 9110 8.6). None when it is invalid."""
    return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else None


def lets_persist(headers: Headers, minor: int) -> bool:
    """Whether the sender of an HTTP/1.`minor` message allows the connection to persist (RFC 9112 9.3)."""
    if b"connection" not in headers.name_set:
        return minor >= 1
    options = headers.options(b"connection")
    return b"close" not in options and (minor >= 1 or b"keep-alive" in options)
