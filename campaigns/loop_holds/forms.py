# Forms that are as slow to read as a stranger can make them, within the default limits.

from collections.abc import Iterator

from tests.support.program import Table

MIB = 2**20
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
RULE: Table = {
    "name": "forms",
    "match": {"path": "/forms"},
    "unique": [
        {"name": "email", "fields": ["form.email", 'form."user[name]"'], "normalize": ["nfkc", "email"]},
        {"name": "ref", "fields": ["form.order_ref", "file.doc.sha256", "file.doc.filename"]},
    ],
}
_OTHERS = b"email=a&user%5bname%5d=b&order_ref=c&"
_NAME = b'form-data; name="%b"'


def forms() -> Iterator[tuple[str, str, bytes]]:
    """Name, type and body of each."""
    for name, body in (
        ("one long value", b"x=" + b"%41" * (MIB // 3 - 40)),
        ("one long name", b"%41" * (MIB // 3 - 40)),
        ("a thousand names with escapes", b"&".join([b"%65mai" + b"%4c" * 18 + b"=1"] * 990)),
        ("a thousand names with brackets", b"&".join([b"user[%20]" + b"[x]" * 18 + b"=1"] * 990)),
        ("ampersands", b"&" * (MIB - 100)),
        ("semicolons", b"x=" + b";%65mail" * 990),
    ):
        yield name, URLENCODED, _OTHERS + body
    fields = b"".join([_part(_NAME % name, b"1") for name in (b"email", b"user[name]", b"order_ref")])
    doc = _NAME % b"doc" + b'; filename="a"'
    for name, content in (("zeros", b"\x00"), ("line ends", b"\r\n"), ("dashes", b"\r\n--"), ("boundaries", b"--x")):
        size = MIB - 1000
        yield f"a file of {name}", MULTIPART, fields + _part(doc, content * (size // len(content))) + b"--x--"
    for name, part in (
        ("small parts", _part(_NAME % b"emailx", b"")),
        ("parts with a long name", _part(_NAME % (b"order" + b"[.]" * 50), b"")),
        ("parts with many lines", _part(_NAME % b"x" + b"\r\nX: y" * 7, b"1")),
        ("parts with a long line", _part(_NAME % b"x" + b"\r\nX: " + b"y" * 900, b"1")),
    ):
        yield f"a thousand {name}", MULTIPART, fields + part * 990 + _part(doc, b"1") + b"--x--"


def _part(disposition: bytes, content: bytes) -> bytes:
    return b"--x\r\nContent-Disposition: %b\r\n\r\n%b\r\n" % (disposition, content)
