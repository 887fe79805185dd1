# Requests out of the bytes of one connection: a head, its body, the next head. Knows no sockets and no clock.

from gateway.errors import Malformed
from gateway.front.head_parser import HeadParser
from gateway.http.fields import CHUNKED
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder
from gateway.http.request import HeadLimits, RequestHead, could_begin, read_request_head


class RequestReader:
    """Parses a connection's bytes, strictly.

    Mutable state: `limits`; `buffered`, what came and was not parsed yet; how much of it was scanned; the decoder of
    the body that is coming.
    """

    __slots__ = ("_decoder", "_parser", "_scanned", "buffered", "limits")

    def __init__(self, limits: HeadLimits, parser: HeadParser) -> None:
        self.limits = limits
        self._parser = parser
        self._scanned = 0
        self._decoder: Decoder | None = None
        self.buffered = b""

    def __repr__(self) -> str:
        return f"RequestReader({len(self.buffered)} bytes buffered)"

    @property
    def has_partial_head(self) -> bool:
        """Whether a head has begun to come and was found not to be whole."""
        return self._scanned > 0

    def next_head(self) -> RequestHead | None:
        """Parse the next head from what is buffered; None when it has not come whole. Raises Malformed."""
        data = self.buffered
        if data.startswith(b"\r"):
            data = self.buffered = _without_empty_lines(data)
            if not data or data == b"\r":
                return None
        limits = self.limits
        end = data.find(b"\r\n\r\n", self._scanned)
        size = end if end >= 0 else len(data)
        if size > limits.line and data.find(b"\r\n", 0, limits.line + 2) < 0:
            raise Malformed(
                "target-too-long", f"The request line is longer than {limits.line} bytes (server.max_line)."
            )
        if size > limits.head:
            raise Malformed(
                "head-too-large",
                f"The request line and headers are longer than {limits.head} bytes (server.max_head).",
            )
        if end < 0:
            self._scanned = max(1, len(data) - 3)
            if not could_begin(data):
                raise Malformed("bad-request", "The request line does not follow RFC 9112 section 3.")
            return None
        self._scanned = 0
        head, self.buffered = data[: end + 4], data[end + 4 :]
        return read_request_head(head, self._parser.parse(head), limits)

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
