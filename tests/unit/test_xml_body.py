# Elements of XML bodies: read strictly, or not at all.

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyTooLarge, CodingNotAccepted, IdentityError
from gateway.guard.condition import Found
from gateway.guard.content import BodyFormats
from gateway.guard.strict_xml import MAX_DEPTH, MAX_TEXT
from gateway.guard.xml_body import MAX_PARTS, XmlBody, is_xml, read_xml_body, xml_ways
from tests.support.unit import patience

FORMATS = BodyFormats(limit=2**20, codings=("gzip",))
EMAIL = ("User", "email")
TYPE = "application/xml"


def read(data: bytes | str, *paths: tuple[str, ...], content_type: str = TYPE, coding: str | None = None) -> XmlBody:
    way = xml_ways(paths or [EMAIL])
    assert way is not None
    return read_xml_body(data if isinstance(data, bytes) else data.encode(), content_type, coding, FORMATS, way)


def value(data: bytes | str, *names: str, content_type: str = TYPE) -> str:
    names = names or EMAIL
    return read(data, names, content_type=content_type).find_value(names, "xml.it")


@pytest.mark.parametrize(
    "data",
    [
        "<User><email>ada</email></User>",
        '<User xmlns="urn:x"><email>ada</email></User>',
        '<x:User xmlns:x="urn:x"><x:email>ada</x:email></x:User>',
        '<User><q:email xmlns:q="urn:q">ada</q:email></User>',
        "\ufeff<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<User>\r\n <email>ada</email>\r\n</User>\r\n",
        "<!-- a --><?p?><User><!-- b --><?p?><![CDATA[x]]><name>e</name><email>ada</email>tail</User><!-- c -->",
        "<User><email>&#97;d&#x61;</email></User>",
        "<User><email lang='de' xml:lang='de'>ada</email></User>",
        "<User><email xmlns:i='urn:instance' i:nil='false' i:type='xsd:string'>ada</email></User>",
        "<User href='/users/7'><email>ada</email></User>",
        "<User><contact><email>eve</email></contact><email>ada</email><Name>n</Name><name>m</name></User>",
        "<User><tag/><tag/><email>ada</email></User>",
    ],
)
def test_an_element_is_found_by_local_names_whatever_stands_beside_it(data: str) -> None:
    assert value(data) == "ada"


def test_a_value_is_the_text_as_it_is() -> None:
    assert value("<User><email/></User>") == ""
    assert value("<User><email></email></User>") == ""
    assert value("<User><email> a\r\nb&lt;&amp;\t</email></User>") == " a\nb<&\t"
    assert value("<User><email>" + "&#228;\n" * 1000 + "</email></User>") == "ä\n" * 1000
    assert value("<a>x</a>", "a") == "x"
    assert value("<ü><ñ-1.x>x</ñ-1.x></ü>", "ü", "ñ-1.x") == "x"


ABSENT = ["<User/>", "<User><x><email>a</email></x></User>", "<email>a</email>", "<x><User><email>a</email></User></x>"]


@pytest.mark.parametrize("data", ABSENT)
def test_what_is_not_there_is_absent_for_certain(data: str) -> None:
    with pytest.raises(IdentityError, match=r"xml\.it is absent") as raised:
        value(data)
    assert raised.value.is_absent


IN_TWO_WAYS = [
    ("<User><email>a</email><email>a</email></User>", "more than once"),
    ("<User><email>a</email><x/><Email>b</Email></User>", "more than once"),
    ("<User><email>a</email><q:email xmlns:q='u'>b</q:email></User>", "more than once"),
    ("<r:User xmlns:r='u'><email/><r:EMAIL/></r:User>", "more than once"),
    ("<User><Email>a</Email></User>", "differs only in case"),
    ("<user><email>a</email></user>", "differs only in case"),
    ("<User email='b'><email>a</email></User>", "as an attribute"),
    ("<User EMAIL='b'/>", "as an attribute"),
    ("<User><email>a<!-- -->b</email></User>", "a comment, a CDATA section"),
    ("<User><email><?p?>a</email></User>", "a processing instruction"),
    ("<User><email><![CDATA[a]]></email></User>", "a CDATA section"),
    ("<User><email>a<b>c</b>d</email></User>", "has elements within it"),
    ("<User><email><email>a</email></email></User>", "has elements within it"),
    ("<User><email> \n </email></User>", "white space alone"),
    ("<User><email nil='true'>a</email></User>", "said to be nil"),
    ("<User xmlns:i='u' i:nil='1'><email>a</email></User>", "said to be nil"),
    ("<User href='#1'/>", "elsewhere"),
    ("<User><email href='cid:x'/></User>", "elsewhere"),
    ("<User><email xmlns:e='http://www.w3.org/2003/05/soap-encoding' e:ref='x'/></User>", "elsewhere"),
    ("<User><i:include xmlns:i='http://www.w3.org/2001/XInclude' href='x'/><email>a</email></User>", "elsewhere"),
    ("<User><email type='xsd:base64Binary'>YQ==</email></User>", "decode it"),
    ("<User><email>" + "x" * (MAX_TEXT + 1) + "</email></User>", "longer than 16384 characters"),
    ("<!DOCTYPE User><User><email>a</email></User>", "has a DTD"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]><User><email>&b;</email></User>", "has a DTD"),
    ("<User><email>&b;</email></User>", "not well-formed"),
    ("<User><x:email>a</x:email></User>", "not well-formed"),
    ("<User><email>a</email></User><User/>", "not well-formed"),
    ("<User><email>a</email>", "not well-formed"),
    ("{}", "not well-formed"),
    ("", "not well-formed"),
    ("\ufeff\ufeff<User/>", "not well-formed"),
    (b"<User><email>\xe9</email></User>", "not well-formed"),
    (b"<User><email>\xed\xa0\x80</email></User>", "not well-formed"),
    ("<User><email>&#0;</email></User>", "not well-formed"),
    ("<User><email>a</email></User>".encode("utf-16"), "holds NUL"),
    (b"\xfe\xff" + "<User><email>a</email></User>".encode("utf-16-be"), "holds NUL"),
    ("<User><email>a</email></User>".encode("utf-16-le"), "holds NUL"),
    ("<?xml version='1.1'?><User><email>a</email></User>", "another version of XML"),
    ("<?xml version='1.0' encoding='utf-16'?><User/>", "another charset"),
    ("<?xml version='1.0' encoding='iso-8859-1'?><User/>", "another charset"),
    ("<?xml version='1.0' encoding='utf-7'?><User/>", "another charset"),
    ("<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1), "deeper than 64"),
    ("<User>" + "<b/>" * MAX_PARTS + "</User>", "more than 16384 elements"),
]


@pytest.mark.parametrize(("data", "reason"), IN_TWO_WAYS)
def test_what_readers_differ_in_is_refused_and_never_absent(data: str | bytes, reason: str) -> None:
    with pytest.raises(IdentityError, match=reason) as raised:
        value(data)
    assert not raised.value.is_absent


def test_what_is_odd_elsewhere_is_no_matter() -> None:
    data = "<User><a nil='true'/><b><![CDATA[x]]></b><c>x<d/>y</c><e/><E/><email>ada</email></User>"
    assert value(data) == "ada"
    found = read(data, ("User", "a"), ("User", "e"), EMAIL)
    assert found.find_value(EMAIL, "") == "ada"
    for names in (("User", "a"), ("User", "e")):
        with pytest.raises(IdentityError):
            found.find_value(names, "")


def test_a_condition_may_ask_whether_an_element_is_there_whatever_is_in_it() -> None:
    create = ("Envelope", "Body", "CreateUser")
    data = "<s:Envelope xmlns:s='u'><s:Body><CreateUser><email>a</email></CreateUser></s:Body></s:Envelope>"
    found = read(data, create, (*create, "email"), ("Envelope", "Body", "GetUser"))
    assert found.look(create, "x") is Found.THERE
    assert found.look((*create, "email"), "x") == "a"
    assert found.find_value((*create, "email"), "x") == "a"
    with pytest.raises(IdentityError) as raised:
        found.look(("Envelope", "Body", "GetUser"), "x")
    assert raised.value.is_absent
    with pytest.raises(IdentityError) as raised:
        read(data.replace("CreateUser", "createUser"), create).look(create, "x")
    assert not raised.value.is_absent


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        *[(kind, True) for kind in ("text/xml", "Application/XML; charset=utf-8", "application/soap+xml;action=x")],
        *[(kind, False) for kind in (None, "", "xml", "text/html", "application/json", "text/xmlx", "a/+xml", "+xml")],
    ],
)
def test_what_is_said_to_be_xml_is(content_type: str | None, is_it: bool) -> None:
    assert is_xml(content_type) is is_it


@pytest.mark.parametrize(
    "parameters", ["charset=utf-16", "charset=iso-8859-1", 'charset="us-ascii"', "charset*=x", "x"]
)
def test_another_charset_by_the_type_is_refused(parameters: str) -> None:
    with pytest.raises(IdentityError, match=r"charset|Content-Type"):
        value("<User><email>a</email></User>", content_type=f"text/xml; {parameters}")


def test_content_codings_are_those_of_the_rule() -> None:
    data = gzip.compress(b"<User><email>ada</email></User>")
    assert read(data, coding="gzip").find_value(EMAIL, "") == "ada"
    with pytest.raises(CodingNotAccepted):
        read(data, coding="deflate")
    with pytest.raises(BodyTooLarge):
        read(gzip.compress(b" " * 2**21), coding="gzip")


@pytest.mark.parametrize(
    "data",
    [
        b"<User>" + b"\n" * 2**20 + b"<email>a</email></User>",
        b"<User>" + b"&amp;" * 200_000 + b"<email>a</email></User>",
        b"<User><email>" + b"\n" * 2**20 + b"</email></User>",
        b"<User " + b" ".join([b'a%d=""' % at for at in range(MAX_PARTS - 10)]) + b"/>",
        b"<User " + b" ".join([b'xmlns:a%d="u%d"' % (at, at) for at in range(MAX_PARTS - 10)]) + b"/>",
        b"<User>" + b"<b><c/></b>" * (MAX_PARTS // 3 - 10) + b"</User>",
        b"<User><email>" + b"<!-- -->x" * (MAX_PARTS - 10) + b"</email></User>",
        b"<User a='" + b"x" * 2**20 + b"'/>",
        b"<" + b"x" * 2**20 + b"/>",
    ],
)
def test_no_text_of_a_mebibyte_takes_long(data: bytes) -> None:
    with patience(), contextlib.suppress(IdentityError):
        value(data)


parts = st.sampled_from(
    [b"<User>", b"<email>", b"</email>", b"</User>", b"<x:User xmlns:x='u'>", b"</x:User>", b"<Email/>", b"a", b" ",
     b"<!--x-->", b"<![CDATA[x]]>", b"<?x?>", b"&amp;", b"&#10;", b"<User nil='1'>", b"\xff", b"<?xml version='1.0'?>"]
)  # fmt: skip


@given(st.one_of(st.binary(), st.lists(parts).map(b"".join)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(IdentityError):
        assert isinstance(value(data), str)


@pytest.mark.parametrize("end", ["<?x?>", "<!--x-->", "<![CDATA[x]]>", "<x/>", ""])
def test_a_text_that_is_too_long_and_ends_at_anything_ends_no_process(end: str) -> None:
    """Python's expat calls nothing, and so crashes, where a handler is taken away while text is told."""
    with pytest.raises(IdentityError):
        value(f"<User><email>{'a' * (MAX_TEXT + 1)}{end}b</email></User>")
