# Reading a few values from a large JSON text without building the rest of it: the event loop waits meanwhile. Pure.
#
# msgspec checks and skips what is asked for as Raw, some twenty times as fast as it is built. So each object and list
# on the way to a value is taken apart by itself, and only the values are read.

from functools import cache
from typing import Any

import msgspec

from gateway.errors import IdentityError
from gateway.guard.strict_json import ANYTHING, Repeated, decode, object_of
from gateway.model import Json

LARGE = 16 * 1024
"""Bytes of a text above which it is read in this way; and of a value, above which it is no identity."""
MAX_KEYS = 10_000
"""Keys of an object on the way to a value."""
MAX_FIRST = 1024
"""Elements of a list that are looked at: those that follow are skipped."""


NOT_JSON = "the body is not valid JSON, or it holds a lone surrogate"


class Way(msgspec.Struct, frozen=True):
    """What is wanted of a value: the value itself, or what is below some of its keys and indices."""

    below: dict[str | int, "Way"]
    is_value: bool = False


def ways(paths: tuple[tuple[str | int, ...], ...]) -> Way:
    """Merge paths that start alike."""
    rest: dict[str | int, list[tuple[str | int, ...]]] = {}
    for path in paths:
        if path:
            rest.setdefault(path[0], []).append(path[1:])
    return Way({key: ways(tuple(tails)) for key, tails in rest.items()}, is_value=() in paths)


def read_wanted(data: bytes, way: Way) -> Json:
    """Read what is wanted; only that is good to be read from the result. Raises IdentityError."""
    try:
        data.decode()  # what is skipped is not checked for this
        return _read(data, way)
    except UnicodeDecodeError:
        raise IdentityError("the body is not valid UTF-8") from None
    except (msgspec.DecodeError, RecursionError):
        raise IdentityError(NOT_JSON) from None


def _read(data: bytes | memoryview, way: Way) -> Json:
    if way.is_value:
        text = bytes(data)
        # A text too long to be an identity is refused as a value once its field is known.
        return decode(text) if len(text) <= LARGE else text.decode()
    if _starts_with(data, b"{"):
        members = members_of(data)
        found = object_of([(key, None) for key, _ in members])
        twice = found.keys_twice if isinstance(found, Repeated) else ()
        for key, value in members:
            if key in way.below and key not in twice:  # one of many equal keys would be read for nothing
                found[key] = _read(value, way.below[key])
        return found
    if _starts_with(data, b"["):
        texts = elements(data, MAX_FIRST - 1) or []
        count = len(texts)
        if count == MAX_FIRST and any(isinstance(at, int) and at >= MAX_FIRST for at in way.below):
            raise IdentityError(f"the body has a list of which only the first {MAX_FIRST} elements are read")
        return [_read(texts[at], way.below[at]) if at in way.below else None for at in range(count)]
    ANYTHING.decode(data)  # nothing is below it, but it may be no JSON at all
    return None


def elements(data: bytes | memoryview, most: int) -> list[bytes] | None:
    """The texts of a list's elements, of which no more than one beyond `most` is taken; None for what is no list.

    Raises DecodeError.
    """
    if not _starts_with(data, b"["):
        return None
    found = msgspec.structs.astuple(_first_elements(most + 1).decode(data))
    return [bytes(text) for text in found[: found.index(None) if None in found else None]]


def _starts_with(data: bytes | memoryview, bracket: bytes) -> bool:
    return bytes(data[:1]) == bracket or bytes(data).lstrip(b" \t\r\n")[:1] == bracket


class _Key:
    """A key of an object; no two are equal, so that a dict keeps all of them."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _TooMany(Exception):
    pass


def members_of(data: bytes | memoryview) -> list[tuple[str, memoryview]]:
    """Take an object apart, with those of its keys that stand there twice. Raises IdentityError, and DecodeError."""
    count = 0

    def make_key(_: type, text: Any) -> _Key:
        nonlocal count
        count += 1
        if count > MAX_KEYS:
            raise _TooMany
        return _Key(text)

    decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=make_key)
    try:
        return [(key.text, memoryview(value)) for key, value in decoder.decode(data).items()]
    except _TooMany:
        raise IdentityError(f"the body has an object with more than {MAX_KEYS} keys") from None


@cache
def _first_elements(count: int) -> msgspec.json.Decoder[Any]:
    """Reads the first elements of a list, and skips those that follow."""
    fields = [(f"at_{at}", msgspec.Raw, None) for at in range(count)]
    return msgspec.json.Decoder(msgspec.defstruct("FirstElements", fields, array_like=True))
