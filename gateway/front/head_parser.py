# aiohttp's request parser (llhttp), fed with one whole head at a time.
#
# With bodies it is not fed: it lets the last trailer of a request become the first header of the next one.

from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod

from gateway.errors import GatewayError
from gateway.http.request import is_method

_NO_LIMIT = 1 << 30
"""The limits on heads are the gateway's own: they are checked before and after."""
_STAND_IN = b"POST"
"""Takes the place of a method that llhttp does not know. It stands for no special rule of any parser."""


class HeadParser:
    """Reads heads. Nothing is kept from one head to the next, so that all connections share one.

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

    def __repr__(self) -> str:
        return "HeadParser()"

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
