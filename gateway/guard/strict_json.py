# JSON texts read strictly: nothing in them that another parser could read otherwise is guessed at. Pure.

import json
import math
from typing import NoReturn, cast

import msgspec

from gateway.errors import IdentityError
from gateway.model import Json

ANYTHING = msgspec.json.Decoder(msgspec.Raw)
"""Checks a text, lone surrogates included, and builds nothing."""
EXACT = 2**53
"""Below it, floats and integers of the same value are the same number to every parser."""


class Repeated(dict[str, Json]):
    """An object in which at least one key stands more than once."""

    keys_twice: frozenset[str]


def decode(data: bytes) -> Json:
    """Parse a text; objects with a key twice become Repeated. Raises IdentityError."""
    return _decode(_DECODER, data)


def decode_value(data: bytes) -> Json:
    """Parse a text with one reading only; integral floats below 2^53 become integers. Raises IdentityError."""
    return _decode(_VALUE_DECODER, data)


def object_of(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make an object of its members."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    twice = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    repeated = Repeated(found)
    repeated.keys_twice = twice
    return repeated


def _decode(decoder: json.JSONDecoder, data: bytes) -> Json:
    try:
        document = cast("Json", decoder.decode(data.decode()))
    except UnicodeDecodeError:
        raise IdentityError("the body is not valid UTF-8") from None
    except (ValueError, RecursionError):
        raise IdentityError("the body is not valid JSON") from None
    if b"\\u" in data:  # only an escape can leave half of a character: some frameworks answer 500, others replace it
        try:
            ANYTHING.decode(data)
        except msgspec.DecodeError:
            raise IdentityError("the body holds a lone surrogate") from None
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _object_of_different_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Refuse keys that are equal, at least but for case: to some parsers (Go, ASP.NET) the order of these counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    names = "\n".join(found)
    if names.casefold() != names and len({key.casefold() for key in found}) < len(found):
        raise ValueError
    return found


def _number(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return int(number) if number.is_integer() and abs(number) < EXACT else number


_DECODER = json.JSONDecoder(object_pairs_hook=object_of, parse_constant=_refuse_constant)
_VALUE_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_of_different_keys, parse_constant=_refuse_constant, parse_float=_number
)
