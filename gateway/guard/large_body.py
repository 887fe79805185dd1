# Reading a few values from a large JSON text without building the rest of it: the event loop waits meanwhile. Pure.
#
# msgspec checks and skips what is asked for as Raw, some twenty times as fast as it is built. So each object and list
# on the way to a value is taken apart by itself, and only the values are read.

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
        raise IdentityError("the body is not valid JSON, or it holds a lone surrogate") from None


def _read(data: bytes | memoryview, way: Way) -> Json:
    if way.is_value:
        text = bytes(data)
        # A text too long to be an identity is refused as a value once its field is known.
        return decode(text) if len(text) <= LARGE else text.decode()
    if _starts_with(data, b"{"):
        members = _members(data)
        found = object_of([(key, None) for key, _ in members])
        twice = found.keys_twice if isinstance(found, Repeated) else ()
        for key, value in members:
            if key in way.below and key not in twice:  # one of many equal keys would be read for nothing
                found[key] = _read(value, way.below[key])
        return found
    if _starts_with(data, b"["):
        elements = msgspec.structs.astuple(_FIRST_ELEMENTS.decode(data))
        count = elements.index(None) if None in elements else MAX_FIRST
        if count == MAX_FIRST and any(isinstance(at, int) and at >= MAX_FIRST for at in way.below):
            raise IdentityError(f"the body has a list of which only the first {MAX_FIRST} elements are read")
        return [_read(memoryview(elements[at]), way.below[at]) if at in way.below else None for at in range(count)]
    ANYTHING.decode(data)  # nothing is below it, but it may be no JSON at all
    return None


def _starts_with(data: bytes | memoryview, bracket: bytes) -> bool:
    return bytes(data[:1]) == bracket or bytes(data).lstrip(b" \t\r\n")[:1] == bracket


class _Key:
    """A key of an object; no two are equal, so that a dict keeps all of them."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _TooMany(Exception):
    pass


def _members(data: bytes | memoryview) -> list[tuple[str, memoryview]]:
    """Take an object apart, with those of its keys that stand there twice."""
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


_FIRST_ELEMENTS = msgspec.json.Decoder(
    msgspec.defstruct("FirstElements", [(f"at_{at}", msgspec.Raw, None) for at in range(MAX_FIRST)], array_like=True)
)
