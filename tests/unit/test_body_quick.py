# The quick way to read a body comes to what the strict way comes to, value or refusal, or it is not taken.

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard import body
from gateway.guard.body import find, read_json, want
from gateway.guard.content import BodyFormats
from gateway.guard.large_body import LARGE, MAX_FIRST, MAX_KEYS, read_wanted
from gateway.model import Json

FORMATS = BodyFormats(1_000_000, json_types=frozenset({""}))
PATHS: tuple[tuple[str | int, ...], ...] = (("a",), ("b", "a"), ("c", 0), ("ü",), ("kes",))
KEYS = st.sampled_from(["a", "b", "c", "ü", "d", "A", "Ü", "aa", "\u212ae\u017f", "Kes"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def text(value: Any, *, escape: bool) -> str:
    """Write JSON in which an object, given as a tuple of pairs, may have a key twice."""
    if isinstance(value, tuple):
        pairs = (f"{json.dumps(key, ensure_ascii=escape)}:{text(inner, escape=escape)}" for key, inner in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text(inner, escape=escape) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=escape)


def wanted_alone(data: bytes, path: tuple[str | int, ...]) -> Any:
    """What is read from a large body, whatever its length."""
    try:
        value = find(read_wanted(data, want(PATHS).way), path, "it", folds_case=True)
    except IdentityError as error:
        return f"unreadable: {error}"
    return type(value), value


def outcome(data: bytes, path: tuple[str | int, ...], *, quickly: bool) -> Any:
    try:
        document = read_json(data, None, None, FORMATS, want(PATHS) if quickly else None)
        value = find(document, path, "it", folds_case=True)
    except IdentityError as error:
        return f"unreadable: {error}"
    return type(value), value


@given(VALUES, st.booleans())
@example((("a", 1), ("a", 2)), False)
@example((("a", (("x", 1), ("x", 2))),), False)
@example((("a", 12345678901234567890123), ("b", (("a", 1.0),))), False)
@example((("c", [[], 1]),), False)
@example((("a", 1e22), ("d", "a")), False)
@example((("a", 1), ("A", 2)), False)
@example((("A", 1), ("A", 2)), False)
@example((("A", 1), ("d", "a")), False)
@example((("B", (("a", 1),)), ("b", (("a", 2),))), False)
@example((("ü", 1), ("Ü", 2)), True)
def test_both_ways_agree_on_every_wanted_value(value: Any, escape: bool) -> None:
    data = text(value, escape=escape).encode("utf-8", "surrogatepass")
    for path in PATHS:
        strict = outcome(data, path, quickly=False)
        assert outcome(data, path, quickly=True) == strict
        alone = wanted_alone(data, path)
        if alone == "unreadable: the body is not valid JSON, or it holds a lone surrogate":
            assert strict == "unreadable: the body is not valid JSON" or has_surrogates(value)
        else:
            assert alone == strict


def has_surrogates(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(has_surrogates, value))
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1}x',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"d":"\xff","a":1}',
    ],
)
def test_both_ways_agree_on_what_is_no_body(data: bytes) -> None:
    assert outcome(data, ("a",), quickly=True) == outcome(data, ("a",), quickly=False)


def test_the_quick_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(body, "decode")
    assert find(read_json(b'{"a":"x","d":[{"d":1,"d":2}]}', None, None, FORMATS, want(PATHS)), ("a",), "a") == "x"


def large(tail: bytes) -> bytes:
    return b'{"filler":"' + b"x" * LARGE + b'",' + tail + b"}"


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        (b'"a":"x"', "x"),
        (b'"a":1.0', 1.0),
        (b'"a":[1,{"b":2}]', [1, {"b": 2}]),
        (b'"\\u0061":"x","d":{"a":1,"a":2},"e":[{"a":3}]', "x"),
        (b'"d":"\\n","a":"\\u00e9"', "é"),
    ],
)
def test_a_large_body_is_read_as_a_small_one(tail: bytes, found: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(body, "decode")  # the strict way of small bodies, which builds all values
    assert find(read_json(large(tail), None, None, FORMATS, want(PATHS)), ("a",), "it") == found


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b'"a":"x","a":"x"', "it stands there more than once"),
        (b'"a":"x","\\u0061":"x"', "it stands there more than once"),
        (b'"a":"x","A":"x"', "it has a key that differs only in case, which an API may take for the same"),
        (b'"a":{"b":1,"b":1}', "it has a key that stands there more than once"),
        (b'"a":1e400', "it is a number out of range"),
        (b'"d":1', "it is absent"),
        (b'"a":1,"d":"\xff"', "the body is not valid UTF-8"),
        (b'"a":1,"d":[1,]', "the body is not valid JSON, or it holds a lone surrogate"),
        (b'"a":1,"d":"\\ud800"', "the body is not valid JSON, or it holds a lone surrogate"),
    ],
)
def test_a_large_body_is_refused_as_a_small_one(tail: bytes, reason: str) -> None:
    with pytest.raises(IdentityError) as raised:
        find(read_json(large(tail), None, None, FORMATS, want(PATHS)), ("a",), "it", folds_case=True)
    assert str(raised.value) == reason


@pytest.mark.parametrize("at", [0, 1, MAX_FIRST - 2, MAX_FIRST - 1])
@pytest.mark.parametrize("count", [0, 1, MAX_FIRST - 1, MAX_FIRST, MAX_FIRST + 1, 20_000])
def test_the_first_elements_of_a_long_list_can_be_wanted(at: int, count: int) -> None:
    data = json.dumps({"c": list(range(count)), "filler": "x" * LARGE}).encode()
    document = read_json(data, None, None, FORMATS, want([("c", at)]))
    if at < count:
        assert find(document, ("c", at), "it") == at
    else:
        with pytest.raises(IdentityError, match="it is absent"):
            find(document, ("c", at), "it")


def test_the_others_can_be_wanted_of_a_small_body_only() -> None:
    numbers = list(range(MAX_FIRST + 1))
    small = json.dumps({"c": numbers}).encode()
    assert find(read_json(small, None, None, FORMATS, want([("c", MAX_FIRST)])), ("c", MAX_FIRST), "it") == MAX_FIRST
    with pytest.raises(IdentityError, match="of which only the first 1024 elements are read"):
        read_json(b" " * LARGE + small, None, None, FORMATS, want([("c", MAX_FIRST)]))
    short = json.dumps({"c": numbers[: MAX_FIRST - 1], "filler": "x" * LARGE}).encode()
    with pytest.raises(IdentityError, match="it is absent"):
        find(read_json(short, None, None, FORMATS, want([("c", MAX_FIRST)])), ("c", MAX_FIRST), "it")


@pytest.mark.parametrize("text", ["{}", "[]", "1", "null", '"x"', " [ ] ", "\n{ }"])
def test_a_large_body_may_have_no_way_to_what_is_wanted(text: str) -> None:
    with pytest.raises(IdentityError, match="it is absent"):
        find(read_json(b" " * LARGE + text.encode(), None, None, FORMATS, want(PATHS)), ("a",), "it")


def test_an_object_on_the_way_has_so_many_keys_and_no_more() -> None:
    members = [b'"%d":1' % number for number in range(MAX_KEYS - 1)]
    at_most = large(b'"d":{%b},"a":"x"' % b",".join([*members, b'"x":1', b'"y":1']))
    assert find(read_json(at_most, None, None, FORMATS, want(PATHS)), ("a",), "it") == "x"
    just = b"{%b}" % b",".join([*members, b'"a":"x"'])
    assert len(just) > LARGE
    assert find(read_json(just, None, None, FORMATS, want(PATHS)), ("a",), "it") == "x"
    with pytest.raises(IdentityError, match=f"the body has an object with more than {MAX_KEYS} keys"):
        read_json(just[:-1] + b',"b":1}', None, None, FORMATS, want(PATHS))
