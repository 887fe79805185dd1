# Requests out of the bytes of one connection: a head, its body, the next head. Knows no sockets and no clock.

import msgspec

from gateway.errors import Malformed
from gateway.http.fields import CHUNKED
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder
from gateway.http.request import RequestHead, could_begin, parse_request_head


class HeadLimits(msgspec.Struct, frozen=True):
    """How large a head may be."""

    head: int
    """Bytes of the request line and the header lines."""
    line: int
    """Bytes of any one of them."""
    fields: int


class RequestReader:
    """Takes a connection's bytes apart, strictly.

    Mutable state: `head_limits`; `buffered`, what came and was not parsed yet; how much of it was scanned; the
    decoder of the body that is coming.
    """

    __slots__ = ("_decoder", "_looked", "buffered", "head_limits")

    def __init__(self, head_limits: HeadLimits) -> None:
        self.head_limits = head_limits
        self._looked = 0
        self._decoder: Decoder | None = None
        self.buffered = b""

    def __repr__(self) -> str:
        return f"RequestReader({len(self.buffered)} bytes wait)"

    @property
    def is_amid_head(self) -> bool:
        """Whether a head has begun to come and was found not to be whole."""
        return self._looked > 0

    def next_head(self) -> RequestHead | None:
        """Take the next head from what waits; None when it has not come whole. Raises Malformed."""
        data = self.buffered
        if data.startswith(b"\r"):
            data = self.buffered = _without_empty_lines(data)
            if not data or data == b"\r":
                return None
        head_limits = self.head_limits
        end = data.find(b"\r\n\r\n", self._looked)
        size = end if end >= 0 else len(data)
        if size > head_limits.line and data.find(b"\r\n", 0, head_limits.line + 2) < 0:
            raise Malformed("target-too-long", f"The request line is longer than {head_limits.line} bytes.")
        if size > head_limits.head:
            raise Malformed("head-too-large", f"The request line and headers are longer than {head_limits.head} bytes.")
        if end < 0:
            self._looked = max(1, len(data) - 3)
            if not could_begin(data):
                raise Malformed("bad-request", "The request line is not written as RFC 9112 section 3 has it.")
            return None
        self._looked = 0
        self.buffered = data[end + 4 :]
        return parse_request_head(data, end + 2, head_limits.line, head_limits.fields)

    def begin_body(self, length: int) -> tuple[bytes, bool]:
        """Take what has come of a body; gives its content, and whether it has ended. Raises Malformed."""
        self._decoder = ChunkedDecoder(strict=True) if length == CHUNKED else LengthDecoder(length)
        data, self.buffered = self.buffered, b""
        return self.feed_body(data)

    def feed_body(self, data: bytes) -> tuple[bytes, bool]:
        """Take more of the body; gives its content, and whether it has ended. Raises Malformed."""
        decoder = self._decoder
        if decoder is None:
            return b"", True
        content = decoder.feed(data) if data else b""
        if decoder.is_done:
            self._decoder = None
            self.buffered = decoder.surplus
        return content, decoder.is_done


def _without_empty_lines(data: bytes) -> bytes:
    """Drop the empty lines before a request (RFC 9112 2.2)."""
    length = len(data) - len(data.lstrip(b"\r\n"))
    lines = length // 2 * 2
    return data[lines:] if data[:lines] == b"\r\n" * (lines // 2) else data
