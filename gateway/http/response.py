# An answer's head, read strictly, but for what old servers are known to write: lines that end with LF alone, and
# folded lines (RFC 9112 2.2 and 5.2 let a proxy mend both). It is sent on mended. Pure.

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
    """An answer's head."""

    minor: int
    """The version is HTTP/1.`minor`; an old server that says 0.9 means 1.0."""
    status: int
    reason: bytes
    headers: Headers


def read_response_head(data: bytes, looked: int) -> tuple[ResponseHead, int] | None:
    """Read the head that `data` begins with, and say where it ends; None when it has not come whole.

    `looked` is how many bytes were looked at before. Raises Malformed.
    """
    end = data.find(b"\r\n\r\n", max(0, looked - 3))
    if end >= 0:
        strict = _HEAD.fullmatch(data, 0, end + 2)
        if strict is not None:
            return _head(strict), end + 4
    lenient = _END.search(data, max(0, looked - 2))
    if lenient is None:
        if not data.startswith(_START[: len(data)]):  # what cannot become an answer is not waited for
            raise Malformed("bad-response", "The answer does not start as HTTP does.")
        return None
    mended = _HEAD.fullmatch(_mended(data[: lenient.start() + 1]))
    if mended is None:
        raise Malformed("bad-response", "The head of the answer is not written as RFC 9112 has it.")
    return _head(mended), lenient.end()


def body_length(head: ResponseHead, *, is_head: bool) -> int:
    """Find where an answer's body ends (RFC 9112 6.3): bytes, CHUNKED or UNTIL_CLOSE.

    Drops from the head what that makes wrong. Raises Malformed.
    """
    headers = head.headers
    names = headers.names
    if is_head or head.status < 200 or head.status in _WITHOUT_BODY:
        if head.status < 200 or head.status == 204:  # RFC 9110 8.6: they have no length
            head.headers = headers.without(_LENGTH)
        elif b"content-length" in names:
            try:
                _length(head)
            except Malformed:  # it frames nothing here, but might at the next reader
                head.headers = headers.without(_LENGTH)
        return 0
    length = _length(head) if b"content-length" in names else UNTIL_CLOSE
    if b"transfer-encoding" in names:
        codings = headers.values(b"transfer-encoding")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Malformed("bad-response", "No transfer coding but chunked is known here.")
        if length != UNTIL_CLOSE:  # RFC 9112 6.3: the coding overrides; the length is not sent on
            head.headers = headers.without(_LENGTH)
        return CHUNKED
    return length


def _head(found: "re.Match[bytes]") -> ResponseHead:
    minor, status, reason, block = found.groups()
    return ResponseHead(int(minor or b"0"), int(status), reason or b"", Headers(block))


def _mended(head: bytes) -> bytes:
    """The head with every line ended by CRLF, and folded lines joined by a blank."""
    lines = head.replace(b"\r\n", b"\n")
    if b"\r" in lines:
        raise Malformed("bad-response", "A CR stands alone in the head of the answer.")
    first, end, rest = lines.replace(b"\n", b"\r\n").partition(b"\r\n")
    return first + end + _FOLD.sub(b" ", rest)


def _length(head: ResponseHead) -> int:
    """RFC 9110 8.6: one length, though it may stand there more than once. Raises Malformed."""
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
