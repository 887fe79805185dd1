# Reading a few elements of an XML text, by their local names. Pure.
#
# expat reads it as it comes; nothing is built of it. It is read strictly: no DTD and so no entities but the five of XML
# (a text that defines some could grow without bound, or name files), no depth and no number of elements that would hold
# up other requests.

from collections.abc import Iterable
from xml.parsers import expat

import msgspec

from gateway.errors import IdentityError

MAX_DEPTH = 64
"""Levels of nesting that are read."""
MAX_MARKS = 8 * 1024
"""Signs "<" and "=" in a text: each element and attribute has one, and takes its time."""
MAX_TEXT = 16 * 1024
"""Characters of an element's text that are kept."""
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "utf-16"})
"""Those that expat reads by itself."""
_BLANKS = " \t\r\n"
_SEPARATOR = "\n"
"""Put by expat between a namespace and a name: no name has it, and no namespace that anybody writes."""

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
        return "".join(self.pieces).strip(_BLANKS) if self.count == 1 and self.size <= MAX_TEXT else None


def read_xml(data: bytes, charset: str | None, wanted: Iterable[Names]) -> dict[Names, Element]:
    """Read wanted elements of an XML 1.0 text. `charset` is that of its Content-Type (RFC 7303 3), if it names one.

    Raises IdentityError for what is not well-formed, has a DTD, or is nested too deeply or of too many parts.
    """
    encoding = None if charset is None else _known(charset)
    if data.count(b"<") + data.count(b"=") > MAX_MARKS:
        raise IdentityError(f"the body has more than {MAX_MARKS} elements and attributes")
    reading = _Reading(wanted)
    # A byte-order mark says which UTF-16 it is; expat would take the name alone for one of the two.
    parser = expat.ParserCreate(None if encoding == "utf-16" else encoding, namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.XmlDeclHandler = _declared
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.add
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise IdentityError("the body is not well-formed XML") from None
    return reading.found


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

    def start(self, name: str, _attributes: object) -> None:
        way = self._way
        way.append(name.rpartition(_SEPARATOR)[2])
        if len(way) > MAX_DEPTH:
            raise IdentityError(f"the body is nested deeper than {MAX_DEPTH} levels")
        element = self._present()
        if element is not None:
            element.count += 1

    def end(self, _name: str) -> None:
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
