# Simple readers of JSON and MessagePack that keep every member of an object, to tell what other readers could find.

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

from campaigns.fuzz.common import Refused

_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
_LENGTHS |= {0xDE: 2, 0xDF: 4}


class Pairs(list[tuple[Any, Any]]):
    """The members of an object, in their order."""


def pairs_of(text: str) -> Any:
    """JSON, as the standard library reads it."""
    return json.loads(text, object_pairs_hook=Pairs)


def follow(document: Any, keys: Sequence[str | int], how: str) -> Any:
    """Go down as a reader does that takes the first or the last of equal keys, or the last of those alike but for case.

    Refused where there is nothing.
    """
    for key in keys:
        if isinstance(key, int):
            if type(document) is not list or key >= len(document):
                return Refused("absent")
            document = document[key]
            continue
        if not isinstance(document, Pairs):
            return Refused("absent")
        if how == "folded":
            found = [value for name, value in document if isinstance(name, str) and name.casefold() == key.casefold()]
        else:
            found = [value for name, value in document if name == key]
        if not found:
            return Refused("absent")
        document = found[0] if how == "first" else found[-1]
    return plain(document)


def plain(document: Any) -> Any:
    """With dicts for members."""
    if isinstance(document, Pairs):
        return {key: plain(value) for key, value in document}
    return [plain(each) for each in document] if isinstance(document, list) else document


def as_json(document: Any, *, is_ascii: bool = True) -> str | None:
    """JSON text with every member, equal keys too; None for what no JSON has."""
    if isinstance(document, Pairs):
        members = []
        for key, value in document:
            text = as_json(value, is_ascii=is_ascii)
            if not isinstance(key, str) or text is None:
                return None
            members.append(f"{json.dumps(key, ensure_ascii=is_ascii)} : {text}")
        return "{ " + "\n, ".join(members) + " }"
    if isinstance(document, list):
        texts = [as_json(each, is_ascii=is_ascii) for each in document]
        return None if None in texts else "[" + " ,".join([text for text in texts if text is not None]) + "]"
    if isinstance(document, bytes) or (isinstance(document, float) and not math.isfinite(document)):
        return None
    return json.dumps(document, ensure_ascii=is_ascii)


def decode_msgpack(data: bytes) -> Any:
    """MessagePack, read with no regard to what follows; binary data and extensions are bytes."""
    return _decode(data, 0)[0]


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    mark, at = data[at], at + 1
    if mark < 0x80 or mark >= 0xE0:
        return (mark if mark < 0x80 else mark - 256), at
    if mark in {0xC0, 0xC2, 0xC3}:
        return {0xC0: None, 0xC2: False, 0xC3: True}[mark], at
    if mark in _NUMBERS:
        form = _NUMBERS[mark]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if 0xD4 <= mark <= 0xD8:
        return b"", at + 1 + 2 ** (mark - 0xD4)
    if mark < 0xC0:
        count, kind = (mark & 0x1F, "text") if mark >= 0xA0 else (mark & 0x0F, "list" if mark >= 0x90 else "map")
    else:
        width = _LENGTHS[mark]
        count, at = int.from_bytes(data[at : at + width], "big"), at + width
        kind = "text" if 0xD9 <= mark <= 0xDB else "list" if mark in {0xDC, 0xDD} else "map" if mark >= 0xDE else "blob"
    if kind == "text":
        return data[at : at + count].decode(), at + count
    if kind == "blob":
        return b"", at + count + (mark >= 0xC7)
    found: list[Any] = []
    for _ in range(count * (2 if kind == "map" else 1)):
        value, at = _decode(data, at)
        found.append(value)
    return (Pairs(zip(found[::2], found[1::2], strict=True)) if kind == "map" else found), at
