# Reading a MessagePack body strictly, only to find identities in it. Pure; its original bytes go on.
#
# First all of it is walked over: is it whole, is it not too deep, is all text in it UTF-8? Then msgspec takes apart the
# maps and lists on the way to what is wanted, and only that is read. The result is what JSON of the same values gives.

from typing import Any, cast

import msgspec

from gateway.errors import IdentityError
from gateway.guard.large_body import LARGE, MAX_KEYS, Way
from gateway.guard.strict_json import Repeated, object_of
from gateway.model import Json

MAX_DEPTH = 64
"""Levels of nesting that are read, as of JSON."""
MAX_VALUES = 32 * 1024
"""Values and keys in a body: each takes its time, and all other requests wait."""
TOO_LONG = "?" * (LARGE + 1)
"""Stands for a map or list that is too large to be an identity."""


def _fixed_sizes() -> bytes:
    """By its first byte, how many bytes a value has whose size that says; 0 for maps, lists, texts and others."""
    sizes = bytearray(256)
    for mark in (*range(0x80), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)):
        sizes[mark] = 1
    for mark, size in ((0xCA, 5), (0xCB, 9), (0xCC, 2), (0xCD, 3), (0xCE, 5), (0xCF, 9)):
        sizes[mark] = size
    for mark, size in ((0xD0, 2), (0xD1, 3), (0xD2, 5), (0xD3, 9)):
        sizes[mark] = size
    for mark, size in ((0xD4, 3), (0xD5, 4), (0xD6, 6), (0xD7, 10), (0xD8, 18)):
        sizes[mark] = size
    return bytes(sizes)


_SIZES = _fixed_sizes()
_BLOBS = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
"""Binary data and extensions: how many bytes their length has, and what follows it beside the data."""
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_EMPTY_MAP = 0x80
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


class _Key:
    """A key of a map; no two are equal, so that a dict keeps all of them."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


_MAP = msgspec.msgpack.Decoder(dict[_Key, msgspec.Raw], dec_hook=lambda _, value: _Key(value))
_LIST = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ANYTHING = msgspec.msgpack.Decoder()


def read_msgpack(data: bytes, way: Way | None) -> Json:
    """Read what is wanted of a body; only that is good to be read from the result, or all of it with None.

    Binary data and extensions are bytes there, which no JSON has. Raises IdentityError.
    """
    _check(data)
    try:
        return _value(data, LARGE) if way is None else _read(data, way)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed() from None


def _check(data: bytes) -> None:
    """Raise IdentityError unless a text is one whole value that any reader takes."""
    at, size, left, values = 0, len(data), 1, 0
    around: list[int] = []
    while True:
        while not left:
            if not around:
                if at != size:
                    raise _malformed()
                return
            left = around.pop()
        if at >= size:
            raise _malformed()
        left -= 1
        values += 1
        if values > MAX_VALUES:
            raise IdentityError(f"the body has more than {MAX_VALUES:,} values")
        mark = data[at]
        if fixed := _SIZES[mark]:
            at += fixed
            continue
        at += 1
        if 0xA0 <= mark <= 0xBF:
            at = _behind_text(data, at, mark & 0x1F)
        elif (width := _TEXTS.get(mark)) is not None:
            at = _behind_text(data, at + width, int.from_bytes(data[at : at + width]))
        elif (blob := _BLOBS.get(mark)) is not None:
            at += sum(blob) + int.from_bytes(data[at : at + blob[0]])
        else:
            count, at = _count(data, at, mark)
            around.append(left)
            if len(around) > MAX_DEPTH:
                raise IdentityError(f"the body is nested deeper than {MAX_DEPTH} levels")
            left = count


def _behind_text(data: bytes, at: int, length: int) -> int:
    end = at + length
    try:
        data[at:end].decode()
    except UnicodeDecodeError:
        raise IdentityError("the body has a text that is not valid UTF-8") from None
    return end


def _count(data: bytes | memoryview, at: int, mark: int) -> tuple[int, int]:
    """How many values, and keys, a map or list holds, and where they begin. Raises IdentityError for neither."""
    if 0x80 <= mark <= 0x8F:
        return 2 * (mark & 0x0F), at
    if 0x90 <= mark <= 0x9F:
        return mark & 0x0F, at
    if (width := _LISTS.get(mark)) is not None:
        return int.from_bytes(data[at : at + width]), at + width
    if (width := _MAPS.get(mark)) is not None:
        return 2 * int.from_bytes(data[at : at + width]), at + width
    raise _malformed()  # 0xc1, which means nothing


def _read(data: bytes | memoryview, way: Way) -> Json:
    if way.is_value:
        return _value(data, LARGE)
    mark = data[0]
    if _is_map(mark):
        members = _members(data)
        found = object_of([(key, None) for key, _ in members])
        twice = found.keys_twice if isinstance(found, Repeated) else ()
        for key, value in members:
            if key in way.below and key not in twice:  # one of many equal keys would be read for nothing
                found[key] = _read(value, way.below[key])
        return found
    if _is_list(mark):
        elements = _LIST.decode(data)
        return [
            _read(memoryview(element), way.below[at]) if at in way.below else None
            for at, element in enumerate(elements)
        ]
    if _is_blob(mark):
        raise IdentityError("the body has binary data or an extension where a field goes on with a map or a list")
    return None


def _value(data: bytes | memoryview, most: int) -> Json:
    """Read all of a value. One of more than so many bytes that is no text is not built."""
    mark = data[0]
    if _is_blob(mark):
        return cast("Json", b"")
    if not (_is_map(mark) or _is_list(mark)):
        return cast("Json", _ANYTHING.decode(data))
    if len(data) == 1:  # an empty one: there may be thousands
        return {} if mark == _EMPTY_MAP else []
    if len(data) > most:
        return TOO_LONG
    if _is_map(mark):
        return object_of([(key, _value(value, most)) for key, value in _members(data)])
    return [_value(memoryview(element), most) for element in _LIST.decode(data)]


def _members(data: bytes | memoryview) -> list[tuple[str, memoryview]]:
    if _count(data, 1, data[0])[0] > 2 * MAX_KEYS:
        raise IdentityError(f"the body has a map with more than {MAX_KEYS:,} keys on the way to a field")
    members = [(key.value, memoryview(value)) for key, value in _MAP.decode(data).items()]
    for key, _ in members:
        if not isinstance(key, str):
            raise IdentityError(
                "the body has a map on the way to a field with a key that is no text, which some readers make one of"
            )
    return members


def _is_map(mark: int) -> bool:
    return 0x80 <= mark <= 0x8F or mark in _MAPS


def _is_list(mark: int) -> bool:
    return 0x90 <= mark <= 0x9F or mark in _LISTS


def _is_blob(mark: int) -> bool:
    return mark in _BLOBS or 0xD4 <= mark <= 0xD8


def _malformed() -> IdentityError:
    return IdentityError("the body is not valid MessagePack, or something follows it")
