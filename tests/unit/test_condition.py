import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard.condition import (
    MAX_COMPARED,
    Condition,
    ConditionError,
    Found,
    ValueKind,
    all_hold,
    contradicts,
    describe,
    implies,
    look,
    make_condition,
    meets,
)
from gateway.model import Json

ABSENT = IdentityError("it is absent", is_absent=True)
UNREADABLE = IdentityError("it cannot be read")
LONG = "é" * (MAX_COMPARED // 2) + "x"


def condition(**test: Any) -> Condition[str]:
    return make_condition("it", ValueKind.JSON, **test)


def asked(of: Condition[str], value: Json | Found | IdentityError) -> bool | None:
    def read(field: str) -> Json | Found:
        assert field == "it"
        if isinstance(value, IdentityError):
            raise value
        return value

    return meets(of, look(of.field, read))


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1.0, 1, True),
        (0.5, 0.5, True),
        (9007199254740993, 9007199254740993, True),
        (9007199254740993, 9007199254740992.0, False),
        (True, True, True),
        (False, False, True),
        (True, 1, False),
        (1, True, False),
        (False, 0, False),
        (0, False, False),
        ("1", 1, False),
        (1, "1", False),
        ("true", True, False),
        ("", "", True),
        ("", None, False),
        (0, None, False),
        (False, None, False),
        ("a", "A", False),
        ("a", ["a"], False),
        ("a", {"a": "a"}, False),
        (0, [], False),
    ],
)
def test_values_are_equal_that_are_of_one_type_and_equal(wanted: Any, value: Json, *, expected: bool) -> None:
    assert asked(condition(equals=wanted), value) is expected
    assert asked(condition(one_of=("another", wanted, 7)), value) is expected


@pytest.mark.parametrize("value", ["", 0, False, [], {}, "x", Found.THERE, LONG])
def test_what_is_there_exists_and_null_does_not(value: Json | Found) -> None:
    assert asked(condition(exists=True), value) is True
    assert asked(condition(exists=False), value) is False
    assert asked(condition(exists=True), None) is False
    assert asked(condition(exists=False), None) is True


@pytest.mark.parametrize("value", [1, True, None, ["a"], {"a": 1}])
def test_a_pattern_matches_nothing_but_text(value: Json) -> None:
    assert asked(condition(matches="*"), value) is False
    assert asked(condition(matches="*"), "") is True


def test_what_is_certain_to_be_absent_has_no_value() -> None:
    assert asked(condition(exists=True), ABSENT) is False
    assert asked(condition(exists=False), ABSENT) is True
    assert asked(condition(equals=1), ABSENT) is False
    assert asked(condition(matches="*"), ABSENT) is False


@pytest.mark.parametrize("test", [{"exists": True}, {"exists": False}, {"equals": 1}, {"matches": "*"}])
def test_of_what_cannot_be_read_nothing_can_be_told(test: dict[str, Any]) -> None:
    assert asked(condition(**test), UNREADABLE) is None


@pytest.mark.parametrize("test", [{"equals": "x"}, {"one_of": ("x",)}, {"matches": "*"}])
def test_of_a_value_that_cannot_be_compared_it_can_only_be_told_that_it_is_there(test: dict[str, Any]) -> None:
    assert asked(condition(**test), Found.THERE) is None
    assert asked(condition(**test), LONG) is None
    assert asked(condition(**test), LONG[:-1]) in {True, False}, "one byte less"


TRUTHS: dict[bool | None, Json | IdentityError] = {True: "x", False: "y", None: UNREADABLE}


@given(st.lists(st.sampled_from([True, False, None]), max_size=5))
def test_all_hold_unless_one_does_not_and_one_that_cannot_be_told_leaves_it_open(truths: list[bool | None]) -> None:
    conditions = [make_condition(at, ValueKind.JSON, equals="x") for at in range(len(truths))]

    def read(at: int) -> Json | Found:
        value = TRUTHS[truths[at]]
        if isinstance(value, IdentityError):
            raise value
        return value

    expected = False if False in truths else None if None in truths else True
    assert all_hold(conditions, read) is expected


@pytest.mark.parametrize(
    ("kind", "test", "key", "right"),
    [
        (ValueKind.JSON, {}, None, "exists = true"),
        (ValueKind.JSON, {"equals": 1, "exists": True}, None, "more than one test (equals, exists)"),
        (ValueKind.JSON, {"one_of": ()}, "one_of", "names no value"),
        (ValueKind.JSON, {"equals": float("nan")}, "equals", "not a number that JSON has"),
        (ValueKind.JSON, {"one_of": (1, float("inf"))}, "one_of", "not a number that JSON has"),
        (ValueKind.JSON, {"equals": LONG}, "equals", "longer than 16384 bytes"),
        (ValueKind.JSON, {"matches": "^a"}, "matches", 'write "*"'),
        (ValueKind.TEXT, {"equals": 1}, "equals", 'write "1"'),
        (ValueKind.TEXT, {"one_of": ("a", True)}, "one_of", 'write "true"'),
        (ValueKind.STATUS, {"equals": "200"}, "equals", "write 200"),
        (ValueKind.STATUS, {"equals": "2xx"}, "equals", "as in [200, 201]"),
        (ValueKind.STATUS, {"one_of": (200, "201")}, "one_of", "write 201"),
        (ValueKind.STATUS, {"equals": 199}, "equals", "from 200 to 599"),
        (ValueKind.STATUS, {"equals": 600}, "equals", "from 200 to 599"),
        (ValueKind.STATUS, {"equals": True}, "equals", "from 200 to 599"),
        (ValueKind.STATUS, {"equals": 200.0}, "equals", "from 200 to 599"),
        (ValueKind.STATUS, {"matches": "2*"}, "matches", "equals = 200"),
        (ValueKind.STATUS, {"exists": True}, "exists", "equals = 200"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_what_would_be_right(
    kind: ValueKind, test: dict[str, Any], key: str | None, right: str
) -> None:
    with pytest.raises(ConditionError, match=re.escape(right)) as raised:
        make_condition("it", kind, **test)
    assert raised.value.key == key


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"equals": "a"}, 'it equals "a"'),
        ({"one_of": (1, True, "b")}, 'it equals 1 or true or "b"'),
        ({"matches": "a*"}, 'it matches "a*"'),
        ({"exists": True}, "it exists"),
        ({"exists": False}, "it does not exist"),
    ],
)
def test_a_condition_can_be_said_in_words(test: dict[str, Any], said: str) -> None:
    assert describe("it", condition(**test)) == said


@pytest.mark.parametrize(
    ("one", "other", "against", "implied"),
    [
        ({"equals": "a"}, {"equals": "a"}, False, True),
        ({"equals": "a"}, {"equals": "b"}, True, False),
        ({"equals": "a"}, {"one_of": ("a", "b")}, False, True),
        ({"one_of": ("a", "b")}, {"equals": "a"}, False, False),
        ({"one_of": ("a", "b")}, {"one_of": ("c",)}, True, False),
        ({"equals": "ab"}, {"matches": "a*"}, False, True),
        ({"equals": "ba"}, {"matches": "a*"}, True, False),
        ({"matches": "a*"}, {"matches": "b*"}, False, False),
        ({"equals": "a"}, {"exists": True}, False, True),
        ({"equals": "a"}, {"exists": False}, True, False),
        ({"exists": False}, {"exists": True}, True, False),
        ({"exists": False}, {"exists": False}, False, True),
        ({"exists": False}, {"matches": "*"}, True, False),
        ({"equals": 1}, {"equals": 1.0}, False, True),
        ({"equals": True}, {"equals": 1}, True, False),
    ],
)
def test_two_conditions_on_one_field_may_rule_each_other_out(
    one: dict[str, Any], other: dict[str, Any], against: bool, implied: bool
) -> None:
    first, second = make_condition("x", ValueKind.JSON, **one), make_condition("x", ValueKind.JSON, **other)
    assert contradicts(first, second) is contradicts(second, first) is against
    assert implies(first, second) is implied
    elsewhere = make_condition("y", ValueKind.JSON, **other)
    assert not contradicts(first, elsewhere)
    assert not implies(first, elsewhere)
