# Where a body ends, and what of the bytes on the wire is its content (RFC 9112 6 and 7). Pure; one decoder a body.

import re
from typing import Protocol

from gateway.errors import Malformed
from gateway.http.fields import TOKEN, parse_fields

MAX_CHUNK_LINE = 4096
"""Bytes of a chunk's size and extensions. Nobody uses extensions; 64 KiB of them a byte would be an attack."""
MAX_TRAILERS = 16 * 1024
"""Bytes of the trailer section, with the empty line that ends it."""
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"+(?:=(?:" + TOKEN + rb"|" + _QUOTED + rb"))?)*+")
"""RFC 9112 7.1.1, without the blanks that it calls bad."""
_LENIENT_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*)?")
"""What servers write; the extension is dropped, so nobody behind can read it otherwise."""

_NEVER_TRAILERS = frozenset({b"content-length", b"host", b"transfer-encoding"})
"""RFC 9110 6.5.1. Dropped they do no harm, but only an attack sends them."""


class Decoder(Protocol):
    """Takes a body apart as it comes."""

    is_done: bool
    """Whether the body has ended."""
    surplus: bytes
    """What came behind its end."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the wire, give those of the content. Raises Malformed."""


class LengthDecoder:
    """A body of a known length."""

    __slots__ = ("_left", "is_done", "surplus")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_done = length == 0
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self.is_done = True
        if left == 0:
            return data
        self.surplus = data[left:]
        return data[:left]


class UntilCloseDecoder:
    """A body that ends with its connection (RFC 9112 6.3, the last rule)."""

    __slots__ = ("is_done", "surplus")

    def __init__(self) -> None:
        self.is_done = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        return data


class ChunkedDecoder:
    """A chunked body (RFC 9112 7.1). Trailers are dropped, as RFC 9110 6.5.1 lets an intermediary do.

    Mutable state: bytes of a line that is not whole yet; bytes left of the chunk under way (its line end is then 2
    more); whether the trailer section has begun.
    """

    __slots__ = ("_buffer", "_in_trailers", "_left", "_strict", "is_done", "surplus")

    def __init__(self, *, strict: bool) -> None:
        """`strict` for requests; an answer's chunk lines may hold what their servers are known to write."""
        self._strict = strict
        self._buffer = b""
        self._left = -2  # no chunk under way, its line end read
        self._in_trailers = False
        self.is_done = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        at = 0
        while not self._in_trailers:
            if self._left > -2:  # of the chunk, then of its line end
                if self._left > 0:
                    piece = data[at : at + self._left]
                    if piece:
                        pieces.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                if self._left > 0 or len(data) - at < 2:
                    self._keep(data, at, 2)
                    break
                if data[at : at + 2] != b"\r\n":
                    raise Malformed("bad-request", "A chunk is longer or shorter than it says.")
                at += 2
                self._left = -2
            end = data.find(b"\r\n", at, at + MAX_CHUNK_LINE)
            if end < 0:
                self._keep(data, at, MAX_CHUNK_LINE)
                break
            self._left = self._size(data[at:end])
            at = end + 2
            if self._left == 0:
                self._in_trailers = True
        if self._in_trailers:
            self._trailers(data[at:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep(self, data: bytes, at: int, limit: int) -> None:
        self._buffer = data[at:]
        if len(self._buffer) >= limit or b"\n" in self._buffer:
            raise Malformed("bad-request", "The line before a chunk does not end.")

    def _size(self, line: bytes) -> int:
        found = (_CHUNK_LINE if self._strict else _LENIENT_CHUNK_LINE).fullmatch(line)
        if found is None:
            raise Malformed("bad-request", "The line before a chunk is not written as RFC 9112 section 7.1 has it.")
        return int(found[1], 16)

    def _trailers(self, data: bytes) -> None:
        end = 0 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 2
        found = end != 1
        if (end + 2 if found else len(data)) > MAX_TRAILERS:
            raise Malformed("head-too-large", "The trailers are too long.")
        if not found:
            self._buffer = data
            return
        if end:
            trailers = parse_fields(data[:end])
            if trailers is None:
                raise Malformed("bad-request", "A trailer is not written as RFC 9112 section 5 has a header.")
            if self._strict and not _NEVER_TRAILERS.isdisjoint(trailers.names):
                raise Malformed("bad-request", "A trailer names a field that frames or routes a message.")
        self.is_done = True
        self.surplus = data[end + 2 :]
