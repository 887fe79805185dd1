# A request's head: what two servers could read in two ways is refused. Pure.
#
# Every head is read twice: here, and by llhttp in aiohttp. It is accepted only if both readings agree. Every refusal
# ends the connection: where the next request would begin is no longer certain.

import re
from functools import lru_cache
from typing import Any

import msgspec

from gateway.errors import Malformed
from gateway.http.fields import BLOCK, CHUNKED, TOKEN, lets_persist, parse_length
from gateway.http.headers import Headers

_METHOD = rb"(?=[A-Za-z])" + TOKEN
is_method = re.compile(_METHOD).fullmatch
"""Whether bytes are a method that is forwarded: a token (RFC 9110 9.1) that begins with a letter."""
_LINE = re.compile(_METHOD + rb" [\x21-\x7e]+ HTTP/1\.([01])\r\n")
_FIELD_LINES = re.compile(BLOCK)
_BEGINNING = re.compile(TOKEN + rb"(?: (?:[\x21-\x7e]+(?: (?:[HTP/0-9.]*(?:\r(?:\n.*)?)?)?)?)?)?", re.DOTALL)
_OTHER_VERSION = re.compile(rb".* HTTP/(?!1\.[01]\r)\d\.\d\r\n", re.DOTALL)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+;=]+)(?::[0-9]{0,5})?")
"""RFC 9110 7.2: one uri-host and perhaps a port. A comma, legal in a name, would let a list pass; nothing uses one."""
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?([^/?#@]*)((?:[/?].*)?)", re.DOTALL)
_CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""Transfer codings that are content codings too (RFC 9112 7.2)."""


class RequestHead(msgspec.Struct, gc=False):
    """A request's head."""

    line: bytes
    """The request line for the next hop, with its line end."""
    method: str
    target: str
    """In origin form, or "*"; CONNECT has its own."""
    minor: int
    """0 or 1: the version is HTTP/1.`minor`."""
    host: bytes | None
    """What Host says; HTTP/1.0 may have none."""
    headers: Headers
    """Host is the host of the target, if that came in absolute form (RFC 9112 3.2.2)."""
    length: int
    """The body's bytes; CHUNKED when only its chunks tell."""
    keep_alive: bool
    """Whether the client lets the connection persist (RFC 9112 9.3)."""


def could_begin(data: bytes) -> bool:
    """Whether what has come so far, one byte or more, can become a request: what cannot is not waited for."""
    return _BEGINNING.fullmatch(data) is not None and data.count(b"\n") == data.count(b"\r\n")


def read_request_head(data: bytes, message: Any, max_line: int, max_fields: int) -> RequestHead:
    """Read a head that ends with its empty line. Raises Malformed, also for a line of more than `max_line` bytes.

    `message` is llhttp's reading of it (aiohttp.http.RawRequestMessage), None when llhttp refuses it. It is accepted
    only if the request line can be rebuilt from it, and if each of its header lines is one line of the bytes.
    """
    start = data.find(b"\r\n") + 2
    line, block = data[:start], data[start:-2]
    if len(data) > max_line:
        _check_lines(line, block, max_line)
    if message is None:
        raise _diagnosis(line, block)
    method, target, fields = message.method, message.path, message.raw_headers
    major, minor = message.version
    count = len(fields)
    if not target.isascii() or line != f"{method} {target} HTTP/{major}.{minor}\r\n".encode():
        raise Malformed("bad-request", "The request line does not follow RFC 9112 section 3.")
    if major != 1 or minor > 1:
        raise _diagnosis(line, block)
    if not count == block.count(b"\r\n") == block.count(b"\n") == block.count(b"\r"):
        raise Malformed("bad-request", "A header line does not follow RFC 9112 section 5.")
    if count > max_fields:
        raise Malformed("head-too-large", f"There are more than {max_fields} header lines (server.max_fields).")
    headers = Headers(block, fields)
    host = _host(headers, minor)
    length = 0
    if b"transfer-encoding" in headers.name_set:
        length = CHUNKED
        headers = _check_coding(headers, minor)
    elif b"content-length" in headers.name_set:
        length = _length(headers)
    if message.chunked != (length == CHUNKED):
        raise Malformed("bad-request", "The request's framing could be read in two ways.")
    head = RequestHead(line, method, target, minor, host, headers, length, lets_persist(headers, minor))
    return head if minor == 1 and target[0] == "/" else _for_next_hop(head)


def _for_next_hop(head: RequestHead) -> RequestHead:
    """Write a head of HTTP/1.0, or with a target in another form than a path, as one of HTTP/1.1. Raises Malformed."""
    if head.target[0] != "/" and head.method != "CONNECT":
        head.target, authority = _other_form(head.method, head.target)
        if authority is not None:
            head.host = authority
            head.headers = Headers(b"Host: %b\r\n%b" % (authority, head.headers.without((b"host",)).block))
    head.line = f"{head.method} {head.target} HTTP/1.1\r\n".encode()
    return head


def _diagnosis(line: bytes, block: bytes) -> Malformed:
    """Say what is wrong with a head that llhttp refuses, as far as that can be told."""
    parts = _LINE.fullmatch(line)
    if parts is None:
        if _OTHER_VERSION.fullmatch(line):
            return Malformed("version-not-supported", "Only HTTP/1.0 and HTTP/1.1 are supported.")
        return Malformed("bad-request", "The request line does not follow RFC 9112 section 3.")
    if not _FIELD_LINES.fullmatch(block):
        return Malformed("bad-request", "A header line does not follow RFC 9112 section 5.")
    headers = Headers(block)
    minor = parts[1][0] - 48
    try:
        _host(headers, minor)
        if b"transfer-encoding" in headers.name_set:
            _check_coding(headers, minor)
        elif b"content-length" in headers.name_set:
            _length(headers)
    except Malformed as error:
        return error
    for name in _SINGLE:
        if headers.names.count(name.lower().encode()) > 1:
            return Malformed("bad-request", f"{name} appears more than once.")
    return Malformed("bad-request", "The HTTP parser (llhttp, in aiohttp) refuses the request's head.")


_SINGLE = ["Content-Location", "Content-Range", "Content-Type", "ETag", "Max-Forwards", "Server", "User-Agent"]
"""Fields whose second line aiohttp's parser refuses (RFC 9110 5.3)."""


def line_too_long(max_line: int) -> Malformed:
    """Say that the request line is longer than `max_line` bytes."""
    return Malformed("target-too-long", f"The request line is longer than {max_line} bytes (server.max_line).")


def _check_lines(line: bytes, block: bytes, max_line: int) -> None:
    """Raises Malformed for a line that is too long."""
    if len(line) > max_line + 2:
        raise line_too_long(max_line)
    for name, value in Headers(block).lines:
        if len(name) + len(value) > max_line:
            shown = name[:64].decode("latin-1")
            raise Malformed(
                "head-too-large", f"The header line {shown} is longer than {max_line} bytes (server.max_line)."
            )


def _other_form(method: str, target: str) -> tuple[str, bytes | None]:
    """RFC 9112 3.2: a target that does not start with a slash. Raises Malformed."""
    if target == "*" and method == "OPTIONS":
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not _is_host(absolute[1].encode()):
        raise Malformed("bad-request", "The request target is neither a path nor a URL with a host.")
    path = absolute[2]
    if not path.startswith("/"):
        if not path and method == "OPTIONS":
            return "*", absolute[1].encode()  # RFC 9112 3.2.4
        path = "/" + path
    return path, absolute[1].encode()


def _host(headers: Headers, minor: int) -> bytes | None:
    """RFC 9112 3.2: exactly one valid Host; HTTP/1.0 may leave it out. Raises Malformed."""
    count = headers.names.count(b"host")
    if count == 1:
        host = headers.first(b"host") or b""
        if not _is_host(host):
            raise Malformed("bad-request", "Host is not one host name, with or without a port.")
        return host
    if count:
        raise Malformed("bad-request", "Host appears more than once.")
    if minor == 1:
        raise Malformed("bad-request", "Host is missing.")
    return None


@lru_cache(maxsize=256)  # they are few
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _check_coding(headers: Headers, minor: int) -> Headers:
    """RFC 9112 6.1 and 6.3: chunked, last and once. Raises Malformed.

    The next hop gets chunked only. Another coding stays applied to the body: it is forwarded as a content coding.
    """
    values = headers.values(b"transfer-encoding")
    if b"content-length" in headers.name_set:
        raise Malformed("bad-request", "The request has both Content-Length and Transfer-Encoding.")
    if minor == 0:
        raise Malformed("bad-request", "HTTP/1.0 does not define Transfer-Encoding.")
    codings = [coding.strip(b" \t").lower() for coding in values[0].split(b",")]
    if len(values) > 1 or codings[-1] != b"chunked" or b"" in codings or b"chunked" in codings[:-1]:
        raise Malformed("bad-request", "Transfer-Encoding must be one line that ends with chunked, once.")
    others = [coding for coding in codings[:-1] if coding != b"identity"]  # it never changed a byte (RFC 2616 3.6)
    if not others:
        return headers
    if not _CODINGS.issuperset(others):
        raise Malformed("not-supported", "A transfer coding of the request is not supported.")
    contents = b", ".join([*headers.values(b"content-encoding"), *others])
    return Headers(b"%bContent-Encoding: %b\r\n" % (headers.without((b"content-encoding",)).block, contents))


def _length(headers: Headers) -> int:
    value = headers.first(b"content-length") if headers.names.count(b"content-length") == 1 else None
    length = None if value is None else parse_length(value)
    if length is None:
        raise Malformed("bad-request", "Content-Length is not one decimal number.")
    return length
