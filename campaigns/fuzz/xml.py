# XML: against ElementTree, and against the same text with other prefixes, blanks and orders.

from collections.abc import Callable, Iterator, Sequence
from random import Random
from xml.etree import ElementTree as ET

from campaigns.fuzz.common import MIB, OF_VALUES, Broken, Refused, Values, outcome, read_values, repeated, require_same
from gateway.guard.content import BodyFormats
from gateway.guard.field import parse_field
from gateway.guard.normalize import trim
from gateway.guard.xml_body import XmlBody, read_xml_body, xml_ways

FORMATS = BodyFormats(2**22)
FIELDS = tuple(parse_field(f"xml.{way}") for way in ("User.email", "User.name", "User.address.city", "User.address"))
WAY = xml_ways([field.names for field in FIELDS])
XML_TYPE = "application/xml"
_HEADS = ("", "", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n', "<!-- c -->")
_TEXTS = ("a", "ada@example.org", " a ", "é", "&amp;", "&#65;", "&#x1F600;", "a\nb", "", "  ", "1", "&#13;", "a\r\nb")
_ATTRIBUTES = ("", "", "", ' id="1"', ' xmlns="urn:a"', ' xmlns:p="urn:b" p:id="2"', ' xml:lang="en"', ' type="string"')


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _texts(root: ET.Element, names: tuple[str, ...], how: str) -> str | Refused:
    """What a reader finds that takes the first or the last of equal elements, or ignores case."""

    def fits(element: ET.Element, name: str) -> bool:
        local = _local(element.tag)
        return local.casefold() == name.casefold() if how == "folded" else local == name

    if not fits(root, names[0]):
        return Refused("absent")
    for name in names[1:]:
        found = [element for element in root if isinstance(element.tag, str) and fits(element, name)]
        if not found:
            return Refused("absent")
        root = found[0] if how == "first" else found[-1]
    return trim(root.text or "")


def _otherwise(root: ET.Element, valued: set[ET.Element]) -> Iterator[bytes]:
    """The same written anew: with ElementTree's prefixes; then with blanks, and attributes the other way around."""
    yield ET.tostring(root, encoding="utf-8")
    for element in root.iter():
        attributes = list(element.attrib.items())
        element.attrib.clear()
        element.attrib.update(reversed(attributes))
        if element is not root:
            element.tail = "\n  "
        if element not in valued and len(element):
            element.text = "\n\t"
    yield ET.tostring(root, encoding="utf-8", xml_declaration=True)


class Xml:
    """read_xml_body."""

    name: str = "xml"
    tokens: Sequence[bytes] = (
        *(
            b"<",
            b">",
            b"/>",
            b"</",
            b"<User>",
            b"</User>",
            b"<email>",
            b"</email>",
            b"<Email>",
            b"</Email>",
            b"<email/>",
        ),
        *(b"<p:email xmlns:p='urn:p'>", b"</p:email>", b"<name>", b"</name>", b"<address>", b"</address>", b"<city>"),
        *(b"</city>", b"<a>", b"</a>", b"<a/>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?x ?>", b"<!DOCTYPE User>"),
        *(
            b"&amp;",
            b"&lt;",
            b"&#65;",
            b"&#0;",
            b"&e;",
            b" xmlns='urn:a'",
            b" email='b'",
            b" xsi:nil='true'",
            b" nil='1'",
        ),
        *(
            b" type='base64'",
            b" href='#a'",
            b"\r\n",
            b"\n",
            b" ",
            b"=",
            b"'",
            b'"',
            b"\xff",
            b"\xc3\xa9",
            b"\xef\xbb\xbf",
        ),
        *(b"<?xml version='1.0' encoding='utf-8'?>", b" encoding='latin-1'", b"\x00", b":", b" xmlns:p=''"),
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: Callable[..., XmlBody] = read_xml_body) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        def element(name: str, text: str) -> str:
            prefix = random.choice(("", "", "", "p:"))
            bound = ' xmlns:p="urn:p"' if prefix else ""
            return f"<{prefix}{name}{bound}{random.choice(_ATTRIBUTES) if not prefix else ''}>{text}</{prefix}{name}>"

        names = ["email", *random.choices(("name", "a", "Email", "p.q", "email"), k=random.randint(0, 3))]
        parts = [element(name, random.choice(_TEXTS)) for name in names]
        if random.random() < 0.5:
            parts.append(element("address", element("city", random.choice(_TEXTS))))
        random.shuffle(parts)
        return (random.choice(_HEADS) + element("User", random.choice(("", "\n ")).join(parts))).encode()

    def read(self, data: bytes) -> XmlBody:
        return self._read(data, XML_TYPE, None, FORMATS, WAY)

    def _values(self, data: bytes) -> Values:
        return read_values(
            FIELDS, lambda: self.read(data), lambda body, field: body.find_value(field.names, field.text)
        )

    def check(self, data: bytes) -> str:
        values = self._values(data)
        if outcome(values) != "accepted":
            return outcome(values)
        if (
            b"}" in data or b"&#125" in data or b"&#x7d" in data.lower()
        ):  # ElementTree takes it for the end of a namespace
            return outcome(values)
        try:
            root = ET.fromstring(data)
        except ET.ParseError as error:
            raise Broken("ElementTree refuses it", str(error)) from None
        for how in ("first", "last", "folded"):
            require_same(
                f"ElementTree differs, {how} element",
                values,
                {field.text: _texts(root, field.names, how) for field in FIELDS},
            )
        is_lost = any("\r" in (element.text or "") for element in root.iter())  # when written anew
        valued = {element for element in root.iter() if not len(element)}
        for again in () if is_lost else _otherwise(root, valued):
            require_same("the same written anew differs", values, self._values(again))
        return outcome(values)

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)
