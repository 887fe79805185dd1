# Requests out of the bytes of one connection: a head, its body, the next head. Knows no sockets and no clock.

from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod

from gateway.config.schema import ServerConfig
from gateway.errors import GatewayError, Malformed
from gateway.http.fields import CHUNKED
from gateway.http.framing import ChunkedDecoder, Decoder, LengthDecoder
from gateway.http.request import RequestHead, could_begin, is_method, line_too_long, read_request_head

_NO_LIMIT = 1 << 30
"""The limits on heads are the gateway's own: they are checked before and after."""
_STAND_IN = b"POST"
"""Takes the place of a method that llhttp does not know. It stands for no special rule of any parser."""


class RequestReader:
    """Parses a connection's bytes, strictly.

    Mutable state: `limits`; `buffered`, what came and was not parsed yet; how much of it was scanned; the decoder of
    the body that is coming.
    """

    __slots__ = ("_decoder", "_parser", "_scanned", "buffered", "limits")

    def __init__(self, limits: ServerConfig, parser: "HeadParser") -> None:
        self.limits = limits
        self._parser = parser
        self._scanned = 0
        self._decoder: Decoder | None = None
        self.buffered = b""

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
        if size > limits.max_line and data.find(b"\r\n", 0, limits.max_line + 2) < 0:
            raise line_too_long(limits.max_line)
        if size > limits.max_head:
            detail = f"The request line and headers are longer than {limits.max_head} bytes (server.max_head)."
            raise Malformed("head-too-large", detail)
        if end < 0:
            self._scanned = max(1, len(data) - 3)
            if not could_begin(data):
                raise Malformed("bad-request", "The request line does not follow RFC 9112 section 3.")
            return None
        self._scanned = 0
        head, self.buffered = data[: end + 4], data[end + 4 :]
        return read_request_head(head, self._parser.parse(head), limits.max_line, limits.max_fields)

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


class HeadParser:
    """aiohttp's request parser (llhttp), fed with one whole head at a time. All connections share one.

    With bodies it is not fed: it lets the last trailer of a request become the first header of the next one.

    Mutable state: aiohttp's parser, replaced after a head that leaves it anywhere but at its start.
    """

    __slots__ = ("_parser",)

    def __init__(self) -> None:
        """Raises GatewayError when aiohttp has no llhttp here."""
        self._parser = self._new()
        if not type(self._parser).__module__.endswith("_http_parser"):
            raise GatewayError(
                "aiohttp was installed or started without its C extension, and so without llhttp: "
                "install a wheel of aiohttp for this Python, and unset AIOHTTP_NO_EXTENSIONS"
            )

    def parse(self, head: bytes) -> RawRequestMessage | None:
        """Read one head, from its first byte to its empty line; None when llhttp or aiohttp refuses it."""
        try:
            messages, _, _ = self._parser.feed_data(head)
        except Exception as error:  # noqa: BLE001 - a target that yarl refuses is a ValueError; all of them mean no
            self._parser = self._new()
            return self._parse_unknown_method(head) if isinstance(error, BadHttpMethod) else None
        if len(messages) != 1:
            self._parser = self._new()
            return None
        message: RawRequestMessage = messages[0][0]
        if message.should_close or message.upgrade:  # it would take nothing more, or anything
            self._parser = self._new()
        return message

    def _parse_unknown_method(self, head: bytes) -> RawRequestMessage | None:
        method, space, rest = head.partition(b" ")
        if not is_method(method) or method == _STAND_IN:
            return None
        message = self.parse(_STAND_IN + space + rest)
        return None if message is None else message._replace(method=method.decode())

    def _new(self) -> HttpRequestParser:
        return HttpRequestParser(
            None,
            None,
            0,
            max_line_size=_NO_LIMIT,
            max_field_size=_NO_LIMIT,
            max_headers=_NO_LIMIT,
            response_with_body=False,  # a head is a message
            auto_decompress=False,
        )


def _without_empty_lines(data: bytes) -> bytes:
    """Drop the empty lines before a request (RFC 9112 2.2)."""
    length = len(data) - len(data.lstrip(b"\r\n"))
    lines = length // 2 * 2
    return data[lines:] if data[:lines] == b"\r\n" * (lines // 2) else data
