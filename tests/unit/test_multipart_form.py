# Forms of several parts: what is read, and every way in which servers would read something else.

import asyncio
import hashlib
from typing import Any

import aiohttp
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import IdentityError
from gateway.guard.identity import RequestView, identify
from gateway.guard.multipart_form import MAX_FILES, MAX_HEADS, MAX_PARTS
from gateway.model import Json
from tests.support.unit import request, rule

TYPE = "multipart/form-data; boundary=b0undary"
EMAIL = b'form-data; name="email"'
DOC = b'form-data; name="doc"; filename="a.txt"'


def part(disposition: bytes, content: bytes = b"a", *lines: bytes) -> bytes:
    head = b"\r\n".join([b"Content-Disposition: " + disposition, *lines])
    return b"--b0undary\r\n%b\r\n\r\n%b\r\n" % (head, content)


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b0undary--\r\n"


def of(field: str, data: bytes, kind: str = TYPE) -> Json:
    asked = RequestView(request(b"x", ("Content-Type", kind)).headers, "", {}, data)
    _, (identity,) = identify(rule(unique=(UniqueConfig(name="it", fields=(field,)),)), asked)
    return identity.values[0]


def unreadable(field: str, data: bytes, kind: str = TYPE) -> IdentityError:
    with pytest.raises(IdentityError) as raised:
        of(field, data, kind)
    return raised.value


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (body(part(EMAIL)), "a"),
        (body(part(EMAIL))[:-2], "a"),
        (body(part(b'form-data; name="x"'), part(EMAIL, "é".encode()), part(DOC)), "é"),
        (body(part(b"form-data; name=email")), "a"),
        (body(part(b'form-data;name="email"')), "a"),
        (body(part(EMAIL, b"")), ""),
        (body(part(EMAIL, b"a", b"Content-Type: text/plain")), "a"),
        (body(part(EMAIL, b"a", b'content-type: Text/Plain;charset="UTF-8"', b"X-Any: 1")), "a"),
        (body(part(EMAIL, b"a", b"Content-Length: 1", b"Content-Transfer-Encoding: binary")), "a"),
        (body(part(EMAIL), part(DOC, b"\r\n--b0undar\n\x00\xff", b"Content-Type: image/png")), "a"),
        (body(part(EMAIL), part(b'form-data; name="_charset_"', b"UTF-8")), "a"),
        (body(part(EMAIL), part(b'form-data; name="user[email]"')), "a"),
        (body(part(EMAIL), part(b'form-data; name="x"', b"\xff", b"Content-Type: text/plain;charset=ISO-8859-1")), "a"),
        (body(part(EMAIL), part(b'form-data; name="x' + b"[a]" * 32 + b'"'), *[part(DOC)] * MAX_FILES), "a"),
    ],
)
def test_a_part_is_read(data: bytes, found: str) -> None:
    assert of("form.email", data) == found


@pytest.mark.parametrize(
    "data",
    [
        # where the body begins and ends, and each part does
        *(b"", b"x", b"--b0undary", b"--b0undary\r\n", b"--b0undary\r\n\r\n--b0undary--", body(part(EMAIL))[:-4]),
        *(
            b"x\r\n" + body(part(EMAIL)),
            b"\r\n" + body(part(EMAIL)),
            body(part(EMAIL)) + b"x",
            body(part(EMAIL)) + b"\r\n",
        ),
        *(body(part(EMAIL)) * 2, body(part(EMAIL)).replace(b"\r\n", b"\n"), body(part(EMAIL)).replace(b"\r\n", b"\r")),
        body(part(EMAIL)).replace(b"b0undary\r\n", b"b0undary \r\n"),
        body(
            part(EMAIL), part(b'form-data; name="x"', b"\n--b0undary\nContent-Disposition: form-data; name=email\n\nb")
        ),
        body(part(EMAIL), part(b'form-data; name="x"', b"--b0undary--")),
        body(part(EMAIL), part(b'form-data; name="x"', b"\r\n--b0undaryx")),
        body(part(EMAIL, b"a\r--b0undary--")),
        # heads
        body(b"--b0undary\r\n\r\na\r\n", part(EMAIL)),
        body(b"--b0undary\r\nContent-Type: text/plain\r\n\r\na\r\n", part(EMAIL)),
        body(part(EMAIL, b"a", b'Content-Disposition: form-data; name="x"')),
        body(part(EMAIL, b"a", b"Content-Type: text/plain", b"content-type: text/plain")),
        body(part(EMAIL), part(b'form-data; name="x"', b"a", b"Content-Disposition : form-data")),
        body(part(EMAIL, b"a", b" folded: x")),
        body(part(EMAIL, b"a", b"X: a\x00b")),
        body(part(EMAIL, b"a", b"X: a\nContent-Disposition: x")),
        body(part(EMAIL, b"a", b"no colon")),
        body(part(EMAIL, b"a", b"X: " + b"x" * 5000)),
        body(part(EMAIL, b"a", *[b"X-%d: 1" % at for at in range(9)])),
        body(part(EMAIL, b"a", b"Content-Length: 2")),
        body(part(EMAIL, b"a", b"Content-Length: 1x")),
        body(part(EMAIL, b"YQ==", b"Content-Transfer-Encoding: base64")),
        body(part(EMAIL), part(b'form-data; name="x"', b"a", b"Content-Transfer-Encoding: quoted-printable")),
        body(part(EMAIL, b"a", b"Content-Encoding: gzip")),
        body(part(EMAIL), part(b'form-data; name="x"', b"a", b"Content-Type: multipart/mixed; boundary=y")),
        # dispositions
        body(part(b"form-data")),
        body(part(b"attachment; name=email")),
        body(part(b'form-data; name="email"; name="x"')),
        body(part(b'form-data; name="email"; Name="x"')),
        body(part(b'form-data; name="e\\mail"'), part(EMAIL)),
        body(part(b'form-data; name="x\\"; name=\\"email"'), part(EMAIL)),
        body(part(b"form-data; name=\"email\"; filename*=utf-8''a")),
        body(part(b'form-data; name="x"; filename="a"; filename*=utf-8\'\'b'), part(EMAIL)),
        body(part(b"form-data; name*=utf-8''email"), part(EMAIL)),
        body(part(b'form-data; name="email"; x=y')),
        body(part(b'form-data; name = "email"')),
        body(part(b'form-data; name="email')),
        body(part(b'form-data; name="=?utf-8?q?email?="'), part(EMAIL)),
        body(part(b'form-data; name="\xff"'), part(EMAIL)),
        body(part(b'form-data; name="x; name=email"'), part(EMAIL)),
        body(part(b'form-data; name="x"; filename="a; NAME=email"'), part(EMAIL)),
        body(part(b'form-data; name="x"', b"a", b"X-Content-Disposition: form-data; name=email"), part(EMAIL)),
        body(part(EMAIL, b"a", b"Content-Type: text/plain", b"X: content-type: x")),
        # names
        body(part(EMAIL), part(EMAIL)),
        body(part(EMAIL), part(b'form-data; name="Email"')),
        body(part(EMAIL), part(b'form-data; name="email[]"')),
        body(part(EMAIL), part(b'form-data; name=" email"')),
        body(part(EMAIL), part(b'form-data; name="em%61il"')),
        body(part(EMAIL), part(b'form-data; name="email%5B%5D"')),
        body(part(EMAIL), part(b'form-data; name="email"; filename="a"')),
        body(part(b'form-data; name="email"; filename="a"')),
        body(part(b'form-data; name="email"; filename=""')),
        # values and charsets
        body(part(EMAIL, b"\xff")),
        body(part(EMAIL, b"a\x00")),
        body(part(EMAIL, b"\xef\xbb\xbfa")),
        body(part(EMAIL, b"a\r\nb")),
        body(part(EMAIL, b"a", b"Content-Type: text/plain; charset=latin-1")),
        body(part(EMAIL, b"a", b"Content-Type: application/octet-stream")),
        body(part(EMAIL, b"a", b"Content-Type: ")),
        body(part(EMAIL), part(b'form-data; name="_charset_"', b"latin-1")),
        body(part(EMAIL), part(b'form-data; name="x"', b"", b"Content-Type: text/plain; charset=latin-1")),
        body(part(EMAIL), part(b'form-data; name="x"', b"", b"Content-Type: text/plain; charset=utf-8; charset = x")),
        # too many
        body(part(EMAIL), part(b'form-data; name="x' + b"[a]" * 33 + b'"')),
        body(part(EMAIL), *[part(DOC)] * (MAX_FILES + 1)),
        body(part(EMAIL), *[part(b'form-data; name="x"')] * MAX_PARTS),
        body(part(EMAIL), *[part(b'form-data; name="x"', b"", b"X: " + b"y" * 4000)] * 66),
        body(part(EMAIL), b"--b0undary\r\nX: " + b"x" * MAX_HEADS + b"\r\n\r\n\r\n"),
    ],
)
def test_what_servers_read_differently_is_unreadable(data: bytes) -> None:
    assert not unreadable("form.email", data).is_absent


def test_an_absent_part_is_said_to_be_absent() -> None:
    for data in (body(part(b'form-data; name="x"')), b"--b0undary--\r\n", b"--b0undary--"):
        assert unreadable("form.email", data).is_absent
        assert unreadable("file.email.size", data).is_absent


@pytest.mark.parametrize(
    "kind",
    [
        *("multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""'),
        *("multipart/form-data; boundary=b0undary; boundary=x", "multipart/form-data; boundary=b0undary; Boundary=x"),
        *("multipart/form-data; xboundary=x; boundary=b0undary", 'multipart/form-data; boundary="b0undary, x"'),
        *(
            'multipart/form-data; boundary="b0un\\dary"',
            "multipart/form-data; boundary=--",
            "multipart/mixed; boundary=x",
        ),
        *("multipart/form-data; boundary*=b0undary", "multipart/form-data; boundary=" + "x" * 71),
        *("multipart/form-data; boundary=b0undary; charset=latin-1", "multipart/form-data, x/y; boundary=b0undary"),
    ],
)
def test_a_boundary_that_servers_read_differently_is_unreadable(kind: str) -> None:
    unreadable("form.email", body(part(EMAIL)), kind)


@pytest.mark.parametrize(
    "boundary", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "------------------------d74496d66958873e", "=_Part_0.1-+"]
)
def test_the_boundaries_of_ordinary_clients_are_read(boundary: str) -> None:
    data = body(part(EMAIL)).replace(b"b0undary", boundary.encode())
    kind = f'Multipart/Form-Data; charset=UTF-8; boundary="{boundary}"'
    assert of("form.email", data, kind) == "a"


class TestFile:
    CONTENT = b"\x00\r\n--\xff"
    DATA = body(part(DOC, CONTENT, b"Content-Type: Text/Plain; charset=x"), part(EMAIL))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("filename", "a.txt"),
            ("sha256", hashlib.sha256(CONTENT).hexdigest()),
            ("size", str(len(CONTENT))),
            ("content_type", "text/plain"),
        ],
    )
    def test_a_property_is_read(self, name: str, value: str) -> None:
        assert of(f"file.doc.{name}", self.DATA) == value

    def test_a_type_may_be_absent_and_must_be_one(self) -> None:
        assert unreadable("file.doc.content_type", body(part(DOC))).is_absent
        for kind in (b"", b"text", b"text/plain, text/html"):
            unreadable("file.doc.content_type", body(part(DOC, b"a", b"Content-Type: " + kind)))

    @pytest.mark.parametrize("name", [b"", b"a/b.txt", b"/", b"a\\b.txt", b'a"b', b"a\x01"])
    def test_a_file_without_a_name_or_with_a_path_is_unreadable(self, name: bytes) -> None:
        for wanted in ("filename", "sha256"):
            unreadable(f"file.doc.{wanted}", body(part(b'form-data; name="doc"; filename="%b"' % name)))

    def test_a_percent_encoded_name_is_unreadable_as_a_name_alone(self) -> None:
        data = body(part(b'form-data; name="doc"; filename="a%20b"'))
        unreadable("file.doc.filename", data)
        assert of("file.doc.size", data) == "1"
        assert (
            of("file.doc.filename", body(part('form-data; name="doc"; filename="100% \u00e9"'.encode())))
            == "100% \u00e9"
        )

    def test_a_field_of_its_name_is_no_file_and_makes_one_unreadable(self) -> None:
        unreadable("file.doc.size", body(part(b'form-data; name="doc"')))
        unreadable("file.doc.size", body(part(DOC), part(b'form-data; name="doc"')))
        unreadable("file.doc.size", body(part(DOC), part(DOC)))
        unreadable("file.doc.size", body(part(DOC), part(b'form-data; name="doc[]"; filename="b"')))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
contents = st.binary(max_size=40)
names = st.text("abcXYZ019._- é", min_size=1, max_size=12)


@given(texts, contents, names)
def test_what_urllib3_and_so_requests_write_is_read_as_it_was_meant(value: str, content: bytes, filename: str) -> None:
    fields: dict[str, Any] = {"email": value, "doc": (filename, content, "image/png"), "n": "1"}
    data, kind = urllib3.encode_multipart_formdata(fields)
    assert of("form.email", data, kind) == value
    assert of("file.doc.filename", data, kind) == filename
    assert of("file.doc.sha256", data, kind) == hashlib.sha256(content).hexdigest()
    assert of("file.doc.content_type", data, kind) == "image/png"


@given(texts, contents)
def test_what_aiohttp_writes_is_read_as_it_was_meant(value: str, content: bytes) -> None:
    form = aiohttp.FormData()
    form.add_field("email", value)
    form.add_field("doc", content, filename="a-1.txt", content_type="image/png")

    async def written() -> tuple[bytes, str]:
        payload = form()
        return await payload.as_bytes(), payload.content_type or ""

    data, kind = asyncio.run(written())
    assert of("form.email", data, kind) == value
    assert of("file.doc.filename", data, kind) == "a-1.txt"
    assert of("file.doc.size", data, kind) == str(len(content))


BYTES = (
    *(b"--b0undary", b"--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Content-Disposition: ", EMAIL, DOC, b"a", b"\x00"),
    *(b"; filename=", b'"', b"Content-Type: ", b"text/plain", b"; charset=", b"Content-Length: 1", b"\xff"),
)
PARTS = (part(EMAIL), part(DOC), b"--b0undary--\r\n", part(b"x"), b"\r\n", b"x")


@given(st.lists(st.sampled_from(BYTES), max_size=16) | st.lists(st.sampled_from(PARTS), max_size=5))
def test_any_body_is_read_or_refused(pieces: list[bytes]) -> None:
    for field in ("form.email", "file.doc.filename"):
        try:
            found = of(field, b"".join(pieces))
        except IdentityError:
            continue
        assert isinstance(found, str)
