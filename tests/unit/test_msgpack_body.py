# MessagePack read strictly: what JSON of the same values gives, and whatever two readers would not read alike.

import contextlib
import gzip
import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import BodyTooLarge, CodingNotAccepted, IdentityError
from gateway.guard.body import find, read_json, want
from gateway.guard.content import BodyFormats, is_msgpack
from gateway.guard.identity import identify
from gateway.guard.large_body import LARGE
from gateway.guard.msgpack_body import MAX_VALUES
from gateway.model import Json
from tests.support.unit import patience, request, rule

FORMATS = BodyFormats(limit=2**20, codings=("gzip",), msgpack=True)
TYPE = "application/msgpack"
EMAIL = ("email",)
NAME = b"\xa5email"
ADA = b"\xa3ada"
pack = msgspec.msgpack.encode


def read(data: bytes, *keys: str | int, content_type: str = TYPE, coding: str | None = None) -> Json:
    keys = keys or EMAIL
    return find(read_json(data, content_type, coding, FORMATS, want([keys])), keys, "body.it", folds_case=True)


def unreadable(data: bytes, *keys: str | int) -> IdentityError:
    with pytest.raises(IdentityError) as raised:
        read(data, *keys)
    return raised.value


@pytest.mark.parametrize(
    "text",
    [ADA, b"\xd9\x03ada", b"\xda\x00\x03ada", b"\xdb\x00\x00\x00\x03ada"],
)
def test_the_width_of_a_length_makes_no_difference(text: bytes) -> None:
    for head in (b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"):
        for name in (NAME, b"\xd9\x05email", b"\xdb\x00\x00\x00\x05email"):
            assert read(head + name + text) == "ada"
    for head in (b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"):
        assert read(head + b"\x01" + text, 1) == "ada"


@pytest.mark.parametrize(
    "number",
    [b"\x07", b"\xcc\x07", b"\xcd\x00\x07", b"\xce\x00\x00\x00\x07", b"\xcf" + b"\0" * 7 + b"\x07", b"\xd0\x07",
     b"\xd1\x00\x07", b"\xd2\x00\x00\x00\x07", b"\xd3" + b"\0" * 7 + b"\x07"],
)  # fmt: skip
def test_nor_does_that_of_an_integer(number: bytes) -> None:
    assert read(b"\x81" + NAME + number) == 7


VALUES: list[Any] = [
    *(
        "ada",
        "",
        "ä€😀",
        "x" * 1000,
        0,
        -1,
        127,
        128,
        -33,
        2**53 - 1,
        2**53,
        2**64 - 1,
        -(2**63),
        1.5,
        1.0,
        1e300,
        True,
    ),
    *(False, None, [], [1, "a", None], {}, {"a": [1, {"b": 2.5}]}, "a\n\0b", "\ufeffa"),
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_what_it_is_in_json(value: Any) -> None:
    document = {"a": [0, {"email": value}], "x": 1, "y": ["z"] * 40}
    keys = ("a", 1, "email")
    in_json = json.dumps(document, ensure_ascii=False).encode()
    found, expected = read(pack(document), *keys), read(in_json, *keys, content_type="application/json")
    assert (type(found), found) == (type(expected), expected)


def test_json_and_messagepack_of_one_value_are_one_identity() -> None:
    for types in (("string", "integer", "boolean", "null"), ("number", "array", "object")):
        of = rule(unique=(UniqueConfig(name="it", fields=("body.a",), types=types),), msgpack=True)
        for value in VALUES:
            found = []
            for kind, body in ((TYPE, pack({"a": value})), ("application/json", json.dumps({"a": value}).encode())):
                try:
                    found.append(identify(of, request(body, ("Content-Type", kind)))[1][0].values)
                except IdentityError as error:
                    found.append((str(error),))
            assert found[0] == found[1], value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x82" + NAME + ADA + NAME + ADA, "stands there more than once"),
        (b"\x82" + NAME + ADA + b"\xd9\x05email" + b"\xa3eve", "stands there more than once"),
        (b"\x82" + NAME + ADA + b"\xa5Email" + ADA, "differs only in case"),
        (b"\x81\xa5EMAIL" + ADA, "differs only in case"),
        (b"\x82" + NAME + ADA + b"\xc4\x05email" + ADA, "a key that is no text"),
        (b"\x81\xc4\x05email" + ADA, "a key that is no text"),
        *[
            (b"\x82" + NAME + ADA + key + b"\x01", "a key that is no text")
            for key in (b"\x01", b"\xc0", b"\xc3", b"\xcb" + b"\0" * 8, b"\xd4\x01\x01", b"\x91\x01", b"\x80")
        ],
        (b"\x81" + NAME + b"\xc4\x03ada", "binary data or an extension"),
        (b"\x81" + NAME + b"\xc5\x00\x03ada", "binary data or an extension"),
        (b"\x81" + NAME + b"\xd4\x01a", "binary data or an extension"),
        (b"\x81" + NAME + b"\xc7\x03\x01ada", "binary data or an extension"),
        (b"\x81" + NAME + b"\xd6\xff\x00\x00\x00\x01", "binary data or an extension"),
        (b"\x81" + NAME + b"\x91\xc4\x01a", "binary data or an extension"),
        (b"\x81" + NAME + b"\x82\xa1a\x01\xa1a\x01", "a key that stands there more than once"),
        (b"\x81" + NAME + b"\xcb\x7f\xf8" + b"\0" * 6, "number out of range"),
        (b"\x81" + NAME + b"\xca\x7f\x80\0\0", "number out of range"),
        (b"\x81" + NAME + b"\xa3a\xffa", "not valid UTF-8"),
        (b"\x81" + NAME + b"\xa3\xed\xa0\x80", "not valid UTF-8"),
        (b"\x82" + NAME + ADA + b"\xa1x\xa1\xff", "not valid UTF-8"),
        (b"\x82" + NAME + ADA + b"\xa1\xff\xa1x", "not valid UTF-8"),
        (b"\x81" + NAME + ADA + b"\xc0", "or something follows it"),
        (b"\x81" + NAME + ADA + b"\n", "or something follows it"),
        (b"\x81" + NAME + b"\xc1", "not valid MessagePack"),
        (b'{"email":"ada"}', "or something follows it"),
        (b"", "not valid MessagePack"),
        (b"\x82" + NAME + ADA + b"\xa1x" + b"\x91" * 64 + b"\x01", "nested deeper than 64 levels"),
        (b"\x82" + NAME + ADA + b"\xa1x\xdd\x00\x01\x00\x00" + b"\x01" * 65536, "more than 32,768 values"),
        (
            b"\xde\x2a\xf8" + b"".join(pack(str(at)) + b"\x01" for at in range(11_000)),
            "a map with more than 10,000 keys",
        ),
        (b"\x81" + NAME + b"\xdf\xff\xff\xff\xff", "not valid MessagePack"),
        (b"\x81" + NAME + b"\xdb\xff\xff\xff\xffx", "not valid MessagePack"),
    ],
)
def test_what_readers_differ_in_is_refused_and_never_absent(data: bytes, reason: str) -> None:
    error = unreadable(data)
    assert reason in str(error)
    assert not error.is_absent
    assert "ada" not in str(error)


def test_a_text_that_is_cut_off_anywhere_is_refused() -> None:
    whole = pack({"a": [1, 2.5, "x" * 40, b"y" * 300, {"b": None}, ["z"] * 20], "email": "ada"})
    assert read(whole) == "ada"
    for at in range(len(whole)):
        assert "not valid" in str(unreadable(whole[:at])), at


@pytest.mark.parametrize("data", [pack({"x": "ada"}), pack({}), pack([1]), pack("email"), pack(7), pack(None)])
def test_what_is_not_there_is_absent_for_certain(data: bytes) -> None:
    assert unreadable(data).is_absent


def test_a_field_that_would_go_on_in_binary_data_is_not_absent() -> None:
    for blob in (b"\xc4\x01a", b"\xd4\x01a"):
        assert not unreadable(b"\x81\xa1a" + blob, "a", "b").is_absent
    assert unreadable(b"\x81\xa1aa", "a", "b").is_absent
    assert unreadable(pack({"a": [1]}), "a", 1).is_absent


def test_what_is_odd_elsewhere_is_no_matter() -> None:
    odd = (
        b"\x83"
        + NAME
        + ADA
        + b"\xa1x\x83\x01\x01\xc4\x01a\xc4\x01b\xa1a\xd6\xff\x00\x00\x00\x01\xa1y\xcb\x7f\xf8"
        + b"\0" * 6
    )
    assert read(odd) == "ada"


def test_a_value_too_large_to_be_one_is_told_so() -> None:
    of = rule(unique=(UniqueConfig(name="it", fields=("body.a",), types=("string", "array")),), msgpack=True)
    for value in ("x" * (LARGE + 1), ["x" * 10] * 3000, ["x" * 100] * 20):
        with pytest.raises(IdentityError, match="1024 bytes"):
            identify(of, request(pack({"a": value}), ("Content-Type", TYPE)))


def test_content_codings_are_those_of_the_rule() -> None:
    data = pack({"email": "ada"})
    assert read(gzip.compress(data), coding="gzip") == "ada"
    with pytest.raises(CodingNotAccepted):
        read(data, coding="br")
    with pytest.raises(BodyTooLarge):
        read(gzip.compress(bytes(2**21)), coding="gzip")


def test_a_rule_that_does_not_name_it_reads_none() -> None:
    with pytest.raises(IdentityError, match="Content-Type is not JSON"):
        read_json(pack({}), TYPE, None, BodyFormats(limit=100), want([EMAIL]))


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        *[(kind, True) for kind in ("application/msgpack", "Application/X-MsgPack; v=1", "application/vnd.msgpack")],
        *[(kind, True) for kind in ("application/vnd.acme.user+msgpack",)],
        *[(kind, False) for kind in (None, "", "msgpack", "text/msgpack", "application/json", "application/msgpackx")],
        *[(kind, False) for kind in ("application/+msgpack", "+msgpack")],
    ],
)
def test_what_is_said_to_be_messagepack_is(content_type: str | None, is_it: bool) -> None:
    assert is_msgpack(content_type) is is_it


def large(part: bytes, count: int, head: bytes = b"\xdd") -> bytes:
    return b"\x82\xa1x" + head + struct.pack(">I", count) + part * count + NAME + ADA


@pytest.mark.parametrize(
    "data",
    [
        large(b"\x01", 2**20),
        large(b"\x80", 2**20),
        large(b"\x01", MAX_VALUES - 10),
        large(b"\xa0", MAX_VALUES - 10),
        large(b"\xad" + b"x" * 13, MAX_VALUES - 10),
        large(b"\x91\x91\x91\x91\x90", MAX_VALUES // 5 - 10),
        large(b"\xa1a\x01", MAX_VALUES // 2 - 10, b"\xdf"),
        b"\xdf" + struct.pack(">I", MAX_VALUES // 2 - 10) + (NAME + ADA) * (MAX_VALUES // 2 - 10),
        b"\xdf" + struct.pack(">I", MAX_VALUES // 2 - 10) + b"\x01\x01" * (MAX_VALUES // 2 - 10),
        b"\x81" + NAME + b"\x91\x90" * 8000,
        b"\x81" + NAME + b"\xdc\x3f\x00" + b"\x90" * 0x3F00,
        b"\x81" + NAME + b"\xdc\x0f\x00" + b"\x81\xa1a\x80" * 0x0F00,
        b"\x82\xa1x\xc6" + struct.pack(">I", 2**20 - 40) + b"\xff" * (2**20 - 40) + NAME + ADA,
        b"\x82\xa1x\xdb" + struct.pack(">I", 2**20 - 40) + b"x" * (2**20 - 40) + NAME + ADA,
    ],
)
def test_no_body_of_a_mebibyte_takes_long(data: bytes) -> None:
    with patience(), contextlib.suppress(IdentityError):
        read(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda below: st.lists(below) | st.dictionaries(st.text(st.characters(codec="utf-8")), below),
)  # fmt: skip


@given(values)
def test_any_value_is_read_as_it_was_written(value: Any) -> None:
    assert read_json(pack([value]), TYPE, None, FORMATS, None) == [value]
    assert read(pack({"email": value})) == value


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(IdentityError):
        assert read_json(data, TYPE, None, FORMATS, want([EMAIL])) is not NotImplemented
        msgspec.msgpack.decode(data, type=msgspec.Raw)
