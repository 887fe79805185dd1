# Requests out of the bytes of one connection: a head, its body, the next head. Knows no sockets and no clock.

import msgspec

from gateway.errors import Malformed
from gateway.http.fields import CHUNKED
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder
from gateway.http.request import RequestHead, could_begin, parse_request_head


class Bounds(msgspec.Struct, frozen=True):
    """How large a head may be."""

    head: int
    """Bytes of the request line and the header lines."""
    line: int
    """Bytes of any one of them."""
    fields: int


class Intake:
    """Takes a connection's bytes apart, strictly.

    Mutable state: `bounds`; `waiting`, what came and was not taken yet; how much of it was looked at; the decoder of
    the body that is coming.
    """

    __slots__ = ("_decoder", "_looked", "bounds", "waiting")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._looked = 0
        self._decoder: Decoder | None = None
        self.waiting = b""

    def __repr__(self) -> str:
        return f"Intake({len(self.waiting)} bytes wait)"

    @property
    def is_amid_head(self) -> bool:
        """Whether a head has begun to come and was found not to be whole."""
        return self._looked > 0

    def next_head(self) -> RequestHead | None:
        """Take the next head from what waits; None when it has not come whole. Raises Malformed."""
        data = self.waiting
        if data.startswith(b"\r"):
            data = self.waiting = _without_empty_lines(data)
            if not data or data == b"\r":
                return None
        bounds = self.bounds
        end = data.find(b"\r\n\r\n", self._looked)
        size = end if end >= 0 else len(data)
        if size > bounds.line and data.find(b"\r\n", 0, bounds.line + 2) < 0:
            raise Malformed("target-too-long", f"The request line is longer than {bounds.line} bytes.")
        if size > bounds.head:
            raise Malformed("head-too-large", f"The request line and headers are longer than {bounds.head} bytes.")
        if end < 0:
            self._looked = max(1, len(data) - 3)
            if not could_begin(data):
                raise Malformed("bad-request", "The request line is not written as RFC 9112 section 3 has it.")
            return None
        self._looked = 0
        self.waiting = data[end + 4 :]
        return parse_request_head(data, end + 2, bounds.line, bounds.fields)

    def begin_body(self, length: int) -> tuple[bytes, bool]:
        """Take what has come of a body; gives its content, and whether it has ended. Raises Malformed."""
        self._decoder = ChunkedDecoder(strict=True) if length == CHUNKED else LengthDecoder(length)
        data, self.waiting = self.waiting, b""
        return self.go_on(data)

    def go_on(self, data: bytes) -> tuple[bytes, bool]:
        """Take more of the body; gives its content, and whether it has ended. Raises Malformed."""
        decoder = self._decoder
        if decoder is None:
            return b"", True
        content = decoder.feed(data) if data else b""
        if decoder.is_done:
            self._decoder = None
            self.waiting = decoder.surplus
        return content, decoder.is_done


def _without_empty_lines(data: bytes) -> bytes:
    """Drop the empty lines before a request (RFC 9112 2.2)."""
    length = len(data) - len(data.lstrip(b"\r\n"))
    lines = length // 2 * 2
    return data[lines:] if data[:lines] == b"\r\n" * (lines // 2) else data
