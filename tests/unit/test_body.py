# Reading a body: one reading, or none.

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard.body import find, read_json
from gateway.guard.content import BodyFormats
from gateway.model import Json
from tests.support.unit import values

CANARY = "canary-7b1f"


def read(body: str | bytes) -> Json:
    return read_json(
        body.encode() if isinstance(body, str) else body, "application/json", None, BodyFormats(1024 * 1024)
    )


def email(body: str | bytes) -> Json:
    return find(read(body), ("email",), "body.email")


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 and -0.0."""
    return repr(one) == repr(other)


WORDS = ("true", "null", "NaN", "-Infinity", "//", "E9")


class TestAgreement:
    @given(values, st.booleans(), st.sampled_from([None, 1]))
    def test_what_any_client_writes_is_read_as_it_was_meant(
        self, value: Json, is_ascii: bool, indent: int | None
    ) -> None:
        text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
        assert same(read(text), json.loads(text))

    fragments = st.sampled_from(
        [*"{}[]\":,\\01-.e+/\n\t\x00\x0c\xa0\ufeffé '", '"a"', "\\u0061", "\\ud83d", "9" * 20, *WORDS]
    )

    @given(st.lists(fragments, max_size=12).map("".join) | st.text())
    @example('{"a":1,"a":1}')
    @example("[1e999]")
    def test_any_text_is_read_as_the_standard_parser_does_or_not_at_all(self, text: str) -> None:
        try:
            meant = json.loads(text.removeprefix("\ufeff"), parse_constant=refuse)
        except ValueError:
            with pytest.raises(IdentityError):
                read(text)
        else:
            assert same(read(text), meant)

    @given(st.binary(max_size=30))
    def test_any_bytes_are_read_or_unreadable(self, data: bytes) -> None:
        try:
            text = data.decode()
            meant = json.loads(text, parse_constant=refuse)
        except ValueError:
            with pytest.raises(IdentityError):
                read(data)
        else:
            assert same(read(data), meant)


def refuse(name: str) -> None:
    raise ValueError(name)


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "\xff"}',
        b'{"email": "\xc0\xaf"}',
        b'{"email": "\xed\xa0\x80"}',
        '{"email": "a"}'.encode("utf-16"),
        '{"email": "a"}'.encode("utf-16-le"),
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b'{"other": -Infinity}',
        b'{"email": "a"} {}',
        b'{"email": "a",}',
        b"{'email': 'a'}",
        b'{"email": "a\nb"}',
        b'{"email": 01}',
        b'{"email": +1}',
        b'{"email": .5}',
        b'{"email": 0x10}',
        b'{"email": "\\x61"}',
        b'{"email": "a"} // it is',
        b'\xa0{"email": "a"}',
        b'{"email": "a"}\x00',
        b"",
        b" ",
        b'{"other": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_parsers_disagree_about_is_unreadable(body: bytes) -> None:
    with pytest.raises(IdentityError):
        read(body)


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b'\xef\xbb\xbf{"email": "a"}') == {"email": "a"}
    for body in (b"\xef\xbb\xbf" * 2 + b"{}", b"\xef\xbb{}", b"\xff\xfe{\x00}\x00", b' \xef\xbb\xbf{"email": "a"}'):
        with pytest.raises(IdentityError):
            read(body)


def test_large_integers_stay_exact() -> None:
    assert email('{"email": 9007199254740993}') == 9007199254740993
    assert email('{"email": ' + "9" * 4000 + "}") == 10**4000 - 1


class TestKeysTwice:
    @pytest.mark.parametrize(
        ("body", "keys"),
        [
            ('{"email":"a","email":"b"}', ("email",)),
            ('{"email":"a","email":"a"}', ("email",)),
            ('{"email":"a","x":1,"\\u0065mail":"b"}', ("email",)),
            ('{"\\u0065mail":"a","e\\u006Dail":"b"}', ("email",)),
            ('{"email":"a","email":null}', ("email",)),
            ('{"user":{"email":"a","email":"b"}}', ("user", "email")),
            ('{"user":{"email":"a"},"user":{"email":"b"}}', ("user", "email")),
            ('{"user":{"email":"a"},"user":{"email":"a"}}', ("user", "email")),
            ('{"user":{"email":"a"},"us\\u0065r":{}}', ("user", "email")),
            ('{"items":[{"sku":1,"sku":2}]}', ("items", 0, "sku")),
            ('[[{"sku":1,"sku":1}]]', (0, 0, "sku")),
        ],
    )
    def test_a_key_twice_on_the_way_to_an_identity_is_unreadable(self, body: str, keys: tuple[str | int, ...]) -> None:
        with pytest.raises(IdentityError, match=r"^body\.field stands there more than once"):
            find(read(body), keys, "body.field")

    @pytest.mark.parametrize(
        "body",
        ['{"id":{"a":1,"a":2}}', '{"id":{"b":[{"a":1,"a":1}]}}', '{"id":[{},{"b":{"a":1,"\\u0061":2}}]}'],
    )
    def test_a_key_twice_inside_an_identity_is_unreadable(self, body: str) -> None:
        with pytest.raises(IdentityError, match=r"^body\.id has a key that stands there more than once"):
            find(read(body), ("id",), "body.id")

    @pytest.mark.parametrize(
        ("body", "keys"),
        [
            ('{"name":1,"name":2,"email":"a"}', ("email",)),
            ('{"email":"a","x":{"email":1,"email":2}}', ("email",)),
            ('{"u":{"email":"a","x":1,"x":2},"x":1,"x":2}', ("u", "email")),
            ('[{"email":1,"email":2},{"email":"a"}]', (1, "email")),
            ('{"email":"a","Email":"b","EMAIL":"c"}', ("email",)),
        ],
    )
    def test_a_key_twice_elsewhere_does_not_matter(self, body: str, keys: tuple[str | int, ...]) -> None:
        assert find(read(body), keys, "body.email") == "a"

    def test_of_many_keys_only_those_that_repeat_are_unreadable(self) -> None:
        document = read('{"a":1,"b":2,"a":3,"c":4,"a":5}')
        assert find(document, ("b",), "b") == 2
        with pytest.raises(IdentityError):
            find(document, ("a",), "a")


DOCUMENT: Json = {"a": {"b": [10, {"c": None}]}, "": 1, "empty": {}}


class TestFind:
    @pytest.mark.parametrize(
        ("keys", "value"),
        [
            (("a", "b", 0), 10),
            (("a", "b", 1, "c"), None),
            (("",), 1),
            (("empty",), {}),
            (("a", "b"), [10, {"c": None}]),
        ],
    )
    def test_a_value_is_found(self, keys: tuple[str | int, ...], value: Json) -> None:
        assert find(DOCUMENT, keys, "field") == value

    @pytest.mark.parametrize(
        "keys",
        [("x",), ("a", "x"), ("a", "b", 2), ("a", 0), ("a", "b", "0"), ("", "x"), ("a", "b", 1, "c", "d"), (0,)],
    )
    def test_what_is_not_there_is_absent(self, keys: tuple[str | int, ...]) -> None:
        with pytest.raises(IdentityError, match=r"^field is absent$"):
            find(DOCUMENT, keys, "field")

    @pytest.mark.parametrize("document", [None, 1, "email", "", True, [], 1.5])
    def test_a_document_that_is_no_object_has_no_fields(self, document: Json) -> None:
        with pytest.raises(IdentityError, match=r"^email is absent$"):
            find(document, ("email",), "email")

    @pytest.mark.parametrize(
        "value",
        [
            '"\\ud800"',
            '"x\\udfff"',
            '"\\udc00\\ud800"',
            '["\\ud800"]',
            '{"\\ud800": 1}',
            '{"a": [{"b": "\\ud800"}]}',
            "1e999",
            "-1e999",
            "[1, 1e999]",
            '{"a": 1e400}',
        ],
    )
    def test_a_lone_surrogate_or_a_number_out_of_range_is_unreadable_in_an_identity(self, value: str) -> None:
        with pytest.raises(IdentityError):
            email(f'{{"email": {value}}}')
        elsewhere = f'{{"email": "a", "x": {value}}}'
        if "\\u" in value:
            with pytest.raises(IdentityError, match="the body holds a lone surrogate"):
                read(elsewhere)
        else:
            assert find(read(elsewhere), ("email",), "email") == "a", "and does not matter elsewhere"

    def test_a_pair_of_surrogates_or_an_escaped_backslash_is_fine_anywhere(self) -> None:
        assert find(read('{"email": "a", "x": ["\\ud83d\\ude00", "\\\\ud800", 1e999]}'), ("email",), "email") == "a"

    def test_a_pair_of_surrogates_is_a_character(self) -> None:
        assert email('{"email": "\\ud83d\\ude00"}') == "\U0001f600"

    @given(values)
    def test_every_value_that_can_be_read_one_way_is_found(self, value: Json) -> None:
        assert same(email(json.dumps({"email": value})), value)

    @pytest.mark.parametrize(
        "body",
        [
            f'{{"email": "{CANARY}", "email": "{CANARY}"}}',
            f'{{"email": {{"{CANARY}": 1, "{CANARY}": 2}}}}',
            f'{{"email": "{CANARY}\\ud800"}}',
            f'{{"{CANARY}": 1}}',
            f'"{CANARY}"',
            f'{{"email": "{CANARY}"',
            f'{{"email": {CANARY}}}',
        ],
    )
    def test_no_text_shows_a_value(self, body: str) -> None:
        with pytest.raises(IdentityError) as raised:
            email(body)
        assert CANARY not in str(raised.value)


def test_an_integral_float_is_still_a_float() -> None:
    """What folds 1.0 onto 1 is the fingerprint; the parser keeps them apart."""
    assert same(read("[1, 1.0, 1e0, -0.0, -0]"), [1, 1.0, 1.0, -0.0, 0])
    assert math.copysign(1, email('{"email": -0.0}')) == -1  # type: ignore[arg-type]
