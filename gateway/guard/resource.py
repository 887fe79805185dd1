# Where a created thing lives, read from the API's answer. Pure.

import re
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import Wanted, find, read_json, want
from gateway.guard.content import CODINGS, BodyFormats
from gateway.guard.field import Field, Source, parse_field
from gateway.http.headers import Headers
from gateway.model import Json

_PLACE = re.compile(r"\{([^{}]*)\}")
MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read for its resource; a larger one simply has no link."""
ANSWER_FORMATS = BodyFormats(MAX_ANSWER, frozenset({""}), CODINGS)
"""An answer without a Content-Type is taken for JSON, which it must be in full to say anything."""
MAX_LINK = 2048
"""Characters of a link that are kept; the store is no place for longer ones."""


class Resource(msgspec.Struct, frozen=True):
    """A parsed `resource`: literal text and fields in turns."""

    parts: tuple[str | Field, ...]
    body: Wanted | None = None
    """What is read from a body; None when nothing is."""

    @property
    def reads_body(self) -> bool:
        """Whether it needs the body."""
        return self.body is not None


def parse_resource(text: str) -> Resource:
    """Read "header.Location", or a template such as "/users/{body.id}" over the answer's header and body fields.

    Raises ValueError with a text that says what would be right.
    """
    if text.startswith("header."):
        return Resource((_answer_field(text),))
    if not text.startswith(("/", "http://", "https://")):
        raise ValueError(f'"{text}" is no link; write "header.Location", or a template such as "/users/{{body.id}}"')
    pieces = _PLACE.split(text)
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise ValueError(f'"{text}" has a brace without its partner; write {{body.id}}')
    parts = [piece if at % 2 == 0 else _answer_field(piece) for at, piece in enumerate(pieces)]
    in_body = [part.keys for part in parts if isinstance(part, Field) and part.source is Source.BODY]
    return Resource(tuple(parts), want(in_body) if in_body else None)


def _answer_field(text: str) -> Field:
    field = parse_field(text)
    if field.source not in {Source.BODY, Source.HEADER}:
        raise ValueError(f'"{text}" is not in an answer; only header and body fields are')
    return field


def locate(resource: Resource, headers: Headers, body: bytes) -> str | None:
    """Fill a resource from an answer; None when any part of it is missing, or could not stand in a link."""
    try:
        document: Json = None
        if resource.body is not None:
            if len(body) > MAX_ANSWER:
                return None
            document = read_json(body, *content_of(headers), ANSWER_FORMATS, resource.body)
        values = [value_of(part, headers, document) for part in resource.parts]
    except (IdentityError, BodyTooLarge):
        return None
    return make_link(resource, values)


def value_of(part: str | Field, headers: Headers, document: Json) -> Json:
    """The value of one part in an answer. Raises IdentityError for one that is not in its body."""
    if isinstance(part, str):
        return part
    return _last(headers, part.header) if part.source is Source.HEADER else find(document, part.keys, part.text)


def make_link(resource: Resource, values: Sequence[Json]) -> str | None:
    """Put the values of all parts together; None when any of them could not stand in a link."""
    if len(values) == 1:  # a header that is the whole link is a URL already
        link = str(values[0]) if isinstance(values[0], str | int) and not isinstance(values[0], bool) else ""
    else:
        pieces = []
        for part, value in zip(resource.parts, values, strict=True):
            if isinstance(part, str):
                pieces.append(part)
                continue
            if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
                return None
            if value in {".", ".."}:
                return None  # it would be a dot segment (RFC 3986 5.2.4): that names another thing
            pieces.append(quote(value, safe="") if isinstance(value, str) else str(value))
        link = "".join(pieces)
    return link if 0 < len(link) <= MAX_LINK and link.isprintable() else None


def content_of(headers: Headers) -> tuple[str | None, str | None]:
    """The values of an answer's Content-Type and Content-Encoding."""
    return _last(headers, b"content-type"), _last(headers, b"content-encoding")


def _last(headers: Headers, wanted: bytes) -> str | None:
    values = headers.values(wanted)
    return values[-1].decode("latin-1") if values else None
