# Field lines and framing fields as RFC 9110 and RFC 9112 write them: what requests and answers share. Pure.

import re

from gateway.http.headers import Headers

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 5.6.2."""
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
"""RFC 9110 5.5: visible characters, blanks, and bytes above ASCII (obs-text); no CR, LF, NUL or other control."""
BLOCK = rb"(?:" + TOKEN + rb"+:" + _VALUE + rb"+\r\n)*+"
"""Field lines, each ended by CRLF (RFC 9112 5)."""
_BLOCK = re.compile(BLOCK)
CHUNKED = -1
"""A body's length when only its chunks tell."""
_MOST_DIGITS = 18
"""More than anybody can send, and no more than a C integer holds."""


def parse_fields(block: bytes) -> Headers | None:
    """Read field lines, each ended by CRLF (RFC 9112 5). None when a byte of them is out of place."""
    return Headers(block) if _BLOCK.fullmatch(block) else None


def parse_length(value: bytes) -> int | None:
    """Read a Content-Length: digits only (RFC 9110 8.6). None when it is no number of bytes."""
    return int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else None


def lets_persist(headers: Headers, minor: int) -> bool:
    """Whether the sender of a message of HTTP/1.`minor` lets the connection live on (RFC 9112 9.3)."""
    if b"connection" not in headers.names:
        return minor >= 1
    options = headers.options(b"connection")
    return b"close" not in options and (minor >= 1 or b"keep-alive" in options)
