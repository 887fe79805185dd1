# Reading a few elements of an XML body strictly, only to find identities in it. Pure; its original bytes go on.
#
# An element counts only if no other one beside it has its local name, in whatever case and namespace, and if all that
# is in it is text: readers differ in what they make of the rest, or skip it.

import re
from collections.abc import Callable, Iterable

import msgspec

from gateway.errors import IdentityError
from gateway.guard.condition import Found
from gateway.guard.content import BodyFormats, plain
from gateway.guard.form_type import media_type, type_parameters
from gateway.guard.normalize import trim
from gateway.guard.parameters import absent
from gateway.guard.strict_xml import (
    MAX_DEPTH,
    MAX_TEXT,
    XML_BLANKS,
    Names,
    local_name,
    make_parser,
    namespace,
    parse,
    too_deep,
)

MAX_PARTS = 16 * 1024
"""Signs "<" and "=" in a body: each tag and attribute has one, and all other requests wait while they are read."""
XML_TYPES = frozenset({"application/xml", "text/xml"})
_SUFFIX = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+\+xml")
"""RFC 7303 9.2."""
_ENCODED = frozenset({"base64", "base64binary", "binary", "file", "hexbinary", "symbol", "yaml"})
"""Types by which readers without a schema (PHP's SOAP, Rails) decode a text, or take it for something else."""
_OF_OTHERS = ("http://www.w3.org/2001/XInclude", "http://www.w3.org/2003/05/soap-encoding")
"""Namespaces of what stands for something that is elsewhere."""


class XmlWay(msgspec.Struct, frozen=True):
    """What is wanted of an element: its text, or elements in it, by their names in folded case."""

    below: dict[str, "XmlWay"]
    is_value: bool = False


def xml_ways(paths: Iterable[Names]) -> XmlWay | None:
    """Merge paths that start alike; None for none."""
    found = tuple(paths)
    return _merged(found) if found else None


def _merged(paths: tuple[Names, ...]) -> XmlWay:
    rest: dict[str, list[Names]] = {}
    for path in paths:
        if path:
            rest.setdefault(path[0].casefold(), []).append(path[1:])
    return XmlWay({name: _merged(tuple(tails)) for name, tails in rest.items()}, is_value=() in paths)


class XmlElement:
    """What was found of one wanted element. Mutable while the text is read."""

    __slots__ = ("below", "count", "is_attribute", "name", "odd", "pieces", "size", "stands_for", "way")

    def __init__(self, way: XmlWay) -> None:
        self.way = way
        self.count = 0
        """How many elements are there that some reader takes for it."""
        self.name = ""
        self.is_attribute = False
        """Whether what holds it has an attribute of this name."""
        self.stands_for: str | None = None
        """Why some readers look for it elsewhere, or take it for nothing."""
        self.odd: str | None = None
        """Why readers differ in the text of it."""
        self.pieces: list[str] = []
        self.size = 0
        self.below: dict[str, XmlElement] = {}

    def __repr__(self) -> str:
        return f"XmlElement({self.count})"

    def child(self, name: str) -> "XmlElement | None":
        """What is wanted in it under a name, which is one in folded case."""
        found = self.below.get(name)
        if found is None and (way := self.way.below.get(name)) is not None:
            found = self.below[name] = XmlElement(way)
        return found


class XmlBody:
    """The wanted elements of a body."""

    __slots__ = ("_root",)

    def __init__(self, root: XmlElement) -> None:
        self._root = root

    def find_value(self, keys: Names, where: str) -> str:
        """The text of an element as it is; `where` names the field in errors. Raises IdentityError."""
        element = self._element(keys, where)
        if element.odd is not None:
            raise IdentityError(f"{where} {element.odd}")
        text = "".join(element.pieces)
        if text and not trim(text):
            raise IdentityError(f"{where} holds white space alone, which some readers leave out")
        return text

    def look(self, keys: Names, where: str) -> str | Found:
        """The text of an element without blanks around it, for a condition; THERE for one with another content.

        Raises IdentityError.
        """
        self._element(keys, where)
        try:
            return trim(self.find_value(keys, where))
        except IdentityError:
            return Found.THERE

    def _element(self, keys: Names, where: str) -> XmlElement:
        element = self._root
        for key in keys:
            found = element.below.get(key.casefold())
            if found is not None and found.is_attribute:
                raise IdentityError(f"{where} stands there as an attribute, which some readers take for an element")
            if found is None or not found.count:
                raise absent(where)
            if found.count > 1:
                raise IdentityError(f"{where} has an element on the way that stands there more than once")
            if found.name != key:
                raise IdentityError(f"{where} has an element that differs only in case")
            if found.stands_for is not None:
                raise IdentityError(f"{where} {found.stands_for}")
            element = found
        return element


def is_xml(content_type: str | None) -> bool:
    """Whether a body is said to be XML."""
    if content_type is None:
        return False
    kind = media_type(content_type)
    return kind in XML_TYPES or _SUFFIX.fullmatch(kind) is not None


def read_xml_body(
    data: bytes, content_type: str, content_encoding: str | None, formats: BodyFormats, way: XmlWay
) -> XmlBody:
    """Read wanted elements of a body that is said to be XML.

    Raises IdentityError, CodingNotAccepted, and BodyTooLarge when the inflated body exceeds its limit.
    """
    type_parameters(content_type, "the body")
    data = plain(data, content_encoding, formats)
    if b"\0" in data:  # expat finds out UTF-16 by itself, whatever it is told; no tag in that is without these
        raise IdentityError("the body holds NUL, as texts in UTF-16 do")
    reading = _Reading(way)
    parser = make_parser("utf-8", reading, _declared)

    def take_text(add: Callable[[str], None] | None) -> None:
        """Have text told only where it counts: a text of many lines takes long otherwise."""
        reading.takes_text = add is not None
        parser.CharacterDataHandler = add
        odd = None if add is None else reading.note_odd
        parser.StartCdataSectionHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = odd

    reading.take_text = take_text
    try:
        parse(parser, data, MAX_PARTS)
    finally:
        del reading.take_text  # or parser and reading would keep each other until the garbage collector comes
    return XmlBody(reading.root)


def _declared(version: str, encoding: str | None, _standalone: int) -> None:
    if version != "1.0":  # 1.1 has other line ends and other characters
        raise IdentityError("the body is of another version of XML than 1.0")
    if encoding is not None and encoding.lower() != "utf-8":
        raise IdentityError("the body is said to be in another charset than UTF-8")


class _Reading:
    """What has been read so far. Mutable state: the way down to the present element, and what was found."""

    take_text: Callable[[Callable[[str], None] | None], None]

    def __init__(self, way: XmlWay) -> None:
        self.root = XmlElement(way)
        self.takes_text = False
        self._open: list[XmlElement | None] = [self.root]

    def start(self, name: str, attributes: list[str]) -> None:
        above, space = self._open[-1], namespace(name)
        if len(self._open) > MAX_DEPTH:
            raise too_deep()
        if space in _OF_OTHERS:
            raise IdentityError("the body has an element that stands for what is elsewhere")
        element = None if above is None else above.child(local_name(name).casefold())
        self._open.append(element)
        if above is not None and above.way.is_value:
            above.odd = "has elements within it"
            self._take_no_text()
        if element is None:
            return
        element.count += 1
        element.name = local_name(name)
        if attributes:
            _note_attributes(element, attributes)
        if element.way.is_value and element.count == 1:
            self.take_text(self.add)

    def end(self, name: str) -> None:
        self._open.pop()
        self._take_no_text()

    def _take_no_text(self) -> None:
        if self.takes_text:
            self.take_text(None)

    def add(self, text: str) -> None:
        element = self._open[-1]
        if element is None:
            return
        element.size += len(text)
        if element.size > MAX_TEXT:
            # No handler may be taken away here: where text ends at a comment, expat is about to call the one of that,
            # and would call nothing, which ends the process.
            element.odd = f"is longer than {MAX_TEXT} characters"
            element.pieces.clear()
        else:
            element.pieces.append(text)

    def note_odd(self, *_: str) -> None:
        element = self._open[-1]
        if element is not None:
            element.odd = "holds a comment, a CDATA section or a processing instruction, at which some readers end it"


def _note_attributes(element: XmlElement, attributes: list[str]) -> None:
    """Note attributes that change what an element is, and those that are taken for elements in it (Jackson)."""
    for name, value in zip(attributes[::2], attributes[1::2], strict=True):
        local = local_name(name).casefold()
        if local == "nil" and value.strip(XML_BLANKS) not in {"false", "0"}:
            element.stands_for = "is said to be nil, which only some readers take for null"
        elif (local == "href" and value.startswith(("#", "cid:"))) or namespace(name) in _OF_OTHERS:
            element.stands_for = "has an attribute by which some readers look for it elsewhere"
        elif local == "type" and value.rpartition(":")[2].strip(XML_BLANKS).casefold() in _ENCODED:
            element.stands_for = "has a type by which some readers decode it"
        if (child := element.child(local)) is not None:
            child.is_attribute = True
