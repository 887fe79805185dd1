# A form of several parts that comes in pieces: cut anywhere, it is read, or refused, as it is when it comes at once.

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.field import parse_field
from gateway.guard.multipart_form import MAX_HEADS, MultipartForm, MultipartReader, read_multipart

MARK = b"--b0undary"
FRAGMENTS = [
    *(MARK, MARK + b"\r\n", b"\r\n" + MARK, b"\r\n" + MARK + b"\r\n", b"\r\n" + MARK + b"--", MARK + b"--\r\n"),
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"-", b"--", b"--b0und", b"x", b"\xff", b"\n" + MARK),
    *(b'Content-Disposition: form-data; name="a"', b'Content-Disposition: form-data; name="a"; filename="f"'),
    *(b'Content-Disposition: form-data; name="_charset_"', b"utf-8", b"Content-Type: text/plain", b"Content-Length: 1"),
]
PART = b'--b0undary\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--b0undary\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n'
END = b"--b0undary--\r\n"
contents = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--b0undar", b"\r\n--b0undar", b"x", b"\x00"])).map(b"".join)
made = st.lists(st.builds(lambda shape, text: shape % (b"a", text), st.sampled_from([PART, FILE]), contents))
whole = st.builds(lambda parts, end: b"".join(parts) + end, made, st.sampled_from([END, END[:-2], END + b"x", b""]))
odd = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)
cuts = st.lists(st.integers(1, 40), min_size=1)


def in_pieces(data: bytes, sizes: list[int], text_limit: int | None = None) -> MultipartForm:
    reader = MultipartReader(b"b0undary", text_limit)
    at = 0
    while at < len(data):
        for size in sizes:
            reader.feed(data[at : at + size])
            at += size
    return reader.end()


def seen(form: MultipartForm) -> list[tuple[object, ...]]:
    """All that is known of each part; of a file that may be hashed already, its hash."""
    return [
        (
            part.name,
            part.filename,
            part.content_type,
            part.size,
            (part.hashed or hashlib.sha256(part.content)).hexdigest(),
        )
        for part in form._parts
    ]


@given(whole | odd | st.builds(lambda a, b: a + b, whole, odd), cuts)
def test_where_it_is_cut_makes_no_difference(data: bytes, sizes: list[int]) -> None:
    try:
        expected = seen(read_multipart(data, b"b0undary"))
    except IdentityError:
        for limit in (None, 10**6):
            with pytest.raises(IdentityError):
                in_pieces(data, sizes, limit)
    else:
        for limit in (None, 10**6):
            assert seen(in_pieces(data, sizes, limit)) == expected


def test_a_file_is_hashed_and_not_kept() -> None:
    data = FILE % (b"doc", b"x" * 100_000) + PART % (b"a", b"1") + END
    form = in_pieces(data, [999], 1)
    assert form.find_file(parse_field("file.doc.sha256")) == hashlib.sha256(b"x" * 100_000).hexdigest()
    assert form.find_file(parse_field("file.doc.size")) == "100000"
    assert form.find_value(parse_field("form.a")) == "1"
    assert [part.content for part in form._parts] == [b"", b"1"]


def test_what_is_in_no_file_is_bounded() -> None:
    for data in (PART % (b"a", b"x" * 11), PART % (b"a", b"x" * 6) + PART % (b"b", b"x" * 5)):
        with pytest.raises(BodyTooLarge) as raised:
            in_pieces(data + END, [7], 10)
        assert (raised.value.limit, raised.value.what) == (10, "what is no file in the form")


def refused_at(data: bytes) -> int:
    """Behind which byte it is refused, of data that comes byte by byte."""
    reader = MultipartReader(b"b0undary", 10)
    for at in range(len(data)):
        try:
            reader.feed(data[at : at + 1])
        except IdentityError:
            return at + 1
    raise AssertionError("it was not refused")


def test_it_is_refused_as_soon_as_it_can_be() -> None:
    rest = b"x" * 100
    assert refused_at(b"x" * 10 + rest) == len(MARK)
    assert refused_at(MARK + b"\r\nX: 1\r\n\r\n" + rest) <= len(MARK + b"\r\nX: 1\r\n\r\n" + MARK) + 2
    assert refused_at(MARK + b"--\r\n" + rest) <= len(MARK + b"--\r\n" + MARK) + 2
    with pytest.raises(IdentityError):
        MultipartReader(b"b0undary").feed(MARK + b"\r\n" + b"x" * MAX_HEADS)
