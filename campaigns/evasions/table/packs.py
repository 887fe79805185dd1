# Other spellings of a thing in MessagePack. Each e-mail has 22 bytes once its number is put in.

from campaigns.evasions.message import JSON, Attempt, Message, chunked, plain, shown, zipped
from campaigns.evasions.rules import MSGPACK

NAME = b"\xa5email"
TEXT = b"ada<n>@example.org"
ADA = b"\xb6" + TEXT
EVE = b"\xb6eve<n>@example.org"
ORDINARY = b"\x81" + NAME + ADA
IN_JSON = b'{"email": "ada<n>@example.org"}'

BODIES = (
    *(head + NAME + ADA for head in (b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01")),
    *(b"\x81" + name + ADA for name in (b"\xd9\x05email", b"\xda\x00\x05email", b"\xdb\x00\x00\x00\x05email")),
    *(b"\x81" + NAME + head + TEXT for head in (b"\xd9\x16", b"\xda\x00\x16", b"\xdb\x00\x00\x00\x16")),
    *(b"\x81" + NAME + head + TEXT for head in (b"\xc4\x16", b"\xc5\x00\x16", b"\xc6\x00\x00\x00\x16")),
    *(b"\x81" + NAME + head + TEXT for head in (b"\xc7\x16\x01", b"\xc8\x00\x16\x01", b"\xc7\x16\xff")),
    *(b"\x81" + name + ADA for name in (b"\xc4\x05email", b"\xa5Email", b"\xa5EMAIL", b"\xa6email\x00", b"\xa6 email")),
    *(b"\x82" + NAME + one + NAME + two for one, two in ((EVE, ADA), (ADA, EVE), (ADA, ADA), (b"\xc0", ADA))),
    *(
        b"\x82" + NAME + EVE + name + ADA
        for name in (b"\xd9\x05email", b"\xc4\x05email", b"\xa5Email", b"\xa5EMAIL", b"\xc5\x00\x05email")
    ),
    *(b"\x82" + NAME + EVE + key + ADA for key in (b"\x00", b"\xc0", b"\xc3", b"\xcb" + b"\0" * 8, b"\x91\xa5email")),
    *(b"\x82\xa1x" + value + NAME + ADA for value in (b"\x01", b"\xc0", b"\xc4\x01\xff", b"\xd4\x01\x01", b"\x90")),
    *(b"\x82\xa1x" + value + NAME + ADA for value in (b"\xa1\xff", b"\xc1", b"\x81\x01\x02", b"\xd6\xff" + b"\0" * 4)),
    b"\x82\xa1x" + b"\x91" * 80 + b"\x01" + NAME + ADA,
    b"\x82\xa1x" + b"\x91" * 1200 + b"\x01" + NAME + ADA,
    b"\x82\xa1x\xdd\x00\x01\x11\x70" + b"\x01" * 70_000 + NAME + ADA,
    b"\x82\xa1x\xc6\x00\x01\x11\x70" + b"\xff" * 70_000 + NAME + ADA,
    *(b"\x81" + NAME + text for text in (b"\xb6ADA<n>@Example.ORG", b"\xb8 " + TEXT + b"\n", b"\xb7" + TEXT + b"\x00")),
    *(b"\x81" + NAME + text for text in (b"\xb9\xef\xbb\xbf" + TEXT, b"\xb7" + TEXT + b"\xff", b"\x91" + ADA)),
    *(ORDINARY + behind for behind in (b"\xc0", b"\x00", b"\n", ORDINARY, b"\xc1", b"\x81" + NAME + EVE)),
    *(
        b"\xc0" + ORDINARY,
        b"\x91" + ORDINARY,
        b"\x91\x92" + NAME + ADA,
        b"\x92" + NAME + ADA,
        b"\xef\xbb\xbf" + ORDINARY,
    ),
    *(ORDINARY[:-1], b"\x82" + NAME + ADA, b"\x80" + ORDINARY, b"\xc4\x1d" + ORDINARY, b"\xbd" + ORDINARY, IN_JSON),
    *(b"\x81\xa5email\xb6" + TEXT.replace(b"a", b"\xc1\xa1", 1)[:-1], b"\x81" + NAME + b"\xdb\xff\xff\xff\xff" + TEXT),
)
TYPES = (
    *(b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack", b"Application/MsgPack"),
    *(b"application/vnd.x+msgpack", b"application/msgpack; charset=utf-16", b"application/msgpack;", b"text/msgpack"),
    *(
        b"application/msgpack, x",
        b"application/msgpackx",
        b"application/json",
        b"text/plain",
        b"",
        b"application/x-mpac",
    ),
    *(b"application/octet-stream", b"application/json+msgpack", b"application/msgpack+json"),
)


def _attempt(name: str, message: Message, first: Message | None = None) -> Attempt:
    return Attempt("msgpack", name, message, "packs", first)


ATTEMPTS = (
    *(_attempt(f"{at}: {shown(body)}", Message("/packs", (MSGPACK,), body)) for at, body in enumerate(BODIES)),
    *(_attempt(f"as {kind!r}", Message("/packs", (b"Content-Type: " + kind,), ORDINARY)) for kind in TYPES),
    *(_attempt(f"JSON as {kind!r}", Message("/packs", (b"Content-Type: " + kind,), IN_JSON)) for kind in TYPES),
    _attempt("without a type", Message("/packs", (), ORDINARY)),
    _attempt("after JSON", Message("/packs", (MSGPACK,), ORDINARY), Message("/packs", (JSON,), IN_JSON)),
    _attempt("JSON after JSON", Message("/packs", (JSON,), IN_JSON), Message("/packs", (JSON,), IN_JSON)),
    *(
        _attempt(name, Message("/packs", (MSGPACK, line), ORDINARY, coding))
        for name, line, coding in (
            ("gzip", b"Content-Encoding: gzip", zipped),
            ("said to be gzip", b"Content-Encoding: gzip", plain),
            ("chunked", b"Transfer-Encoding: chunked", chunked),
        )
    ),
)
