# What all fuzzed readers share: what a refusal is, what two readings must agree on, and what is told of a failure.

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from gateway.errors import BodyTooLarge, IdentityError, Malformed
from gateway.guard.body import find
from gateway.guard.field import Field, parse_field
from gateway.guard.value import ValueForm, canonical, types_of
from gateway.model import Json

T = TypeVar("T")
MIB = 2**20
OF_VALUES = 25.0
"""Times the text: what the values of a body may take (docs/configuration.md, `body_limit`)."""
ACCEPTED = "accepted"
"""The outcome of an input that is not refused as a whole, and gives at least one value."""
ANY_TYPE = ValueForm(types=types_of(("string", "integer", "number", "boolean", "null", "array", "object")))
JSON_FIELDS = tuple(
    parse_field(f"body.{way}") for way in ("email", "list[0]", "list[20].a", "one.two", "one", '"é"', "z.z.z")
)


@dataclass(frozen=True)
class Refused:
    """What is in place of a value that is refused."""

    reason: str


Values = Mapping[str, Any]
"""By the text of each field its value, or Refused."""


class Broken(Exception):
    """Something that must hold does not. `kind` stays the same while an input is made smaller."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Reader(Protocol):
    """One reader with what has to hold of it. What it calls of the product, tests can swap."""

    name: str
    tokens: Sequence[bytes]
    """What its format is made of."""
    largest: int
    """Bytes of the largest input that is timed."""
    most_memory: float
    """Times the input that reading it may take; of one that is shorter than 64 KiB, times these."""

    def make(self, random: Random) -> bytes:
        """Make an input that is likely to be accepted."""

    def check(self, data: bytes) -> str:
        """Hold one input against all that must hold. Returns its outcome; raises Broken, or what the reader raised."""

    def read(self, data: bytes) -> object:
        """Do with an input what holds up the event loop. Raises only what is documented."""

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        """Choose a way to make inputs of any size out of this one."""


def attempt(read: Callable[[], T]) -> T | Refused:
    """Read, or say why not. Whatever is no documented refusal is raised."""
    try:
        return read()
    except (IdentityError, BodyTooLarge, Malformed) as error:
        return Refused(str(error))


def read_values(fields: Sequence[Field], read: Callable[[], T], take: Callable[[T, Field], Json]) -> Values:
    """The value of each field as it counts; all are Refused when the body is."""
    body = attempt(read)
    if isinstance(body, Refused):
        return dict.fromkeys([field.text for field in fields], body)
    return {field.text: attempt(lambda field=field: canonical(ANY_TYPE, field, take(body, field))) for field in fields}  # type: ignore[misc]


def find_in(document: Json, field: Field) -> Json:
    """Find a value in JSON as identities do."""
    return find(document, field.keys, field.text, folds_case=True)


def outcome(values: Values) -> str:
    """What came of an input, in one text."""
    reasons = [value.reason for value in values.values() if isinstance(value, Refused)]
    return ACCEPTED if len(reasons) < len(values) else reasons[0]


def text_of(value: Json) -> str:
    """A value with its types, for comparison: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def require_same(kind: str, one: Values, other: Values, *, both_ways: bool = True) -> None:
    """Raise Broken where two readings give different values; with `both_ways` also where only the second refuses."""
    for name, value in one.items():
        if isinstance(value, Refused):
            continue
        found = other.get(name)
        if isinstance(found, Refused):
            if both_ways and not is_bound(found):
                raise Broken(kind, f"{name} is {value!r}, and the other reading refuses it: {found.reason}")
        elif text_of(found) != text_of(value):
            raise Broken(kind, f"{name} is {value!r}, and {found!r}")


def require_alike(kind: str, one: Values, other: Values) -> None:
    """Raise Broken where two readings differ, also in what they refuse."""
    require_same(kind, one, other)
    require_same(kind, other, one)


def is_bound(refused: Refused) -> bool:
    """Whether something is refused for its size, which another spelling of it need not have."""
    return any(words in refused.reason for words in ("more than", "longer than", "deeper than", "only the first"))


def spans(data: bytes, tokens: Sequence[bytes], random: Random) -> tuple[int, int]:
    """A stretch of an input, mostly from the start of a token to that of another."""
    places = [0, len(data)]
    for token in random.sample(list(tokens), min(len(tokens), 6)):
        at = data.find(token)
        while at >= 0 and len(places) < 40:
            places.append(at)
            at = data.find(token, at + 1)
    if random.random() < 0.2:
        places += [random.randint(0, len(data)), random.randint(0, len(data))]
    start, end = sorted((random.choice(places), random.choice(places)))
    return (start, end) if end > start else (start, min(len(data), start + 1))


def repeated(data: bytes, tokens: Sequence[bytes], random: Random) -> Callable[[int], bytes]:
    """Repeat a stretch of an input as often as fits, or two of them around what stands between."""
    start, end = spans(data, tokens, random)
    if random.random() < 0.3:
        middle = random.randint(start, end)
        opened, closed = data[start:middle], data[middle:end]
    else:
        opened, closed = data[start:end], b""
    size = max(len(opened) + len(closed), 1)

    def make(wanted: int) -> bytes:
        count = max((wanted - len(data)) // size, 1)
        return data[:start] + opened * count + closed * count + data[end:]

    return make
