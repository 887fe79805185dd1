# Reading a JSON body strictly, only to find identities in it, or one of MessagePack, which has the same values. Pure;
# the original bytes go on untouched.
#
# It is read strictly: where another parser could come to another value (a key twice, bytes
# that are not UTF-8, a lone surrogate, NaN) it is unreadable here rather than guessed at. Forms and XML: other_body.py.

import json
import math
import re
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, cast

import msgspec

from gateway.errors import IdentityError
from gateway.guard.content import BodyFormats, is_msgpack, json_text, plain
from gateway.guard.large_body import LARGE, Way, read_wanted, ways
from gateway.guard.msgpack_body import read_msgpack
from gateway.guard.strict_json import Repeated, decode, decode_value
from gateway.model import Json

MAX_DEPTH = 64
"""Levels of nesting that are read; what an API behind us makes of deeper texts is anybody's guess."""

MAX_BRACKETS = 256 * 1024
"""Brackets in a body, outside of strings."""
MAX_PARTS = 8 * 1024
"""Commas and opening brackets of a large body that is compared by value: each value has one."""
MAX_DIGITS = 64
"""Digits in a row in such a body: the time that a number takes grows with their square."""

_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_STRING = re.compile(rb'"[^"]*"?')
_AT_ONCE = 65536
"""Strings taken out in one go: each leaves an object behind until the go is over."""
_NOT_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""One level down and one up, as signed bytes."""


class Wanted(msgspec.Struct, frozen=True):
    """The ways down to the values that will be read from a body."""

    paths: tuple[tuple[str | int, ...], ...]
    quoted_keys: tuple[bytes, ...]
    """Every key on them, as it stands in a JSON text that has no escapes."""
    way: Way
    """The same paths, merged."""


def want(paths: Iterable[tuple[str | int, ...]]) -> Wanted:
    """Prepare for reading the same paths from many bodies."""
    found = tuple(dict.fromkeys(paths))
    keys = dict.fromkeys(key for path in found for key in path if isinstance(key, str))
    return Wanted(found, tuple(json.dumps(key, ensure_ascii=False).encode() for key in keys), ways(found))


def read_json(
    data: bytes,
    content_type: str | None,
    content_encoding: str | None,
    formats: BodyFormats,
    wanted: Wanted | None = None,
) -> Json:
    """Parse a body of JSON (RFC 8259), or of MessagePack, if `formats` say that it is read as that.

    With `wanted`, only those paths are good to be read from the result; that may take a tenth of the time.
    Raises IdentityError, CodingNotAccepted, and BodyTooLarge when the inflated text exceeds its limit.
    """
    if formats.msgpack and is_msgpack(content_type):
        return read_msgpack(plain(data, content_encoding, formats), None if wanted is None else wanted.way)
    data = json_text(data, content_type, content_encoding, formats)
    refuse_deep(data)
    return read_text(data, wanted)


def read_text(data: bytes, wanted: Wanted | None = None) -> Json:
    """Parse a JSON text that is not too deep (refuse_deep) as read_json does. Raises IdentityError."""
    if wanted is not None:
        if len(data) > LARGE:
            return read_wanted(data, wanted.way)
        if data.find(b"\\") < 0:
            document = _read_quickly(data, wanted)
            if document is not None:
                return document
    return decode(data)


def read_value(data: bytes, content_type: str | None, content_encoding: str | None, formats: BodyFormats) -> Json:
    """Parse a body as read_json does, but refuse it when any part of it can be read in two ways.

    A large one is also refused when to read and write all of it would hold up other requests. Integral floats below
    2^53 become the integer they equal. Raises IdentityError and BodyTooLarge.
    """
    data = json_text(data, content_type, content_encoding, formats)
    if len(data) > LARGE and _is_slow(data):
        raise IdentityError("the body has too many values, or a number of too many digits")
    refuse_deep(data)
    return decode_value(data)


def parse(data: bytes) -> Json:
    """Parse JSON that stands elsewhere than in a body, as strictly. Raises IdentityError."""
    refuse_deep(data)
    return decode(data)


def refuse_deep(data: bytes) -> None:
    """Raise IdentityError when brackets nest beyond MAX_DEPTH, or are too many to say so quickly."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    brackets = _brackets(data)
    if len(brackets) > MAX_BRACKETS:
        raise IdentityError(f"the body has more than {MAX_BRACKETS} brackets")
    if max(accumulate(array("b", brackets), initial=0)) > MAX_DEPTH:
        raise IdentityError(f"the body is nested deeper than {MAX_DEPTH} levels")


def _is_slow(data: bytes) -> bool:
    """Whether reading and writing all of a text would take long. Counts marks within strings as well: that is quick."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_PARTS:
        return True
    return data.translate(_DIGITS_ALIKE).find(b"0" * (MAX_DIGITS + 1)) >= 0


def _read_quickly(data: bytes, wanted: Wanted) -> Json:
    """Have a text without escapes read by a parser that keeps the last of two equal keys, if that cannot matter.

    It cannot where each wanted key stands in the whole text at most once, and leads to a value without keys of its own.
    None means: read it strictly.
    """
    for quoted in wanted.quoted_keys:
        if data.count(quoted) > 1:
            return None
    try:
        document: Json = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for path in wanted.paths:
        value: Any = document
        try:
            for key in path:
                value = value[key]
        except (LookupError, TypeError):
            continue  # as it would be, read strictly
        if isinstance(value, dict | list):
            return None
    return document


def find(
    document: Json, keys: Sequence[str | int], where: str, *, folds_case: bool = False, reads_all: bool = True
) -> Json:
    """Follow `keys` down from `document`; `where` names the field in errors, which never show a value.

    With `folds_case`, a key in another case counts as the same key, because some parsers (Go, ASP.NET) take it for
    that. Without `reads_all`, what is in the value is still to be found. Raises IdentityError when the value is absent,
    or could be read in two ways.
    """
    value = document
    for key in keys:
        if isinstance(key, int):
            if not isinstance(value, list) or key >= len(value):
                raise IdentityError(f"{where} is absent", is_absent=True)
            value = value[key]
            continue
        if not isinstance(value, dict):
            raise IdentityError(f"{where} is absent", is_absent=True)
        if folds_case and _in_another_case(key, value):
            raise IdentityError(f"{where} has a key that differs only in case, which an API may take for the same")
        if key not in value:
            raise IdentityError(f"{where} is absent", is_absent=True)
        if isinstance(value, Repeated) and key in value.keys_twice:
            raise IdentityError(f"{where} stands there more than once")
        value = value[key]
    if reads_all:
        require_one_reading(value, where)
    return value


def _in_another_case(key: str, value: dict[str, Json]) -> bool:
    """Whether an object has another key that is equal to `key` but for case."""
    folded = key.casefold()
    if "\n" not in key and "\n".join(value).casefold().count(folded) <= (key in value):
        return False  # nearly always; folding all keys in one piece is much faster than one by one
    return any(other.casefold() == folded for other in value if other != key)


def _brackets(data: bytes) -> bytes:
    """The brackets outside of strings, as steps. Works on all of the text at once: a loop would hold up the rest."""
    marks = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_STEPS, _NOT_MARKS)
    # Two quotes side by side open and close a string, or close and open one: either way nothing stands between them.
    marks = marks.replace(b'""', b"")
    found = _AT_ONCE
    while found == _AT_ONCE:
        marks, found = _STRING.subn(b"", marks, count=_AT_ONCE)
    return marks


def remove(document: Json, keys: Sequence[str | int]) -> None:
    """Remove the value that `keys` lead down to, if it is there."""
    try:
        above = find(document, keys[:-1], "")
    except IdentityError:
        return
    last = keys[-1]
    if isinstance(above, dict) and isinstance(last, str):
        above.pop(last, None)
    elif isinstance(above, list) and isinstance(last, int) and last < len(above):
        above[last] = None  # what follows it keeps its place


def require_one_reading(value: Json, where: str) -> None:
    """Raise IdentityError for a value that parsers read in different ways; `where` names it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise IdentityError(f"{where} holds a lone surrogate") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise IdentityError(f"{where} is a number out of range")
    elif isinstance(cast("Any", value), bytes):
        raise IdentityError(f"{where} is binary data or an extension of MessagePack, which some readers take for text")
    elif isinstance(value, list):
        for item in value:
            require_one_reading(item, where)
    elif isinstance(value, dict):
        if isinstance(value, Repeated):
            raise IdentityError(f"{where} has a key that stands there more than once")
        for key, item in value.items():
            require_one_reading(key, where)
            require_one_reading(item, where)
