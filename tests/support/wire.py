# HTTP/1.1 heads and bodies, read strictly (RFC 9112). Shared by the raw client and the raw upstream; knows neither,
# and nothing of the gateway, so that a mistake in the gateway's own parsing cannot hide here.

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Literal

Headers = list[tuple[str, str]]
"""Names and values in order, case and repeats kept, decoded as Latin-1, which loses no byte."""

Framing = int | Literal["chunked", "close"]
"""How a body ends: after so many bytes, by its last chunk, or with the connection."""

HEAD_LIMIT = 2**20
"""Bytes of head that a reader made for `read_head` must be able to hold."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[^\r\n\0]*)?")
_PIECE = 65536


class MalformedError(Exception):
    """The peer sent something that RFC 9112 does not allow; the text says what."""


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Return a head with its empty line; b"" when the peer closed before its first byte.

    IncompleteReadError when it closed amid the head, ConnectionError when it reset.
    """
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


def parse_head(head: bytes) -> tuple[str, Headers]:
    """Split a head into its start line and its headers; MalformedError for anything but RFC 9112's grammar."""
    start, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if not _VALUE.fullmatch(start):
        raise MalformedError(f"control character in the start line {start!r}")
    return start, [_parse_field(field) for field in fields]


def _parse_field(field: str) -> tuple[str, str]:
    name, colon, value = field.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise MalformedError(f"not a header field: {field!r}")
    if not _VALUE.fullmatch(value):
        raise MalformedError(f"control character in the value of {name}")
    return name, value.strip(" \t")


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Return method, target and version (RFC 9112 section 3)."""
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not re.fullmatch(r"[\x21-\x7e\x80-\xff]+", parts[1]):
        raise MalformedError(f"not a request line: {line!r}")
    if parts[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise MalformedError(f"not HTTP/1.x: {line!r}")
    return parts[0], parts[1], parts[2]


def parse_status_line(line: str) -> tuple[int, str]:
    """Return status and reason (RFC 9112 section 4)."""
    match = re.fullmatch(r"HTTP/1\.[01] ([1-9][0-9]{2}) (.*)", line)
    if match is None:
        raise MalformedError(f"not a status line: {line!r}")
    return int(match[1]), match[2]


def values(headers: Headers, name: str) -> list[str]:
    """Every value of the field `name`, whose case does not count."""
    return [value for key, value in headers if key.lower() == name.lower()]


def says_close(headers: Headers) -> bool:
    """Whether Connection names `close` (RFC 9112 section 9.6)."""
    options = ",".join(values(headers, "Connection")).split(",")
    return "close" in {option.strip().lower() for option in options}


def request_framing(headers: Headers) -> Framing:
    """How a request's body ends (RFC 9112 section 6.3); MalformedError where two readers could disagree."""
    framing = _declared_framing(headers)
    return 0 if framing is None else framing


def response_framing(method: str, status: int, headers: Headers) -> Framing:
    """How the body of the answer to `method` ends (RFC 9112 section 6.3)."""
    framing = _declared_framing(headers)
    if method == "HEAD" or status < 200 or status in {204, 304}:
        return 0
    return "close" if framing is None else framing


def _declared_framing(headers: Headers) -> Framing | None:
    lengths, codings = values(headers, "Content-Length"), values(headers, "Transfer-Encoding")
    if lengths and codings:
        raise MalformedError("both Content-Length and Transfer-Encoding")
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise MalformedError(f"Transfer-Encoding {codings!r}")
        return "chunked"
    if lengths:
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]+", lengths[0]):
            raise MalformedError(f"Content-Length {lengths!r}")
        return int(lengths[0])
    return None


async def body_pieces(reader: asyncio.StreamReader, framing: Framing) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield (bytes as sent, bytes of the body in them); IncompleteReadError when the peer closed too early."""
    if framing == "close":
        while piece := await reader.read(_PIECE):
            yield piece, piece
    elif framing == "chunked":
        async for pair in _chunks(reader):
            yield pair
    else:
        async for piece in _exactly(reader, framing):
            yield piece, piece


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        piece = await reader.read(min(count, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    while True:
        line = await reader.readuntil(b"\r\n")
        match = _CHUNK_SIZE.fullmatch(line[:-2])
        if match is None:
            raise MalformedError(f"not a chunk size: {line!r}")
        yield line, b""
        size = int(match[1], 16)
        if size == 0:
            break
        async for piece in _exactly(reader, size):
            yield piece, piece
        end = await reader.readexactly(2)
        if end != b"\r\n":
            raise MalformedError(f"a chunk ends with {end!r}")
        yield end, b""
    while True:
        line = await reader.readuntil(b"\r\n")
        if line != b"\r\n":
            _parse_field(line[:-2].decode("latin-1"))
        yield line, b""
        if line == b"\r\n":
            return


def render_head(start: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a head, exactly as given."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def render_chunk(piece: bytes) -> bytes:
    """One chunk; the last one for b""."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)
