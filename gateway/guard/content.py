# What a body is said to be: its media type, charset and content coding (RFC 9110 8.3 and 8.4), undone. Pure.

import re
import zlib

import msgspec

from gateway.errors import BodyTooLarge, CodingNotAccepted, IdentityError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}
CODINGS = tuple(_WINDOW)
"""The content codings that can be undone."""
JSON_TYPE = "application/json"
JSON_TYPES = frozenset(
    {
        *(JSON_TYPE, "application/x-json", "text/json", "text/x-json"),
        *("application/x-amz-json-1.0", "application/x-amz-json-1.1"),  # AWS's protocols, such as DynamoDB's
        *("application/json-rpc", "application/jsonrequest", "application/csp-report"),
    }
)
"""Other names under which JSON is sent. No API takes a body of these for anything else."""
_JSON_SUFFIX = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+\+json")
"""RFC 6839 3.1."""
_MSGPACK = re.compile(r"application/(?:x-|vnd\.)?msgpack|[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+\+msgpack")
"""The name that is registered, those that were in use before, and a suffix as of JSON."""


class BodyFormats(msgspec.Struct, frozen=True):
    """Which bodies are read."""

    limit: int
    """Bytes of a body, as sent and when inflated."""
    json_types: frozenset[str] = frozenset()
    """Media types that are JSON, beside JSON_TYPES and `…+json`; "" stands for a missing Content-Type."""
    codings: tuple[str, ...] = ()
    """Content codings that are undone."""
    msgpack: bool = False
    """Whether bodies of MessagePack are read, too."""


LINES_TYPES = frozenset(
    {
        *("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl"),
        *("application/jsonlines", "application/x-jsonlines", "application/json-lines", "application/x-json-stream"),
        *("text/x-ndjson", "text/jsonl"),
    }
)
"""Names under which JSON texts are sent, one in each line."""


def is_lines(content_type: str | None) -> bool:
    """Whether a body is said to have one JSON text in each line."""
    return content_type is not None and content_type.partition(";")[0].strip(" \t").lower() in LINES_TYPES


def lines_of(data: bytes, content_type: str | None, content_encoding: str | None, formats: BodyFormats) -> list[bytes]:
    """The lines of such a body (is_lines) that are not empty, inflated.

    JSON has no line feed but between its tokens, so that every reader ends lines there. Raises as json_text does.
    """
    lines_as_json = BodyFormats(formats.limit, formats.json_types | LINES_TYPES, formats.codings)
    text = json_text(data, content_type, content_encoding, lines_as_json)
    return [line for line in text.split(b"\n") if not line.isspace() and line]


def json_text(data: bytes, content_type: str | None, content_encoding: str | None, formats: BodyFormats) -> bytes:
    """The inflated text of a body, which may be JSON.

    Raises IdentityError, CodingNotAccepted and BodyTooLarge.
    """
    is_ascii = require_json(content_type, formats)
    if content_encoding:
        data = plain(data, content_encoding, formats)
    data = data.removeprefix(_BYTE_ORDER_MARK)  # RFC 8259 8.1: it may be ignored; who does not refuses it
    if is_ascii and not data.isascii():
        raise IdentityError("the body's charset is US-ASCII, and it holds other bytes")
    return data


def is_msgpack(content_type: str | None) -> bool:
    """Whether a body is said to be MessagePack."""
    if content_type is None:
        return False
    return _MSGPACK.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


def require_json(content_type: str | None, formats: BodyFormats) -> bool:
    """Raise IdentityError for a Content-Type other than JSON in UTF-8 or US-ASCII; whether it is US-ASCII."""
    if content_type == JSON_TYPE:
        return False
    if content_type is None:
        if "" not in formats.json_types:
            raise IdentityError("the request has no Content-Type that says its body is JSON")
        return False
    media_type, *parameters = [part.strip() for part in content_type.lower().split(";")]
    if media_type not in JSON_TYPES and media_type not in formats.json_types and not _JSON_SUFFIX.fullmatch(media_type):
        raise IdentityError("the body's Content-Type is not JSON")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        charset = value.strip('"')
        if name == "charset" and charset not in {"utf-8", "utf8"}:
            if charset != "us-ascii":
                raise IdentityError("the body's charset is not UTF-8")
            return True
    return False


def plain(data: bytes, content_encoding: str | None, formats: BodyFormats) -> bytes:
    """A body with its content coding undone, if it has one. Raises as decoded does."""
    return decoded(data, content_encoding.strip().lower(), formats) if content_encoding else data


def decoded(data: bytes, coding: str, formats: BodyFormats) -> bytes:
    """Undo one content coding, in lower case. Raises as inflate does, and CodingNotAccepted."""
    if coding == "identity":
        return data
    if coding not in formats.codings:
        raise CodingNotAccepted(formats.codings)
    return inflate(data, coding, formats.limit)


def inflate(data: bytes, coding: str, limit: int) -> bytes:
    """Undo one of CODINGS (RFC 9110 8.4.1), never holding more than `limit` + 1 bytes of the result.

    Raises IdentityError for a stream that cannot be read, BodyTooLarge past `limit`.
    """
    try:
        return _inflate(data, _WINDOW[coding], limit)
    except zlib.error:  # also deflate without its zlib wrapper (RFC 9110 8.4.1.2), which not every server reads
        raise IdentityError("the body cannot be inflated") from None


def _inflate(data: bytes, window: int, limit: int) -> bytes:
    stream = zlib.decompressobj(window)
    text = stream.decompress(data, limit + 1)
    if len(text) > limit:
        raise BodyTooLarge(limit)
    if not stream.eof or stream.unused_data:
        raise IdentityError("the body's compressed stream is cut off, or something follows it")
    return text
