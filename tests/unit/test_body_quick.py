# The quick way to read a body comes to what the strict way comes to, value or refusal, or it is not taken.

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard import body
from gateway.guard.body import find, read_json, want
from tests.support.unit import untimed

LIMIT = 1_000_000
PATHS: tuple[tuple[str | int, ...], ...] = (("a",), ("b", "a"), ("c", 0), ("ü",))
KEYS = st.sampled_from(["a", "b", "c", "ü", "d", "A", "Ü", "aa"])
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


def outcome(data: bytes, path: tuple[str | int, ...], *, quickly: bool) -> Any:
    try:
        document = read_json(data, None, None, LIMIT, want(PATHS) if quickly else None)
        value = find(document, path, "it", folds_case=True)
    except IdentityError as error:
        return f"unreadable: {error}"
    return type(value), value


@untimed
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
        assert outcome(data, path, quickly=True) == outcome(data, path, quickly=False)


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
    monkeypatch.delattr(body, "_DECODER")
    assert find(read_json(b'{"a":"x","d":[{"d":1,"d":2}]}', None, None, LIMIT, want(PATHS)), ("a",), "a") == "x"
