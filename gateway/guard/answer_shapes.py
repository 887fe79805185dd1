# The gateway's own answers in an API's own language: templates over the members of a problem. Pure.

import re
import xml.parsers.expat
from collections.abc import Callable, Mapping
from functools import lru_cache
from html import escape

import msgspec

from gateway.http.existing import ACCEPTED
from gateway.http.html_page import is_page_address
from gateway.http.problem import TYPE, Problem, Reply

SLUGS = (
    *("duplicate", ACCEPTED, "in-progress", "outcome-unknown", "key-reused", "missing-identity", "key-missing"),
    *("key-malformed", "body-too-large", "request-incomplete", "store-unavailable", "overloaded"),
    *("spool-unavailable", "upstream-unreachable", "duplicate-in-batch", "too-many-items"),
)
"""The answers that a rule can shape: all that a create can get from the gateway once its rule is known."""
MEMBERS = (
    *[field.encode_name for field in msgspec.structs.fields(Problem) if field.encode_name != "conflicts"],
    "slug",
)
"""What a template may name: all that is a text or a number."""
KNOWN_TYPES = "application/json, application/xml, text/xml, anything with +json or +xml, text/html and text/plain"
_LINK = "existingResourceLink"
_PLACE = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 # RFC 9110 5.6.2
_MEDIA_TYPE = re.compile(rf'({_TOKEN}/{_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*)')
_CHARSET = re.compile(r';[ \t]*charset="?([^";]*)', re.IGNORECASE)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may contain (XML 1.0, 2.2)."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class Language(msgspec.Struct, frozen=True):
    """What bodies of a media type are written in."""

    escape: Callable[[str], str]
    """Makes a value stand for itself there."""
    check: Callable[[bytes], None]
    """Raises ValueError for a body that is none, with what is wrong."""
    is_page: bool = False
    """Whether browsers show it, and people follow its links."""


class AnswerShape(msgspec.Struct, frozen=True, eq=False):
    """One answer as a rule wants it; what is absent stays as it is."""

    status: int | None = None
    content_type: str | None = None
    fields: bytes = b""
    """More field lines."""
    parts: tuple[str, ...] = ()
    """Its body: literal text and names of members in turns; empty for the problem's own."""


def make_shape(
    status: int | None, content_type: str | None, headers: Mapping[str, str], body: str | None
) -> AnswerShape:
    """Make a shape of values that were found free of problems."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("ascii")
    return AnswerShape(status, content_type, fields, () if body is None else split_template(body))


def shape_reply(shape: AnswerShape, reply: Reply) -> Reply:
    """Give an answer the shape that a rule wants."""
    document = reply.document
    if document is None:
        return reply
    if document.conflicts is not None:  # too long to be kept
        return _shaped(shape, reply, document)
    return _shape_reply(shape, reply, document)


def _shaped(shape: AnswerShape, reply: Reply, document: Problem) -> Reply:
    if shape.status is not None:
        document = msgspec.structs.replace(document, status=shape.status)
    content_type = shape.content_type or reply.content_type
    if shape.parts:
        body = _fill(shape.parts, document, reply.slug, language_of(content_type))
    else:
        body = reply.body if document is reply.document else msgspec.json.encode(document)
    has_other_forms = shape.content_type is None
    return reply.in_form(document.status, content_type, body, shape.fields, document if has_other_forms else None)


_shape_reply = lru_cache(maxsize=1024)(_shaped)  # duplicates come in bursts, and are the same answer then


def language_of(content_type: str) -> Language:
    """How bodies of a media type (RFC 9110 8.3.1) are filled. Raises ValueError with a text that says what is right."""
    read = _MEDIA_TYPE.fullmatch(content_type)
    if read is None:
        raise ValueError(f'"{content_type}" is no media type; write one such as "application/json"')
    charset = _CHARSET.search(read[2])
    if charset and charset[1].lower() != "utf-8":
        raise ValueError(f'every body is sent in UTF-8, and "{content_type}" says otherwise; leave the charset out')
    kind = read[1].lower()
    language = _LANGUAGES.get(kind) or _LANGUAGES.get(f"+{kind.rpartition('+')[2]}")
    if language is None:
        raise ValueError(f'"{kind}" is no type whose bodies can be filled; known are {KNOWN_TYPES}')
    return language


def split_template(text: str) -> tuple[str, ...]:
    """Split a body into literal text and names of members in turns. Raises ValueError for a name that is no member's.

    Any other brace is literal.
    """
    parts = tuple(_PLACE.split(text))
    for name in parts[1::2]:
        if name not in MEMBERS:
            raise ValueError(f"{{{name}}} names no member of a problem; there are {', '.join(MEMBERS)}")
    return parts


def check_template(parts: tuple[str, ...], language: Language) -> None:
    """Fill a body with ordinary values, with none, and with hostile ones. Raises ValueError if it is broken by any."""
    for document in (_ORDINARY, _SPARSE, *_HOSTILE):
        language.check(_fill(parts, document, "duplicate", language))


def _fill(parts: tuple[str, ...], document: Problem, slug: str, language: Language) -> bytes:
    """Fill a body. A member that the problem does not have is empty."""
    members = {**msgspec.to_builtins(document), "slug": slug}
    if language.is_page and not is_page_address(members.get(_LINK, "")):
        members[_LINK] = ""
    filled = [language.escape(str(members.get(part, ""))) if at % 2 else part for at, part in enumerate(parts)]
    return "".join(filled).encode()


def _in_json(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _in_xml(text: str) -> str:
    return escape(_NOT_XML.sub("", text))


def _as_text(text: str) -> str:
    return _CONTROL.sub("", text)


def _check_json(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(
            f'is no JSON once its members are filled in ({error}); put each within quotes, as in "text": "{{detail}}"'
        ) from None


def _check_xml(body: bytes) -> None:
    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise ValueError(f'is sent in UTF-8, and its first line says "{encoding}"; write encoding="UTF-8"')

    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.XmlDeclHandler = declared
    try:
        parser.Parse(body, True)  # expat names no parameters
    except xml.parsers.expat.ExpatError as error:
        raise ValueError(
            f"is no well-formed XML once its members are filled in ({error}); put each between tags, or within the "
            "quotes of an attribute"
        ) from None


def _check_nothing(_: bytes) -> None:
    """Take anything: no reader of this kind refuses a body."""


_JSON = Language(_in_json, _check_json)
_XML = Language(_in_xml, _check_xml)
_LANGUAGES: Mapping[str, Language] = {
    "application/json": _JSON,
    "+json": _JSON,
    "application/xml": _XML,
    "text/xml": _XML,
    "+xml": _XML,
    "application/xhtml+xml": Language(_in_xml, _check_xml, is_page=True),
    "text/html": Language(_in_xml, _check_nothing, is_page=True),
    "text/plain": Language(_as_text, _check_nothing),
}


def _document(text: str) -> Problem:
    return Problem(
        type=TYPE + text, title=text, status=409, detail=text, rule=text, conflict_field=text,
        existing_resource_link=text, suggested_next_step=text, first_seen=text, expires_at=text,
    )  # fmt: skip


_ORDINARY = _document("nothing but words")
_SPARSE = Problem(type=TYPE, title="", status=409, detail="")
_HOSTILE = [_document(text) for text in ('"', "\\", "'><!---->]]>&quot;&", '"}{detail}\r\n\x00\u2028', "--", "null")]
"""Values that end a string, a tag, a comment or a line where they are not escaped."""
