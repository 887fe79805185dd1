# Message framing: finds the end of a body and decodes its content (RFC 9112 6 and 7). Pure; one decoder per body.

import re
from typing import Protocol

from typing_extensions import override

from gateway.errors import Malformed
from gateway.http.fields import QUOTED_STRING, TOKEN, parse_fields

MAX_CHUNK_LINE = 4096
"""Bytes of a chunk's size and extensions. Extensions are not used in practice; long ones are an attack."""
MAX_TRAILERS = 16 * 1024
"""Bytes of the trailer section, including the empty line that ends it."""
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"+(?:=(?:" + TOKEN + rb"|" + QUOTED_STRING + rb"))?)*+"
)
"""RFC 9112 7.1.1, without the bad whitespace (BWS)."""
_LENIENT_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*)?")
"""What servers really send. The extension is dropped, so the next recipient cannot interpret it differently."""

_NEVER_TRAILERS = frozenset({b"content-length", b"host", b"transfer-encoding"})
"""RFC 9110 6.5.1. Harmless, because trailers are dropped, but only an attacker sends them."""


class Decoder(Protocol):
    """Decodes a body incrementally."""

    __slots__ = ()

    is_done: bool
    """Whether the body has ended."""
    surplus: bytes
    """Bytes received after the end of the body."""

    def feed(self, data: bytes) -> bytes:
        """Decode the next received bytes, and return their content. Raises Malformed."""


class LengthDecoder(Decoder):
    """A body of a known length."""

    __slots__ = ("_left", "is_done", "surplus")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_done = length == 0
        self.surplus = b""

    @override
    def feed(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self.is_done = True
        if left == 0:
            return data
        self.surplus = data[left:]
        return data[:left]


class UntilCloseDecoder(Decoder):
    """A body that is delimited by the close of its connection (RFC 9112 6.3, the last rule)."""

    __slots__ = ("is_done", "surplus")

    def __init__(self) -> None:
        self.is_done = False
        self.surplus = b""

    @override
    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedDecoder(Decoder):
    """A chunked body (RFC 9112 7.1). Trailers are dropped, which RFC 9110 6.5.1 permits.

    Mutable state: bytes of an incomplete line; bytes left of the current chunk (-2 once its CRLF has been read);
    whether the trailer section has begun.
    """

    __slots__ = ("_buffer", "_in_trailers", "_left", "_strict", "is_done", "surplus")

    def __init__(self, *, strict: bool) -> None:
        """`strict` for requests; the chunk lines of responses may deviate as real servers do."""
        self._strict = strict
        self._buffer = b""
        self._left = -2  # between chunks
        self._in_trailers = False
        self.is_done = False
        self.surplus = b""

    @override
    def feed(self, data: bytes) -> bytes:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        at = 0
        while not self._in_trailers:
            if self._left > -2:  # inside a chunk, or before its CRLF
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
