# From a value as it was read to the one that counts in an identity: of a type that is taken, bounded, and normalised.
# Pure.

import re
from collections.abc import Callable, Iterable, Mapping
from types import NoneType

import msgspec

from gateway.errors import IdentityError
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import encode
from gateway.guard.normalize import trim
from gateway.guard.strict_json import EXACT
from gateway.model import Json

MAX_VALUE = 1024
"""Bytes of a value that is part of an identity: of a string in UTF-8, of anything else as it is hashed."""
_SHORT = MAX_VALUE // 4
"""Characters that are never more than MAX_VALUE bytes."""
MAX_INTEGER = 2**53 - 1
"""What every parser reads exactly (I-JSON, RFC 7493 2.2)."""
_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "null": frozenset({NoneType}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
}
_NAMES: Mapping[type, str] = {str: "a string", bool: "a boolean", NoneType: "null", list: "an array", dict: "an object"}
_TYPED = frozenset({Source.BODY, Source.JWT, Source.ITEM})
"""Sources whose values have types; elsewhere all are strings."""
_CODED = re.compile(r'\Aj:|["%\\]')
"""What servers undo in a cookie; Express reads JSON behind "j:"."""


def types_of(names: Iterable[str]) -> frozenset[type]:
    """Python's types of values, by the names that JSON has for them. With float, integers may be of any size."""
    return frozenset().union(*[_TYPES[name] for name in names])


class ValueForm(msgspec.Struct, frozen=True):
    """Which values are taken, and what makes two of them equal."""

    normalisers: tuple[Callable[[str], str], ...] = ()
    types: frozenset[type] = types_of(("string", "integer", "boolean", "null"))
    """Those of values in a body or a token: each of these has one spelling. Any other source gives strings only."""
    in_text: frozenset[type] = frozenset()
    """Types that the normalisers take, too, by the text of the value."""
    takes_nothing_else: bool = False
    """Whether the normalisers take only these and strings."""
    pattern: Callable[[str], str] | None = None
    """What must match, after all normalisers; of a string it is the last of these."""
    empty_is_absent: bool = False
    """Whether null is absent, and an empty string is: then refuse_empty is the first of the normalisers, and the last.
    """

    @property
    def keeps_spelling(self) -> bool:
        """Whether equal values are spelt alike, because no normaliser changes them."""
        return {*self.normalisers} <= {self.pattern, refuse_empty}


class EmptyValue(ValueError):
    """A value is empty where that counts as absent."""


def refuse_empty(text: str) -> str:
    """A normaliser that takes no empty text. Raises EmptyValue."""
    if not text:
        raise EmptyValue
    return text


def canonical(form: ValueForm, field: Field, value: Json) -> Json:
    """The value that stands for `value`, which was read from `field`, and for all that count as the same.

    What is too large is refused before it is normalised, because that may take long and all others wait. Raises
    IdentityError.
    """
    if type(value) is str:
        if str not in form.types and field.source in _TYPED and (value or not form.empty_is_absent):
            raise _of_another_type(form, field, value)
        if len(value) > _SHORT and len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE:
            raise IdentityError(f"{field.text} is longer than {MAX_VALUE} bytes")
        if field.source is Source.COOKIE and _CODED.search(value):
            raise IdentityError(
                f'{field.text} has a quote, a percent sign, a backslash or "j:", which servers read differently'
            )
        if field.source is Source.XML:  # types of a schema other than string have none around them, and readers trim
            value = trim(value)
        return _applied(form.normalisers, field, value)
    if value is None and form.empty_is_absent:
        raise IdentityError(f"{field.text} is empty", is_absent=True)
    if type(value) not in form.types or (type(value) is int and abs(value) > MAX_INTEGER and float not in form.types):
        raise _of_another_type(form, field, value)
    if isinstance(value, list | dict | int) and len(encode(value)) > MAX_VALUE:
        raise IdentityError(f"{field.text} is an array, an object or a number of more than {MAX_VALUE} bytes")
    if type(value) in form.in_text:
        return _applied(form.normalisers, field, _text(value))
    if form.takes_nothing_else or form.pattern is not None:
        return _matched(form, field, value)
    return value


def _matched(form: ValueForm, field: Field, value: Json) -> Json:
    """Match a value that is no string by its text, which only an integer has. Raises IdentityError."""
    if type(value) is not int or form.pattern is None:
        number = "a number" if float in form.in_text else "an integer"
        raise IdentityError(f"{field.text} is neither a string nor {number}, as the rule demands")
    _applied((form.pattern,), field, str(value))
    return value


def _text(value: Json) -> str:
    """The text of a number or a boolean as JSON has it: the shortest that reads as the same, 1.0 as 1."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else str(value)


def _applied(functions: Iterable[Callable[[str], str]], field: Field, text: str) -> str:
    try:
        for function in functions:
            text = function(text)
    except EmptyValue:
        raise IdentityError(f"{field.text} is empty", is_absent=True) from None
    except ValueError as error:
        raise IdentityError(f"{field.text} {error}") from None
    return text


def _of_another_type(form: ValueForm, field: Field, value: Json) -> IdentityError:
    """Say what was found and what is taken, by JSON's names; APIs round, coerce or flatten the rest."""
    if isinstance(value, float):
        found = "a number with a fraction or an exponent"
    elif type(value) is int:
        found = "an integer beyond 2^53 - 1" if int in form.types else "an integer"
    else:
        found = _NAMES[type(value)]
    taken = [name for name, types in _TYPES.items() if types <= form.types]
    return IdentityError(f"{field.text} is {found}, and the rule takes only {', '.join(taken)} there")
