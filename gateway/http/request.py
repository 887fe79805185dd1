# A request's head, read strictly: what two servers could read in two ways is refused. Pure.
#
# Every refusal here ends the connection: what follows on it cannot be trusted to be where the next request begins.

import re
from functools import lru_cache

import msgspec

from gateway.errors import Malformed
from gateway.http.fields import BLOCK, CHUNKED, TOKEN, lets_persist, parse_length
from gateway.http.headers import Headers

_LINE = rb"((?=[A-Za-z])" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])"
_HEAD = re.compile(_LINE + rb"\r\n(" + BLOCK + rb")")
_LINE_ALONE = re.compile(_LINE)
_BEGINNING = re.compile(TOKEN + rb"(?: (?:[\x21-\x7e]+(?: (?:[HTP/0-9.]*(?:\r(?:\n.*)?)?)?)?)?)?", re.DOTALL)
_VERSION = re.compile(rb".* HTTP/\d\.\d", re.DOTALL)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+;=]+)(?::[0-9]{0,5})?")
"""RFC 9110 7.2: one uri-host and perhaps a port. A comma, legal in a name, would let a list pass; nothing uses one."""
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?([^/?#@]*)((?:[/?].*)?)", re.DOTALL)
_CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""Transfer codings that are content codings too (RFC 9112 7.2)."""


class RequestHead(msgspec.Struct):
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
    """Whether the client lets the connection live on (RFC 9112 9.3)."""


def could_begin(data: bytes) -> bool:
    """Whether what has come so far, one byte or more, can become a request: what cannot is not waited for."""
    return _BEGINNING.fullmatch(data) is not None and data.count(b"\n") == data.count(b"\r\n")


def parse_request_head(data: bytes, end: int, max_line: int, max_fields: int) -> RequestHead:
    """Read the head that `data` begins with; the empty line that ends it starts at `end`.

    `max_line` is the most bytes of any one line. Raises Malformed.
    """
    parts = _HEAD.fullmatch(data, 0, end)
    if parts is None:
        raise _diagnosis(data[:end], max_line)
    raw_method, raw_target, version, block = parts.groups()
    line = data[: parts.start(4)]
    headers = Headers(block)
    names = headers.names
    if end > max_line:
        _check_lines(line, headers, max_line)
    if len(names) > max_fields:
        raise Malformed("head-too-large", f"There are more than {max_fields} header lines.")
    minor = version[0] - 48
    method = raw_method.decode()
    target = raw_target.decode()
    host = _host(headers, minor)
    if target[0] != "/" and method != "CONNECT":
        target, authority = _other_form(method, target)
        if authority is not None:
            host = authority
            headers = Headers(b"Host: %b\r\n%b" % (authority, headers.without((b"host",)).block))
            names = headers.names
        line = b""
    if minor == 0 or not line:
        line = f"{method} {target} HTTP/1.1\r\n".encode()
    length = 0
    if b"transfer-encoding" in names:
        length = CHUNKED
        headers = _check_coding(headers, minor)
    elif b"content-length" in names:
        length = _length(headers)
    if names.count(b"content-type") > 1:
        raise Malformed("bad-request", "There are two Content-Type headers, and nobody knows which one counts.")
    return RequestHead(line, method, target, minor, host, headers, length, lets_persist(headers, minor))


def _diagnosis(head: bytes, max_line: int) -> Malformed:
    """Say what is wrong with a head that is not written as it must be."""
    line = head.partition(b"\r\n")[0]
    if len(line) > max_line:
        return Malformed("target-too-long", f"The request line is longer than {max_line} bytes.")
    if _LINE_ALONE.fullmatch(line):
        return Malformed("bad-request", "A header line is not written as RFC 9112 section 5 has it.")
    if _VERSION.fullmatch(line) and not line.endswith((b" HTTP/1.0", b" HTTP/1.1")):
        return Malformed("version-not-supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    return Malformed("bad-request", "The request line is not written as RFC 9112 section 3 has it.")


def _check_lines(line: bytes, headers: Headers, max_line: int) -> None:
    """Raises Malformed for a line that is too long."""
    if len(line) > max_line + 2:
        raise Malformed("target-too-long", f"The request line is longer than {max_line} bytes.")
    if any(len(name) + len(value) > max_line for name, value in headers.lines):
        raise Malformed("head-too-large", f"A header line is longer than {max_line} bytes.")


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
            raise Malformed("bad-request", "The Host header is not one host name and perhaps a port.")
        return host
    if count or minor == 1:
        raise Malformed("bad-request", f"There must be one Host header; there are {count}.")
    return None


@lru_cache(maxsize=256)  # they are few
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _check_coding(headers: Headers, minor: int) -> Headers:
    """RFC 9112 6.1 and 6.3: chunked, last and once. Raises Malformed.

    The next hop is told of chunked only. What else was done to the body stays done: it is named as a content coding.
    """
    values = headers.values(b"transfer-encoding")
    if b"content-length" in headers.names:
        raise Malformed("bad-request", "Content-Length and Transfer-Encoding stand side by side.")
    if minor == 0:
        raise Malformed("bad-request", "HTTP/1.0 knows no Transfer-Encoding.")
    codings = [coding.strip(b" \t").lower() for coding in values[0].split(b",")]
    if len(values) > 1 or codings[-1] != b"chunked" or b"" in codings or b"chunked" in codings[:-1]:
        raise Malformed("bad-request", "Transfer-Encoding does not end with one chunked, in one line.")
    others = [coding for coding in codings[:-1] if coding != b"identity"]  # it never changed a byte (RFC 2616 3.6)
    if not others:
        return headers
    if not _CODINGS.issuperset(others):
        raise Malformed("not-supported", "No such transfer coding is known here.")
    contents = b", ".join([*headers.values(b"content-encoding"), *others])
    return Headers(b"%bContent-Encoding: %b\r\n" % (headers.without((b"content-encoding",)).block, contents))


def _length(headers: Headers) -> int:
    value = headers.first(b"content-length") if headers.names.count(b"content-length") == 1 else None
    length = None if value is None else parse_length(value)
    if length is None:
        raise Malformed("bad-request", "Content-Length is not one number of bytes.")
    return length
