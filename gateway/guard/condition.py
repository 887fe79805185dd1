# One condition: a field, and one test of its value. What a field is, and how it is read, is its user's own. Pure.
#
# A test holds, or does not, or cannot be told, where a value cannot be read. What follows from the last is for whoever
# asks to say: to count it as "does not hold" may be as wrong as the opposite.

import enum
import json
import math
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from gateway.errors import IdentityError
from gateway.guard.glob import Glob, matches, parse_glob
from gateway.model import Json

MAX_COMPARED = 16 * 1024
"""Bytes in UTF-8 of a value that is compared; of a longer one it can be told only that it is there."""

Scalar = str | int | float | bool


class ValueKind(enum.Enum):
    """What the values of a field are, so that nothing is compared that can never be equal."""

    JSON = "JSON"
    TEXT = "text"
    STATUS = "a status"


class Found(enum.Enum):
    """What stands for a value that cannot be compared."""

    THERE = "there"
    AMBIGUOUS = "ambiguous"
    """It may be read in more than one way, or not at all."""


F = TypeVar("F")


class Condition(msgspec.Struct, Generic[F], frozen=True):
    """A field and its test: one of `values`, `glob` and `exists`."""

    field: F
    values: tuple[Scalar, ...] = ()
    """Of `equals` one, of `one_of` all."""
    glob: Glob | None = None
    exists: bool | None = None


class ConditionError(ValueError):
    """A condition that makes no sense. `key` names the part of it that is wrong, None all of it."""

    def __init__(self, key: str | None, text: str) -> None:
        super().__init__(text)
        self.key = key


def make_condition(
    field: F,
    kind: ValueKind,
    *,
    equals: Scalar | None = None,
    one_of: tuple[Scalar, ...] | None = None,
    matches: str | None = None,
    exists: bool | None = None,
) -> Condition[F]:
    """Make a condition of a field, whose values are of a kind, and of exactly one test.

    Raises ConditionError with a text that says what would be right.
    """
    tests = {"equals": equals, "one_of": one_of, "matches": matches, "exists": exists}
    named = [name for name, value in tests.items() if value is not None]
    if not named:
        raise ConditionError(None, "has no test; write one of equals, one_of, matches and exists, as in exists = true")
    if len(named) > 1:
        raise ConditionError(
            None, f"has more than one test ({', '.join(named)}); write a condition with the same field for each"
        )
    (key,) = named
    if kind is ValueKind.STATUS and key in {"matches", "exists"}:
        reason = "no pattern matches a status, a number" if key == "matches" else "every answer has a status"
        raise ConditionError(key, f"{reason}; write equals = 200, or one_of = [200, 201]")
    if matches is not None:
        try:
            return Condition(field, glob=parse_glob(matches))
        except ValueError as error:
            raise ConditionError(key, f"{json.dumps(matches, ensure_ascii=False)} {error}") from None
    if exists is not None:
        return Condition(field, exists=exists)
    values = one_of or () if equals is None else (equals,)
    if not values:
        raise ConditionError(key, "names no value; write one_of with all that may be there, or exists = true")
    for value in values:
        wrong = _never_equal(kind, value)
        if wrong is not None:
            raise ConditionError(key, wrong)
    return Condition(field, values)


def _never_equal(kind: ValueKind, value: Scalar) -> str | None:
    """Why no value of a kind can ever equal `value`, and what would be right."""
    shown = json.dumps(value, ensure_ascii=False)
    if kind is ValueKind.STATUS:
        if isinstance(value, str):
            right = value if value.isascii() and value.isdigit() else "each status that is meant, as in [200, 201]"
            return f"{shown} is text, and a status is a number; write {right}"
        if isinstance(value, bool | float) or not 200 <= value <= 599:
            return f"{shown} is no status of an answer; write a whole number from 200 to 599"
    elif kind is ValueKind.TEXT and not isinstance(value, str):
        return f'{shown} is not text, and the value of this field is; write "{shown}"'
    if isinstance(value, float) and not math.isfinite(value):
        return f"{shown} is not a number that JSON has; write another one"
    if isinstance(value, str) and _is_long(value):
        return f"is longer than {MAX_COMPARED} bytes, and a value of that length is not compared; write a shorter one"
    return None


def all_hold(conditions: Iterable[Condition[F]], read: Callable[[F], Json | Found]) -> bool | None:
    """Whether all conditions hold; None when that depends on one that cannot be told. `read` as with `look`."""
    found = settle(conditions, lambda field: look(field, read))
    return found if isinstance(found, bool) else None


def settle(
    conditions: Iterable[Condition[F]], see: Callable[[F], Json | Found], *, converts: bool = False
) -> bool | Condition[F]:
    """Whether all conditions hold; the first one that cannot be told, when it depends on that. `see` is as `look`.

    `converts` says that who reads the values may convert their types: then it cannot be told where that matters.
    """
    doubtful = None
    for condition in conditions:
        value = see(condition.field)
        found = meets(condition, value)
        if found is False and converts and might_meet(condition, value):
            found = None
        if found is False:
            return False
        if found is None and doubtful is None:
            doubtful = condition
    return doubtful or True


def look(field: F, read: Callable[[F], Json | Found]) -> Json | Found:
    """A field's value, or what stands for it; None where there is none.

    `read` gives the value, or raises IdentityError, with `is_absent` where it is certain not to be there. A null counts
    as absent.
    """
    try:
        return read(field)
    except IdentityError as error:
        return None if error.is_absent else Found.AMBIGUOUS


def meets(condition: Condition[F], value: Json | Found) -> bool | None:
    """Whether a condition holds for the value of its field, as `look` gives it; None when that cannot be told."""
    if value is Found.AMBIGUOUS:
        return None
    if condition.exists is not None:
        return condition.exists is (value is not None)
    if isinstance(value, Found) or (isinstance(value, str) and _is_long(value)):
        return None
    if condition.glob is not None:
        return isinstance(value, str) and matches(condition.glob, value)
    if isinstance(value, str):
        return value in condition.values
    return any(_equal(value, wanted) for wanted in condition.values)


def might_meet(condition: Condition[F], value: Json | Found) -> bool:
    """Whether a condition that does not hold would hold for a value once its type is converted.

    Pydantic takes "1" for 1, Python true for 1, PHP either for either, and true for any text; a list of one text is
    that text as a key of a JavaScript object, and where lists of one element are unwrapped (Jackson).
    """
    if isinstance(value, list) and any(
        meets(condition, each) is not False or might_meet(condition, each) for each in value
    ):
        return True
    if condition.glob is not None:
        return isinstance(value, int | float) and not isinstance(value, bool) and matches(condition.glob, str(value))
    return any(_might_equal(value, wanted) for wanted in condition.values)


def _might_equal(value: Json | Found, wanted: Scalar) -> bool:
    if isinstance(wanted, bool) and value is not None and bool(value) is wanted:  # "if (body.notify)"
        return True
    if not isinstance(value, Scalar):
        return False
    if isinstance(wanted, str) and not isinstance(value, str):
        if value is True:  # true == "a" in PHP
            return wanted not in {"", "0"}
        if value == 0 and isinstance(_converted(wanted), str):  # 0 == "a" in PHP before 8
            return True
    text = isinstance(value, str)
    is_converted = text != isinstance(wanted, str) or isinstance(value, bool) != isinstance(wanted, bool)
    return is_converted and _converted(value) == _converted(wanted)


_WORDS = {**dict.fromkeys(("true", "t", "yes", "y", "on"), 1), **dict.fromkeys(("false", "f", "no", "n", "off"), 0)}


def _converted(value: Scalar) -> float | str:
    """A value as a number, where it can be taken for one."""
    if not isinstance(value, str):
        try:
            return float(value)
        except OverflowError:
            return str(value)
    try:
        return float(value)
    except ValueError:
        return _WORDS.get(value.strip().lower(), value)


def contradicts(one: Condition[F], other: Condition[F]) -> bool:
    """Whether two conditions on the same field can never hold together."""
    if one.field != other.field:
        return False
    for first, second in ((one, other), (other, one)):
        if first.exists is False and second.exists is not False:
            return True
        if first.values and not any(meets(second, value) for value in first.values):
            return True
    return False


def implies(one: Condition[F], other: Condition[F]) -> bool:
    """Whether a value for which one condition holds makes another one hold, too, as far as that is plain."""
    if one.field != other.field:
        return False
    if one.values:
        return all(meets(other, value) for value in one.values)
    if one.glob is not None:  # for a text, so there is one
        return other.exists is True or (other.glob is not None and other.glob.text == one.glob.text)
    return one.exists == other.exists


def _equal(value: Json, wanted: Scalar) -> bool:
    """Whether two values are of one type and equal: true is not 1, and "1" is not 1; 1.0 and 1 are one number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, str) or isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return isinstance(value, int | float) and value == wanted


def _is_long(value: str) -> bool:
    return len(value) > MAX_COMPARED // 4 and len(value.encode("utf-8", "surrogatepass")) > MAX_COMPARED


def describe(text: str, condition: Condition[F]) -> str:
    """Say a condition in words; `text` names its field."""
    if condition.exists is not None:
        return f"{text} exists" if condition.exists else f"{text} does not exist"
    if condition.glob is not None:
        return f"{text} matches {json.dumps(condition.glob.text, ensure_ascii=False)}"
    values = " or ".join([json.dumps(value, ensure_ascii=False) for value in condition.values])
    return f"{text} equals {values}"
