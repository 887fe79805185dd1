# Batches: lists of items in JSON and MessagePack, and JSON texts in lines.

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from campaigns.fuzz.common import (
    JSON_FIELDS,
    MIB,
    OF_VALUES,
    Broken,
    Refused,
    Values,
    attempt,
    find_in,
    outcome,
    read_values,
    repeated,
    require_alike,
)
from campaigns.fuzz.documents import FORMATS, MSGPACK_TYPE, WANTED, JsonBody, make_document, pack, require_oracle
from campaigns.fuzz.naive import Pairs, as_json, follow, pairs_of
from gateway.guard.batch import Batch, read_items
from gateway.guard.content import JSON_TYPE
from gateway.model import Json

LINES_TYPE = "application/x-ndjson"
MOST = 100
LISTED = Batch("body.items", ("items",), WANTED, MOST)
WHOLE = Batch("body", (), WANTED, MOST)
ReadItems = Callable[..., list[Json]]


def _each(items: Sequence[Json]) -> list[Values]:
    return [read_values(JSON_FIELDS, lambda item=item: item, find_in) for item in items]  # type: ignore[misc]


def _require_alike(kind: str, one: Sequence[Values], other: Sequence[Values] | Refused) -> None:
    if isinstance(other, Refused):
        raise Broken(kind, f"the other reading refuses it: {other.reason}")
    if len(one) != len(other):
        raise Broken(kind, f"{len(one)} items, and {len(other)}")
    for first, second in zip(one, other, strict=True):
        require_alike(kind, first, second)


class Items:
    """read_items of a list in an object."""

    name: str = "items"
    tokens: Sequence[bytes] = (
        *JsonBody.tokens,
        b'"items":',
        b'"items":[',
        b'"Items":',
        b"{}",
        b"[]",
        b"[[",
        b"]]",
        b"},{",
        b'"items":{"0":',
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: ReadItems = read_items) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        items = [make_document(random) for _ in range(random.choice((0, 1, 2, 3)))]
        members: list[tuple[Any, Any]] = [("items", items), *make_document(random)[:2]]
        return (as_json(Pairs(members)) or "").encode()

    def read(self, data: bytes) -> list[Json]:
        return self._read(LISTED, data, JSON_TYPE, None, FORMATS)

    def _values(self, batch: Batch, kind: str, data: bytes) -> list[Values] | Refused:
        return attempt(lambda: _each(self._read(batch, data, kind, None, FORMATS)))

    def check(self, data: bytes) -> str:
        found = self._values(LISTED, JSON_TYPE, data)
        if isinstance(found, Refused):
            return found.reason
        document = pairs_of(data.decode("utf-8-sig"))
        lists = [follow(document, ("items",), how) for how in ("first", "last", "folded")]
        if any(len(each) != len(found) for each in lists):
            raise Broken("json.loads finds another list", f"{len(found)} items, and {[len(each) for each in lists]}")
        elements = next(value for key, value in document if key == "items")
        for values, element in zip(found, elements, strict=True):
            require_oracle("json.loads differs in an item", values, element)
        text = as_json(elements)
        if text is not None:
            _require_alike("the list alone differs", found, self._values(WHOLE, JSON_TYPE, text.encode()))
            lines = "\r\n\n".join(as_json(each) or "" for each in elements).replace("\n, ", ", ")
            if not any(isinstance(each, list) and not isinstance(each, Pairs) for each in elements):
                _require_alike("its items in lines differ", found, self._values(WHOLE, LINES_TYPE, lines.encode()))
            if _fits(elements):
                packed = pack(Pairs([("items", elements)]), Random(len(data)))
                same = self._values(LISTED, MSGPACK_TYPE, packed)
                _require_alike("MessagePack of equal items differs", found, same)
        return outcome(found[0]) if found else "no items"

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)


def _fits(value: Any) -> bool:
    """Whether MessagePack has each integer in it."""
    if isinstance(value, list | tuple):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


class Lines:
    """read_items of a JSON text in each line."""

    name: str = "lines"
    tokens: Sequence[bytes] = (
        *JsonBody.tokens,
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\xe2\x80\xa8",
        b"\x0b",
        b"\x85",
        b"}\n{",
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: ReadItems = read_items) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        texts = [
            as_json(make_document(random), is_ascii=random.random() < 0.5) or "" for _ in range(random.randint(1, 3))
        ]
        return random.choice(("\n", "\r\n", "\n\n")).join(text.replace("\n, ", ", ") for text in texts).encode()

    def read(self, data: bytes) -> list[Json]:
        return self._read(WHOLE, data, LINES_TYPE, None, FORMATS)

    def check(self, data: bytes) -> str:
        found = attempt(lambda: _each(self.read(data)))
        if isinstance(found, Refused):
            return found.reason
        lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip(" \t\r\n\x0b\x0c")]
        if len(lines) != len(found):
            raise Broken("another number of lines", f"{len(found)}, and {len(lines)}")
        for values, line in zip(found, lines, strict=True):
            require_oracle("json.loads differs in a line", values, pairs_of(line))
        listed = ("[" + ",".join(lines) + "]").encode()
        same = attempt(lambda: _each(self._read(WHOLE, listed, JSON_TYPE, None, FORMATS)))
        if not (isinstance(same, Refused) and "deeper" in same.reason):
            _require_alike("the same as a list differs", found, same)
        return outcome(found[0]) if found else "no items"

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)
