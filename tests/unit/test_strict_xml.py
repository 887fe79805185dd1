import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard.strict_xml import MAX_DEPTH, MAX_MARKS, MAX_TEXT, Element, read_xml, xml_charset

FAULT = ("Envelope", "Body", "Fault")
SOAP_11 = b"""<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
  <soap:Body>
    <soap:Fault>
      <faultcode>
        soap:Client
      </faultcode>
      <faultstring>no &quot;name&quot; &#x41;<![CDATA[ <b>]]></faultstring>
    </soap:Fault>
  </soap:Body>
</soap:Envelope>
"""
A = ("a",)


def text(data: bytes, *names: str, charset: str | None = None) -> str | None:
    return read_xml(data, charset, [names])[names].text


def test_elements_are_found_by_their_local_names_and_their_text_without_blanks_around_it() -> None:
    found = read_xml(SOAP_11, "utf-8", [FAULT, (*FAULT, "faultcode"), (*FAULT, "faultstring"), (*FAULT, "detail")])
    assert [element.count for element in found.values()] == [1, 1, 1, 0]
    assert [element.text for element in found.values()] == ["", "soap:Client", 'no "name" A <b>', None]


def test_a_default_namespace_and_another_prefix_make_no_difference() -> None:
    for data in (
        b'<Envelope xmlns="urn:x"><Body/></Envelope>',
        b'<q:Envelope xmlns:q="urn:x y"><q:Body/></q:Envelope>',
    ):
        assert read_xml(data, None, [("Envelope", "Body")])["Envelope", "Body"].count == 1


def test_names_are_those_from_the_root_on_and_case_counts() -> None:
    data = b"<a><b><c>1</c></b><c>2</c></a>"
    assert text(data, "a", "b", "c") == "1"
    assert text(data, "a", "c") == "2"
    assert text(data, "b", "c") is None
    assert text(data, "a", "C") is None


@pytest.mark.parametrize("data", [b"<a><b>1</b><b>2</b></a>", b"<a><x><b/></x><b>1</b><b>1</b></a>"])
def test_of_several_elements_there_is_a_number_and_no_text(data: bytes) -> None:
    assert read_xml(data, None, [("a", "b")])["a", "b"] == Element(2, [*"12"] if b"2" in data else [*"11"], 2)
    assert text(data, "a", "b") is None


def test_text_is_what_stands_directly_in_an_element_whatever_stands_between() -> None:
    assert text(b"<a>so<!-- x -->ap:<?p?>C<b>not</b>lient</a>", "a") == "soap:Client"


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" + b"x" * (MAX_TEXT + 1) + b"</a>",
        b"<a>x" + b" " * MAX_TEXT + b"</a>",
        b"<a>" + b" " * (MAX_TEXT + 1) + b"</a>",
        b"<a>" + b"<!---->x" * 6000 + b"x" * MAX_TEXT + b"</a>",
    ],
)
def test_a_text_that_is_too_long_is_not_kept(data: bytes) -> None:
    element = read_xml(data, None, [A])[A]
    assert element.count == 1
    assert element.text is None
    assert sum(map(len, element.pieces)) <= MAX_TEXT + 16 * 1024


LAUGHS = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "%b">]><a>%b</a>' % (b"&b;" * 1000, b"&c;" * 10_000)


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "http://x/a.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".encode("utf-16"),
    ],
    ids=["entities-of-entities", "bare", "external", "file", "utf-16"],
)
def test_a_dtd_is_refused_before_anything_behind_it_is_read(data: bytes) -> None:
    with pytest.raises(IdentityError, match="has a DTD"):
        read_xml(data, None, [A])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not well-formed"),
        (b"{}", "not well-formed"),
        (b"<a>", "not well-formed"),
        (b"<a></b>", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a>&nbsp;</a>", "not well-formed"),
        (b"<a>\xff</a>", "not well-formed"),
        (b"<x:a/>", "not well-formed"),
        (b'<a b="" b=""/>', "not well-formed"),
        (b"<a>\0</a>", "not well-formed"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a/>', "charset is not known"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "charset is not known"),
        (b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "nested deeper than 64 levels"),
        (b"<a>" + b"<b/>" * MAX_MARKS + b"</a>", "more than 8192 elements and attributes"),
        (b"<a " + b" ".join([b'b%d=""' % at for at in range(MAX_MARKS)]) + b"/>", "more than 8192 elements"),
    ],
)
def test_what_cannot_be_read_quickly_and_in_one_way_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(IdentityError, match=reason):
        read_xml(data, None, [A])


def test_as_many_levels_as_may_be_are_read() -> None:
    names = ("a",) * MAX_DEPTH
    assert text(b"<a>" * MAX_DEPTH + b"1" + b"</a>" * MAX_DEPTH, *names) == "1"


def test_a_text_is_read_in_the_charset_that_its_type_names_then_in_the_one_it_declares() -> None:
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")
    assert text(latin, "a") == "é"
    assert text("<a>é</a>".encode("latin-1"), "a", charset="ISO-8859-1") == "é"
    assert text("<a>é</a>".encode(), "a") == "é"
    assert text("\ufeff<a>é</a>".encode(), "a") == "é"
    for charset in (None, "utf-16"):
        assert text("<a>é</a>".encode("utf-16"), "a", charset=charset) == "é"
    with pytest.raises(IdentityError, match="charset is not known"):
        read_xml(b"<a/>", "klingon", [A])


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        (None, None),
        ("text/xml", None),
        ("application/xml", None),
        ("application/soap+xml; action=x", None),
        ('Text/XML; Charset="UTF-8"', "utf-8"),
        ("text/xml;charset=iso-8859-1", "iso-8859-1"),
    ],
)
def test_the_charset_is_that_of_a_type_of_xml(content_type: str | None, charset: str | None) -> None:
    assert xml_charset(content_type) == charset


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "", "xml", "text/xmlx"])
def test_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(IdentityError, match="Content-Type is not XML"):
        xml_charset(content_type)


parts = st.sampled_from(
    [b"<", b">", b"</a>", b"<a>", b"<a b='1'>", b"<b/>", b"&amp;", b"&x;", b"<![CDATA[", b"]]>", b"<!--", b"-->",
     b"<?xml version='1.0'?>", b"<!DOCTYPE a>", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b" ", b"x", b"xmlns:a='b'", b"a:"]
)  # fmt: skip


@given(st.one_of(st.binary(), st.lists(parts).map(b"".join)), st.sampled_from([None, "utf-8", "utf-16", "us-ascii"]))
def test_any_bytes_are_read_or_refused(data: bytes, charset: str | None) -> None:
    try:
        found = read_xml(data, charset, [A, ("a", "a")])
    except IdentityError:
        return
    assert set(found) == {A, ("a", "a")}


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r", categories=("L", "N", "P", "S", "Zs"))))
def test_any_text_that_is_escaped_comes_back(value: str) -> None:
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert text(f"<a>{escaped}</a>".encode(), "a") == value.strip(" \t\r\n")
