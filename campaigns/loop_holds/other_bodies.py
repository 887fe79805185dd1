# XML, MessagePack and batches that are as slow to read as a stranger can make them, within the default limits.

import struct
from collections.abc import Iterator

from gateway.guard.msgpack_body import MAX_VALUES
from gateway.guard.xml_body import MAX_PARTS
from tests.support.program import Table

MIB = 2**20
XML = "application/xml"
MSGPACK = "application/msgpack"
LINES = "application/jsonl"
ITEMS = 1024
RULES: list[Table] = [
    {
        "name": "xml",
        "match": {"path": "/xml", "when": [{"field": "xml.User", "exists": True}]},
        "unique": [{"name": "email", "fields": ["xml.User.email", "xml.User.name"], "normalize": ["nfkc", "email"]}],
    },
    {
        "name": "msgpack",
        "match": {"path": "/msgpack"},
        "unique": [{"name": "email", "fields": ["body.email", "body.list[0]", "body.one.two"], "normalize": ["email"]}],
        "msgpack": True,
    },
    {
        "name": "batch",
        "match": {"path": "/batch"},
        "each": "body",
        "max_items": ITEMS,
        "msgpack": True,
        "unique": [
            {"name": "email", "fields": ["item.email"], "normalize": ["nfkc", "email"]},
            {"name": "deep", "fields": ["item.a.b"], "normalize": ["nfkc", "casefold"]},
        ],
    },
]
"""XML is read twice: for the condition, and for the identity."""
_USER = b"<email>a</email><name>b</name></User>"


def _elements() -> Iterator[tuple[str, bytes]]:
    most = MAX_PARTS - 40
    for name, part, count in (
        ("line ends", b"\n", MIB - 100),
        ("entities", b"&amp;", MIB // 5 - 100),
        ("characters by number", b"&#228;", MIB // 6 - 100),
        ("empty elements", b"<x/>", most),
        ("elements in elements", b"<x><y/></x>", most // 3),
        ("elements in another namespace", b'<q:x xmlns:q="u"/>', most // 2),
        ("the field again and again", b"<email/>", most),
        ("comments", b"<!---->", most),
        ("instructions", b"<?x?>", most),
        ("CDATA sections", b"<![CDATA[]]>", most),
    ):
        yield name, b"<User>" + part * count + _USER
        yield f"{name} in the field", b"<User><email>" + part * count + b"</email></User>"
    for name, pattern in (("attributes", b' a%d=""'), ("prefixes", b' xmlns:a%d="u%d"')):
        parts = [pattern % ((at,) * pattern.count(b"%d")) for at in range(most)]
        yield name, b"<User" + b"".join(parts)[: MIB - 200].rpartition(b" ")[0] + b">" + _USER
    yield "one long name", b"<" + b"x" * (MIB - 100) + b"/>"
    yield "one long attribute", b"<User a='" + b"&lt;" * (MIB // 4 - 100) + b"'>" + _USER
    yield "one open tag after the other", b"<x>" * (MIB // 3 - 10)


def _packed() -> Iterator[tuple[str, bytes]]:
    most = MAX_VALUES - 40
    tail = b"\xa5email\xa1a\xa3one\x81\xa3two\xa1b"
    for name, part, size in (
        ("numbers", b"\x01", 1),
        ("empty texts", b"\xa0", 1),
        ("texts", b"\xad" + b"x" * 13, 1),
        ("empty maps", b"\x80", 1),
        ("lists in lists", b"\x91" * 40 + b"\x01", 41),
        ("maps in maps", b"\x81\xa1a" * 40 + b"\x01", 81),
        ("extensions", b"\xd4\x01\x01", 1),
    ):
        count = most // size
        in_list = b"\xa4list\xdd" + struct.pack(">I", count) + part * count
        yield f"{name}", b"\x83" + in_list + tail
        count = min(count, 16_000 // len(part))
        yield f"{name} as the field", b"\x81\xa5email\xdd" + struct.pack(">I", count) + part * count
    for name, key in (("the field", b"\xa5email"), ("another key", b"\xa1x"), ("numbers as keys", b"\x01")):
        for count in (9_990, most // 2):
            yield f"{name}, {count} times", b"\xdf" + struct.pack(">I", count) + (key + b"\xa1a") * count
    yield "more numbers than are read", b"\x81\xa4list\xdd" + struct.pack(">I", MIB - 100) + b"\x01" * (MIB - 100)
    yield "one long text", b"\x82\xa1x\xdb" + struct.pack(">I", MIB - 100) + "é".encode() * (MIB // 2 - 50) + tail


def _batches() -> Iterator[tuple[str, str, bytes]]:
    """Name, type and body."""
    room = MIB // ITEMS - 70

    def items(filling: str) -> list[str]:
        return [f'{{"email": "{at}@x", "a": {{"b": "{at}"}}, "z": {filling}}}' for at in range(ITEMS)]

    for name, filling in (
        ("a text", '"' + "x" * room + '"'),
        ("numbers", "[" + "1," * (room // 2 - 2) + "1]"),
        ("objects", "[" + "{}," * 120 + "{}]"),
        ("escapes", '"' + "\\u00e9" * (room // 6) + '"'),
        ("keys", "{" + ",".join([f'"{at}":0' for at in range(room // 8)]) + "}"),
        ("nothing", "0"),
    ):
        yield f"batch of items with {name}", "application/json", f"[{','.join(items(filling))}]".encode()
        yield f"batch of lines with {name}", LINES, "\n".join(items(filling)).encode()
    yield "batch of more items than are read", "application/json", b"[" + b"{}," * (MIB // 3 - 2) + b"{}]"
    yield "batch of empty lines", LINES, b"\n" * (MIB - 1)
    yield "batch of MessagePack", MSGPACK, b"\xdd" + struct.pack(">I", 8000) + b"\x81\xa5email\xa1a" * 8000


def other_bodies() -> Iterator[tuple[str, str, str, bytes]]:
    """Name, path, type and body of each."""
    for name, body in _elements():
        yield f"XML: {name}", "/xml", XML, body
    for name, body in _packed():
        yield f"MessagePack: {name}", "/msgpack", MSGPACK, body
    for name, kind, body in _batches():
        yield name, "/batch", kind, body
