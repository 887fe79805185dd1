# JSON and MessagePack: what is wanted of a body against all of it, and against readers that keep one of two equal keys.

import struct
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
    require_same,
)
from campaigns.fuzz.naive import Pairs, as_json, decode_msgpack, follow, pairs_of
from gateway.guard.body import read_json, read_value, want
from gateway.guard.content import JSON_TYPE, BodyFormats
from gateway.guard.field import Field
from gateway.guard.large_body import LARGE
from gateway.model import Json

FORMATS = BodyFormats(2**22, msgpack=True)
WANTED = want([field.keys for field in JSON_FIELDS])
MSGPACK_TYPE = "application/msgpack"
KEYS = ("email", "Email", "list", "one", "two", "a", "z", "é", "x", "")
_SCALARS: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 2**53, 2**53 + 1, 2**64 - 1, -(2**63), 1e-7, 1e22),
    *("", "a", "ada@example.org", "é", "e\u0301", "😀", "\u0000", '"', "\\", "\ufeff", "1", " a ", "x" * 31),
)
Read = Callable[..., Json]


def make_value(random: Random, depth: int = 3) -> Any:
    """Any value of JSON, with keys that are wanted more often than others."""
    kind = random.random()
    if depth and kind < 0.35:
        return Pairs([(random.choice(KEYS), make_value(random, depth - 1)) for _ in range(random.randint(0, 4))])
    if depth and kind < 0.5:
        return [make_value(random, depth - 1) for _ in range(random.choice((0, 1, 2, 21)))]
    return random.choice(_SCALARS)


def make_document(random: Random) -> Pairs:
    """An object that has some of what is wanted, now and then twice."""
    keys = random.sample(KEYS, random.randint(0, 4)) + random.choices(KEYS, k=random.choice((0, 0, 1)))
    members = [(key, make_value(random)) for key in keys]
    members.append(("email", random.choice(_SCALARS)))
    if random.random() < 0.5:
        members.append(("one", Pairs([("two", make_value(random, 1)), (random.choice(KEYS), 1)])))
    random.shuffle(members)
    return Pairs(members)


def require_oracle(kind: str, values: Values, document: Any, fields: Sequence[Field] = JSON_FIELDS) -> None:
    """Raise Broken unless readers that take the first or the last of equal keys, or ignore case, find each value."""
    for field in fields:
        if not isinstance(values[field.text], Refused):
            for how in ("first", "last", "folded"):
                found: Values = {field.text: follow(document, field.keys, how)}
                require_same(f"{kind}, {how} key", {field.text: values[field.text]}, found)


class JsonBody:
    """read_json with what is wanted and without, and read_value."""

    name: str = "json"
    tokens: Sequence[bytes] = (
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"',
            b'"email":',
            b'"Email":',
            b'"list":[',
            b'"one":{',
            b'"two":',
            b"null",
        ),
        *(b"true", b"1", b"1.0", b"1e5", b"-", b"1E400", b"0.1", b"NaN", b"Infinity", b'"\\u0061"', b"\\ud800", b"\\"),
        *(
            b'"e\\u006dail":',
            b"\xef\xbb\xbf",
            b"\xff",
            b"\xc3\xa9",
            b" ",
            b"\n",
            b"\t",
            b"\\u0000",
            b'""',
            b"{}",
            b"[]",
        ),
        *(b'"\xc3\xa9":', b"9007199254740993", b"//", b"'", b"\\n", b"\\ud83d\\ude00", b'"a":', b'"z":'),
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: Read = read_json) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        return (as_json(make_document(random), is_ascii=random.random() < 0.5) or "").encode()

    def read(self, data: bytes) -> Json | Refused:
        attempt(lambda: read_value(data, JSON_TYPE, None, FORMATS))
        return attempt(lambda: self._read(data, JSON_TYPE, None, FORMATS, WANTED))

    def _values(self, data: bytes, *, is_whole: bool = False) -> Values:
        wanted = None if is_whole else WANTED
        return read_values(JSON_FIELDS, lambda: self._read(data, JSON_TYPE, None, FORMATS, wanted), find_in)

    def check(self, data: bytes) -> str:
        strict, quick = self._values(data, is_whole=True), self._values(data)
        require_alike("what is wanted and the whole differ", strict, quick)
        require_alike("a large text and a small one differ", strict, self._values(data + b" " * (LARGE + 1)))
        whole = attempt(lambda: read_value(data, JSON_TYPE, None, FORMATS))
        document = attempt(lambda: read_json(data, JSON_TYPE, None, FORMATS))
        if not isinstance(whole, Refused) and isinstance(document, Refused):
            raise Broken("read_value takes what read_json does not", document.reason)
        if outcome(strict) == "accepted":
            pairs = pairs_of(data.decode("utf-8-sig"))
            require_oracle("json.loads differs", strict, pairs)
            again = as_json(pairs)
            if again is not None:
                require_alike("the same written anew differs", strict, self._values(again.encode()))
        return outcome(strict)

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)


def pack(value: Any, random: Random) -> bytes:
    """MessagePack of a value, in any of the lengths that the format has for it."""
    if isinstance(value, dict | Pairs):
        members = list(value.items()) if isinstance(value, dict) else value
        parts = b"".join([pack(key, random) + pack(each, random) for key, each in members])
        return _length(len(members), random, (0x80, 15), (None, 0xDE, 0xDF)) + parts
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            forms = [(b"\xd3", ">q"), (b"\xcf", ">Q"), (b"\xd2", ">i"), (b"\xce", ">I"), (b"\xd1", ">h"), (b"", ">b")]
            fitting = [mark + struct.pack(form, value) for mark, form in forms if _fits(form, value)]
            return random.choice([each for each in fitting if len(each) > 1 or -32 <= value <= 127])
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            text = value.encode("utf-8", "surrogatepass")
            return _length(len(text), random, (0xA0, 31), (0xD9, 0xDA, 0xDB)) + text
        case _:
            parts = b"".join([pack(each, random) for each in value])
            return _length(len(value), random, (0x90, 15), (None, 0xDC, 0xDD)) + parts


def _fits(form: str, value: int) -> bool:
    try:
        struct.pack(form, value)
    except struct.error:
        return False
    return True


def _length(count: int, random: Random, fixed: tuple[int, int], marks: tuple[int | None, ...]) -> bytes:
    forms = [bytes([fixed[0] + count])] if count <= fixed[1] else []
    for mark, form in zip(marks, (">B", ">H", ">I"), strict=True):
        if mark is not None and _fits(form, count):
            forms.append(bytes([mark]) + struct.pack(form, count))
    return random.choice(forms)


class MsgpackBody:
    """The same of MessagePack: its values are those of JSON."""

    name: str = "msgpack"
    tokens: Sequence[bytes] = (
        *(b"\x80", b"\x81", b"\x82", b"\x90", b"\x91", b"\xa0", b"\xa1a", b"\xa5email", b"\xa5Email", b"\xa4list"),
        *(
            b"\xa3one",
            b"\xa3two",
            b"\xd9\x05email",
            b"\xda\x00\x05email",
            b"\xdb\x00\x00\x00\x05email",
            b"\xc0",
            b"\xc1",
        ),
        *(
            b"\xc2",
            b"\xc3",
            b"\xc4\x01a",
            b"\xd4\x01\x01",
            b"\xc7\x01\xffa",
            b"\xd6\xff\x00\x00\x00\x00",
            b"\xca\x3f\x80\x00\x00",
        ),
        *(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\x00" * 7, b"\xdc\x00\x01"),
        *(b"\xdd\x00\x00\x00\x01", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01", b"\xdf\xff\xff\xff\xff", b"\x01", b"\xff"),
        *(b"\xa2\xc3\xa9", b"\xa1\xff", b"\xa3\xed\xa0\x80"),
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: Read = read_json) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        return pack(make_document(random), random)

    def read(self, data: bytes) -> Json:
        return self._read(data, MSGPACK_TYPE, None, FORMATS, WANTED)

    def _values(self, data: bytes, *, is_whole: bool = False) -> Values:
        wanted = None if is_whole else WANTED
        return read_values(JSON_FIELDS, lambda: self._read(data, MSGPACK_TYPE, None, FORMATS, wanted), find_in)

    def check(self, data: bytes) -> str:
        whole, quick = self._values(data, is_whole=True), self._values(data)
        # Either may refuse: binary data on the way to another field, a key that is no text.
        require_same("what is wanted and the whole differ", whole, quick, both_ways=False)
        require_same("the whole and what is wanted differ", quick, whole, both_ways=False)
        if outcome(quick) != "accepted":
            return outcome(quick)
        pairs = decode_msgpack(data)
        require_oracle("a simple reader differs", quick, pairs)
        text = as_json(pairs) if isinstance(pairs, Pairs | list) else None
        if text is not None:
            body = text.encode()
            same = read_values(JSON_FIELDS, lambda: read_json(body, JSON_TYPE, None, FORMATS, WANTED), find_in)
            require_alike("JSON of equal values differs", quick, same)
            again = pack(pairs, Random(len(data)))
            require_alike("the same written anew differs", quick, self._values(again))
        return outcome(quick)

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        """Repeat it as elements of a list or as members of a map that is wanted, or in itself."""
        if random.random() < 0.3:
            return repeated(data, self.tokens, random)
        is_map, tail = random.random() < 0.5, b"\xa5email\xa1a"
        key = random.choice((b"\xa5email", b"\xa1x", b"\xa0", b"\x01")) if is_map else b""
        name = random.choice((b"\xa4list", b"\xa3one", b"\xa1x"))

        def make(wanted: int) -> bytes:
            part = key + data
            count = max(min(wanted // len(part), 16_000), 1) if part else 1
            mark = b"\xdf" if is_map else b"\xdd"
            return b"\x82" + name + mark + struct.pack(">I", count) + part * count + tail

        return make
