# Parses a response head strictly, except for two things that old servers send: lines that end with LF alone, and folded
# lines (RFC 9112 2.2 and 5.2 let a proxy repair both). The head is forwarded repaired. Pure.

import re

import msgspec

from gateway.errors import Malformed
from gateway.http.fields import BLOCK, CHUNKED, parse_length
from gateway.http.headers import Headers

_HEAD = re.compile(rb"HTTP/(?:1\.([0-9])|0\.9) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n(" + BLOCK + rb")")
_START = b"HTTP/"
_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"(?<![ \t])[ \t]*+\r\n[ \t]+")
UNTIL_CLOSE = -2
_WITHOUT_BODY = frozenset({204, 304})
_LENGTH = (b"content-length",)


class ResponseHead(msgspec.Struct):
    """The head of a response."""

    minor: int
    """The version is HTTP/1.`minor`; HTTP/0.9 in a status line is treated as 1.0."""
    status: int
    reason: bytes
    headers: Headers


def read_response_head(data: bytes, scanned: int) -> tuple[ResponseHead, int] | None:
    """Parse the head at the start of `data`, and return it with its end; None when it is incomplete.

    `scanned` is the number of bytes that an earlier call has searched already. Raises Malformed.
    """
    end = data.find(b"\r\n\r\n", max(0, scanned - 3))
    if end >= 0:
        strict = _HEAD.fullmatch(data, 0, end + 2)
        if strict is not None:
            return _head(strict), end + 4
    lenient = _END.search(data, max(0, scanned - 2))
    if lenient is None:
        if not data.startswith(_START[: len(data)]):  # fail early: more data cannot make it valid
            raise Malformed("bad-response", "The answer does not start as HTTP does.")
        return None
    repaired = _HEAD.fullmatch(_repair(data[: lenient.start() + 1]))
    if repaired is None:
        raise Malformed("bad-response", "The head of the answer is not written as RFC 9112 has it.")
    return _head(repaired), lenient.end()


def body_length(head: ResponseHead, *, is_head: bool) -> int:
    """Determine the body length of a response (RFC 9112 6.3): bytes, CHUNKED or UNTIL_CLOSE.

    Removes contradicting fields from the head. Raises Malformed.
    """
    headers = head.headers
    names = headers.name_set
    if is_head or head.status < 200 or head.status in _WITHOUT_BODY:
        if head.status < 200 or head.status == 204:  # RFC 9110 8.6: no Content-Length
            head.headers = headers.without(_LENGTH)
        elif b"content-length" in names:
            try:
                _length(head)
            except Malformed:  # ignored here, but the next recipient might use it
                head.headers = headers.without(_LENGTH)
        return 0
    length = _length(head) if b"content-length" in names else UNTIL_CLOSE
    if b"transfer-encoding" in names:
        codings = headers.values(b"transfer-encoding")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Malformed("bad-response", "No transfer coding but chunked is known here.")
        if length != UNTIL_CLOSE:  # RFC 9112 6.3: the coding overrides the length, which is removed
            head.headers = headers.without(_LENGTH)
        return CHUNKED
    return length


def _head(found: "re.Match[bytes]") -> ResponseHead:
    minor, status, reason, block = found.groups()
    return ResponseHead(int(minor or b"0"), int(status), reason or b"", Headers(block))


def _repair(head: bytes) -> bytes:
    """The head with every line ended by CRLF, and folded lines joined by a space."""
    lines = head.replace(b"\r\n", b"\n")
    if b"\r" in lines:
        raise Malformed("bad-response", "A CR stands alone in the head of the answer.")
    first, end, rest = lines.replace(b"\n", b"\r\n").partition(b"\r\n")
    return first + end + _FOLD.sub(b" ", rest)


def _length(head: ResponseHead) -> int:
    """Read the Content-Length, which may be repeated with the same value (RFC 9110 8.6). Raises Malformed."""
    headers = head.headers
    value = headers.first(b"content-length") if headers.names.count(b"content-length") == 1 else None
    length = None if value is None else parse_length(value)
    if length is not None:
        return length
    values = headers.values(b"content-length")
    members = {member.strip(b" \t") for value in values for member in value.split(b",")}
    length = parse_length(members.pop()) if len(members) == 1 else None
    if length is None:
        raise Malformed("bad-response", "Content-Length is not one number of bytes.")
    head.headers = Headers(b"%bContent-Length: %d\r\n" % (headers.without(_LENGTH).block, length))
    return length
