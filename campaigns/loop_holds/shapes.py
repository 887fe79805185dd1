# What is sent: requests that are valid HTTP, within the default limits, and as odd as a stranger can make them.

import gzip
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from campaigns.loop_holds import forms, other_bodies
from gateway.guard.body import MAX_DIGITS, MAX_PARTS
from tests.support.program import Table

MIB = 2**20
LINE = 8 * 1024
HEAD = 64 * 1024
JSON = ("Content-Type", "application/json")
RULES: list[Table] = [
    {
        "name": "users",
        "match": {"path": "/users"},
        "unique": [{"name": "email", "fields": ["body.email"], "normalize": ["trim", "email", "collapse_space"]}],
        "content_encodings": ["gzip"],
    },
    {
        "name": "nested",
        "match": {"path": "/nested"},
        "scope": ["body.z"],
        "unique": [
            {"name": "first", "fields": ["body.list[0]", "body.list[20].a"], "normalize": ["nfkc", "digits"]},
            {"name": "deep", "fields": ["body.email", "body.one.two", "body.list[1000]"]},
        ],
    },
    {
        "name": "keyed",
        "match": {"path": "/keyed"},
        "unique": [{"name": "email", "fields": ["body.email"], "normalize": ["nfc"]}],
        "key": {"ignore": ["body.z", "body.list[0]"]},
        "retry": "replay",
        "content_encodings": ["gzip"],
    },
    {
        "name": "tail",
        "match": {"path": "/tail/{rest*}", "extensions": ["json"]},
        "unique": [{"name": "rest", "fields": ["path.rest"], "normalize": ["casefold"]}],
    },
    {
        "name": "elsewhere",
        "match": {"path": "/elsewhere/{name}"},
        "unique": [
            {
                "name": "all",
                "fields": ["query.ref", "cookie.ref", "header.X-Ref", "path.name", "host"],
                "normalize": ["trim", "collapse_space", "nfkc", "casefold", "email"],
            }
        ],
    },
    forms.RULE,
    *other_bodies.RULES,
]
"""For bodies, values deep in them, keys, a path of any length, values that stand anywhere else, and bodies that are no
JSON."""
BODY_PATHS = ("/users", "/nested", "/keyed")


@dataclass(frozen=True)
class Shape:
    """One request."""

    name: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    method: str = "POST"
    answer: tuple[str, bytes] | None = None
    """What the API answers: its type and its body; the usual, if not this."""
    is_packed: bool = False
    """Whether that body is compressed with gzip."""


def filled(head: bytes, part: bytes, tail: bytes, size: int) -> bytes:
    """As many copies of a part as fit."""
    return head + part * ((size - len(head) - len(tail)) // len(part)) + tail


def numbered(head: bytes, part: Callable[[int], bytes], tail: bytes, size: int) -> bytes:
    """As many parts as fit, each made of its number."""
    parts, left = [head], size - len(head) - len(tail)
    for number in itertools.count():
        made = part(number)
        left -= len(made)
        if left < 0:
            return b"".join(parts) + tail
        parts.append(made)
    raise AssertionError


ELEMENTS: dict[str, bytes] = {
    "empty lists": b"[]",
    "empty objects": b"{}",
    "empty strings": b'""',
    "short strings": b'"a"',
    "strings with an escape": b'"\\n"',
    "strings of brackets": b'"[{"',
    "digits": b"1",
    "numbers of 300 digits": b"7" * 300,
    "numbers of 4,000 digits": b"9" * 4000,
    "fractions": b"1.5",
    "exponents": b"1e5",
    "tiny numbers": b"2.2250738585072011e-308",
    "tiny numbers of 60 digits": b"2." + b"2250738585" * 6 + b"e-308",
    "numbers of as many digits as are compared by value": b"7" * MAX_DIGITS,
    "fractions of 4,000 digits": b"0." + b"7" * 4000,
    "objects": b'{"a":1}',
    "objects with a key twice": b'{"a":1,"a":1}',
    "objects with the field's key": b'{"email":1}',
    "lists 5 deep": b"[[[[[]]]]]",
    "lists 60 deep": b"[" * 60 + b"]" * 60,
    "objects 60 deep": b'{"a":' * 60 + b"1" + b"}" * 60,
    "words": b"true",
    "letters above ASCII": '"é"'.encode(),
}
MEMBERS: dict[str, Callable[[int], bytes]] = {
    "one key again and again": lambda _: b'"a":1,',
    "the field's key again and again": lambda _: b'"email":1,',
    "different keys": lambda number: b'"%x":1,' % number,
    "long different keys": lambda number: b'"%050x":1,' % (number * 7919 % 2**20),
    "keys with an escape": lambda number: b'"\\u00e9%x":1,' % number,
    "keys that casefold to more": lambda number: f'"\u0130ß{number:x}":1,'.encode(),
    "lists under one key": lambda _: b'"list":[' + b"[]," * 5000 + b"0],",
}
TEXTS: dict[str, bytes] = {
    "one long string": b"a",
    "a string of escapes": b"\\n",
    "a string of escaped backslashes": b"\\\\",
    "a string of escaped code points": b"\\u0301",
    "a string of surrogate pairs": b"\\ud83d\\ude00",
    "a string of letters above ASCII": "é".encode(),
    "a string of emoji": "😀".encode(),
    "a string of brackets": b"[",
    "a string of commas": b",",
}
BROKEN: dict[str, Callable[[int], bytes]] = {
    "brackets too deep": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "brackets never closed": lambda size: b"[{" * (size // 2),
    "quotes": lambda size: b'"' * size,
    "blanks": lambda size: b" " * (size - 20) + b'{"email":"a"}',
    "one number": lambda size: b"1" * size,
    "a list cut off": lambda size: b'{"email":"a","list":[' + b'{"a":1},' * (size // 8 - 10),
    "not UTF-8 at its end": lambda size: b'{"email":"a","list":[' + b'"a",' * (size // 4 - 10) + b'"\xff"]}',
}
UNICODE: dict[str, str] = {
    "two kinds of combining marks": "\u0301" * 8 + "\u0323" * 8,
    "runs of one mark": "\u0301",
    "letters that compose to many": "\ufdfa",
    "letters that casefold to three": "\u0390",
    "Hangul jamo": "\u1100\u1161\u11a8",
    "letters of three marks": "\u1faf",
    "white space of every kind": " \u00a0\u2003\u3000\u2028",
    "digits of other scripts": "\u0663\u096b\U0001d7d8",
    "marks of high classes": "\u0345\u0360\u0334\u3099",
}
PATHS: dict[str, str] = {
    "empty segments": "/",
    "dot segments": "/.",
    "escaped dots": "/%2e",
    "parameters": "/a;b",
    "escaped slashes": "/a%2fb",
    "slashes escaped twice": "/a%252fb",
    "backslashes": "/a\\b",
    "percent signs": "%25",
    "NULs": "/a%00b",
    "all of them": "/a%252f%5c;b//%2e%25253b",
    "a URL within": "/resize/https%3A%2F%2Fexample.com%2Fa%2Fb%20c",
    "bytes that are not UTF-8": "/%ff",
    "plain segments": "/a",
    "one long segment": "a",
    "dots": ".",
    "suffixes": ".json",
    "suffixes and slashes": "/.json",
    "escaped suffixes": "%2ejson",
}
QUERIES: dict[str, Callable[[int], str]] = {
    "parameters": lambda number: f"{number:x}=1&",
    "empty parameters": lambda _: "&",
    "escaped names": lambda number: f"%72e{number:x}=%31&",
    "the field again and again": lambda _: "ref=1&",
}


def bodies(sizes: tuple[int, ...]) -> Iterator[tuple[str, bytes]]:
    """Every shape of body in each size."""
    for size in sizes:
        told = f"{size // 1024} KiB"
        head, tail = b'{"email":"ada@example.org","z":1,"one":{"two":2},', b'"end":0}'
        for name, element in ELEMENTS.items():
            yield f"{told}: {name}", filled(head + b'"list":[', element + b",", b"0]}", size)
            yield f"{told}: {name} as the field", filled(b'{"z":1,"email":[', element + b",", b"0]}", size)
        for name, member in MEMBERS.items():
            yield f"{told}: {name}", numbered(head, member, tail, size)
            yield f"{told}: {name}, below a key", numbered(b'{"email":"a","one":{', member, tail + b"}", size)
        for name, text in TEXTS.items():
            yield f"{told}: {name}", filled(head + b'"text":"', text, b'"}', size)
            yield f"{told}: {name} as the field", filled(b'{"email":"', text, b'"}', size)
        for name, make in BROKEN.items():
            yield f"{told}: {name}", make(size)
    for name, element in ELEMENTS.items():
        yield f"as many as are compared by value: {name}", _at_the_bound(element)
    for name, odd in UNICODE.items():
        for size in (1000, 60_000):
            yield f"{size} bytes: {name}", filled(b'{"email":"a', odd.encode(), b'"}', size)
    yield "marks, 15,000 of each of two kinds", f'{{"email": "a{chr(0x301) * 15_000}{chr(0x323) * 15_000}"}}'.encode()


def _at_the_bound(element: bytes) -> bytes:
    """A list that is as long as it may be to be compared by value."""
    parts = 1 + element.count(b",") + element.count(b"[") + element.count(b"{")
    count = min((MAX_PARTS - 10) // parts, (MIB - 200) // (len(element) + 1))
    return b'{"email":"a","z":1,"list":[' + (element + b",") * count + b"0]}"


def all_shapes(sizes: tuple[int, ...] = (16 * 1024, MIB // 4, MIB - 16)) -> Iterator[Shape]:
    """Every request, one by one."""
    count = itertools.count()
    for name, body in bodies(sizes):
        for path in BODY_PATHS:
            key = (("Idempotency-Key", f"k{next(count)}"),) if path == "/keyed" else ()
            yield Shape(f"{path} {name}", path, (JSON, *key), body)
    for name, text in (("blanks", b" "), ("small lists", b"[],")):
        packed = gzip.compress(filled(b'{"email":"a","list":[', text, b"0]}", 64 * MIB), 9)
        yield Shape(f"a gzip bomb of {name}", "/users", (JSON, ("Content-Encoding", "gzip")), packed[: MIB - 1])
        packed = gzip.compress(filled(b'{"email":"a","list":[', text, b"0]}", MIB - 16), 9)
        yield Shape(f"1 MiB of {name} as gzip", "/keyed", (JSON, ("Content-Encoding", "gzip")), packed)
    paths = itertools.product(("/q", "/users", "/tail", "/tail/a"), ("POST", "GET"), PATHS.items(), (1000, LINE - 100))
    for start, method, (name, part), size in paths:
        target = f"{start}{part * (size // len(part))}"
        yield Shape(f"a path of {size} bytes: {start} and {name}, {method}", target, method=method)
    yield from _elsewhere()
    for name, kind, body in forms.forms():
        yield Shape(f"a form: {name}", "/forms", (("Content-Type", kind),), body)
    for name, path, kind, body in other_bodies.other_bodies():
        yield Shape(name, path, (("Content-Type", kind),), body)


def _elsewhere() -> Iterator[Shape]:
    """Values that stand in the query, in cookies, in header lines and in the path."""
    good = (("X-Ref", "1"), ("Cookie", "ref=1"))
    for name, part in QUERIES.items():
        query = numbered(b"ref=1&", lambda number, part=part: part(number).encode(), b"", LINE - 200).decode()  # type: ignore[misc]
        yield Shape(f"a query of {name}", f"/elsewhere/a?{query}", good)
        cookie = numbered(b"ref=1;", lambda number, part=part: part(number).encode(), b"", LINE - 200).decode()  # type: ignore[misc]
        cookies = [("Cookie", cookie.replace("&", ";"))] * 7
        yield Shape(f"cookies of {name}", "/elsewhere/a?ref=1", (("X-Ref", "1"), *cookies))
    for name, odd in UNICODE.items():
        octets = (odd * 400).encode()[:1000].decode("latin-1")
        yield Shape(f"a header line: {name}", "/elsewhere/a?ref=1", (("X-Ref", octets), ("Cookie", "ref=1")))
        escaped = "".join(f"%{byte:02x}" for byte in (odd * 20).encode())[:900]
        yield Shape(f"the query's value: {name}", f"/elsewhere/a?ref={escaped}", good)
        yield Shape(f"the path's value: {name}", f"/elsewhere/{escaped}?ref=1", good)
    lines = tuple((f"X-{number}", "a" * 600) for number in range(90))
    yield Shape("ninety header lines", "/elsewhere/a?ref=1", (*good, *lines))
    yield Shape("header lines that look alike", "/elsewhere/a?ref=1", (*good, *[("X_Ref", "1")] * 90))
    yield Shape("a long Connection", "/elsewhere/a?ref=1", (*good, ("Connection", ",".join(["x"] * 4000))))
    yield Shape("a long token", "/users", (JSON, ("Authorization", "Bearer " + "a" * 7000)), b'{"email":"token"}')
