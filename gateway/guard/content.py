# What a body is said to be: its media type, charset and content coding (RFC 9110 8.3 and 8.4), undone. Pure.

import zlib

from gateway.errors import BodyTooLarge, IdentityError

_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def json_text(data: bytes, content_type: str | None, content_encoding: str | None, limit: int) -> bytes:
    """The inflated text of a body, which may be JSON. Raises IdentityError and BodyTooLarge."""
    _require_json(content_type)
    if content_encoding:
        data = inflate(data, content_encoding.strip().lower(), limit)
    if data.startswith(b"\xef\xbb\xbf"):
        raise IdentityError("the body starts with a byte-order mark")
    return data


def inflate(data: bytes, coding: str, limit: int) -> bytes:
    """Undo one content coding (RFC 9110 8.4.1), never holding more than `limit` + 1 bytes of the result.

    Raises IdentityError for a coding or a stream that cannot be read, BodyTooLarge past `limit`.
    """
    if coding == "identity":
        return data
    window = _WINDOW.get(coding)
    if window is None:
        raise IdentityError("the body has a Content-Encoding other than gzip or deflate")
    try:
        return _inflate(data, window, limit)
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


def _require_json(content_type: str | None) -> None:
    if content_type is None or content_type == "application/json":
        return
    media_type, *parameters = content_type.lower().split(";")
    media_type = media_type.strip()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise IdentityError("the body's Content-Type is not JSON")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            raise IdentityError("the body's charset is not UTF-8")
