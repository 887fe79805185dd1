# Answers of the admin listener, and the reading of what it is asked.

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web

from gateway.errors import GatewayError
from gateway.process.admin.shapes import Failure

T = TypeVar("T", bound=msgspec.Struct)

JSON = "application/json"
LINES = "application/x-ndjson"
MAX_BODY = 64 * 1024
"""Bytes of what is sent to change something."""
_CURSOR = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_ENCODER = msgspec.json.Encoder()


class Refused(GatewayError):
    """Something that is not done. The text says why, and has nothing of what was sent but names and addresses."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


def answer(shape: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with a struct as JSON."""
    return web.Response(body=_ENCODER.encode(shape), status=status, headers=headers, content_type=JSON)


def failure(status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer why something was not done."""
    return answer(Failure(why), status, headers)


async def read_body(request: web.Request, shape: type[T], limit: int) -> T:
    """Read a JSON body of at most `limit` bytes. Raises Refused."""
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > limit:
                raise too_large(limit)
    except (web.RequestPayloadError, ConnectionError):
        raise Refused(400, "The body broke off.") from None
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise Refused(400, f"The body is not as it should be: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "The body is not JSON.") from None


def too_large(limit: int) -> Refused:
    """Say that a body is too large."""
    return Refused(413, f"The body is larger than {limit} bytes.", {"Connection": "close"})


def read_cursor(text: str | None) -> bytes:
    """Where a page begins; b"" for the first one. Raises Refused."""
    if text is not None and not _CURSOR.fullmatch(text):
        raise Refused(400, "The cursor is not the `next` of an earlier page.")
    return bytes.fromhex(text or "")


def read_query(request: web.Request, shape: type[T]) -> T:
    """Read the parameters of a query, each at most once. Raises Refused."""
    query = request.query
    if len(set(query)) != len(query):
        raise Refused(400, "A parameter of the query is there more than once.")
    try:
        return msgspec.convert(dict(query), shape, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, f"The query is not as it should be: {error}.") from None
