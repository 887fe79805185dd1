# Reading a few elements of an XML text, by their local names. Pure.
#
# expat reads it as it comes; nothing is built of it. It is read strictly: no DTD and so no entities but the five of XML
# (a text that defines some could grow without bound, or name files), no depth and no number of elements that would hold
# up other requests. Bodies of requests are read by the same reader, and more strictly, in xml_body.py.

import re
from collections.abc import Callable, Iterable
from typing import Protocol
from xml.parsers import expat

import msgspec

from gateway.errors import IdentityError

MAX_DEPTH = 64
"""Levels of nesting that are read."""
MAX_MARKS = 8 * 1024
"""Signs "<" and "=" in an answer: each element and attribute has one, and takes its time."""
MAX_TEXT = 16 * 1024
"""Characters of an element's text that are kept."""
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "utf-16"})
"""Those that expat reads by itself."""
XML_BLANKS = " \t\r\n"
"""White space (XML 1.0, 2.3)."""
_SEPARATOR = "\n"
"""Put by expat between a namespace and a name: no name has it, and no namespace that anybody writes."""

_LOCAL_NAME = re.compile(r"[^\W\d][\w.\u00b7-]*")

Names = tuple[str, ...]
"""The local names of an element and all above it, from the root on."""


class Element(msgspec.Struct):
    """What was found under one path of names. Mutable while the text is read."""

    count: int = 0
    """How many elements there are."""
    pieces: list[str] = []
    """The text that stands directly in them."""
    size: int = 0

    @property
    def text(self) -> str | None:
        """The text without blanks around it; None for more than MAX_TEXT characters, or several elements."""
        return "".join(self.pieces).strip(XML_BLANKS) if self.count == 1 and self.size <= MAX_TEXT else None


class Reading(Protocol):
    """What takes the elements of a text as they come."""

    def start(self, name: str, attributes: list[str]) -> None:
        """An element begins; names have their namespace before them (local_name), and attributes their value behind."""

    def end(self, name: str) -> None:
        """It ends."""


def read_xml(data: bytes, charset: str | None, wanted: Iterable[Names]) -> dict[Names, Element]:
    """Read wanted elements of an XML 1.0 text. `charset` is that of its Content-Type (RFC 7303 3), if it names one.

    Raises IdentityError for what is not well-formed, has a DTD, or is nested too deeply or of too many parts.
    """
    encoding = None if charset is None else _known(charset)
    reading = _Reading(wanted)
    # A byte-order mark says which UTF-16 it is; expat would take the name alone for one of the two.
    parser = make_parser(None if encoding == "utf-16" else encoding, reading, _declared)
    parser.CharacterDataHandler = reading.add
    parse(parser, data, MAX_MARKS)
    return reading.found


def make_parser(
    encoding: str | None, reading: Reading, declared: Callable[[str, str | None, int], None]
) -> expat.XMLParserType:
    """Make a parser for one text. `declared` gets version and encoding of its first line, and may refuse it."""
    parser = expat.ParserCreate(encoding, namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.XmlDeclHandler = declared
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    return parser


def parse(parser: expat.XMLParserType, data: bytes, most_marks: int) -> None:
    """Have a text read that has at most so many signs "<" and "=". Raises IdentityError."""
    if data.count(b"<") + data.count(b"=") > most_marks:
        raise IdentityError(f"the body has more than {most_marks} elements and attributes")
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise IdentityError("the body is not well-formed XML") from None


def local_name(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(_SEPARATOR)[2]


def is_local_name(name: str) -> bool:
    """Whether an element can have a name, without its namespace (Namespaces in XML 1.0, 4)."""
    return _LOCAL_NAME.fullmatch(name) is not None


def namespace(name: str) -> str:
    """The namespace of a name; empty for none."""
    return name.rpartition(_SEPARATOR)[0]


def too_deep() -> IdentityError:
    """Say that a text has more than MAX_DEPTH levels."""
    return IdentityError(f"the body is nested deeper than {MAX_DEPTH} levels")


def xml_charset(content_type: str | None) -> str | None:
    """The charset that a Content-Type of XML (RFC 7303) names, if it names one; None counts as XML, as with JSON.

    Raises IdentityError for another type.
    """
    if content_type is None:
        return None
    media_type, *parameters = content_type.lower().split(";")
    if media_type.strip() not in {"application/xml", "text/xml"} and not media_type.strip().endswith("+xml"):
        raise IdentityError("the body's Content-Type is not XML")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"')
    return None


def _known(charset: str) -> str:
    charset = charset.lower()
    if charset not in _CHARSETS:
        raise IdentityError("the body's charset is not known")
    return charset


def _declared(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None:
        _known(encoding)


def _refuse_dtd(*_: object) -> None:
    raise IdentityError("the body has a DTD")


class _Reading:
    """What has been read so far. Mutable state: the way down to the present element, and what was found."""

    def __init__(self, wanted: Iterable[Names]) -> None:
        self.found = {names: Element() for names in wanted}
        self._deepest = max(map(len, self.found), default=0)
        self._way: list[str] = []

    def start(self, name: str, attributes: list[str]) -> None:
        way = self._way
        way.append(local_name(name))
        if len(way) > MAX_DEPTH:
            raise too_deep()
        element = self._present()
        if element is not None:
            element.count += 1

    def end(self, name: str) -> None:
        self._way.pop()

    def add(self, text: str) -> None:
        element = self._present()
        if element is None:
            return
        if element.size <= MAX_TEXT:
            element.pieces.append(text)
        element.size += len(text)

    def _present(self) -> Element | None:
        return self.found.get(tuple(self._way)) if len(self._way) <= self._deepest else None
