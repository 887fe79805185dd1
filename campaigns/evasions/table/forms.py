# Other spellings of forms, urlencoded and multipart, and of files in them.

from campaigns.evasions.message import Attempt, Coding, Message, chunked, encoded, plain, shown, zipped
from campaigns.evasions.rules import MULTIPART, URLENCODED
from campaigns.evasions.table.multiparts import ADA, BOUNDARIES, BY_ADA, END, EVE, FILES, MULTIPARTS

PAIRS = (
    *(
        b"email=%(ada)b&email=%(ada)b",
        b"email=%(eve)b&email=%(ada)b",
        b"email=%(ada)b&email=%(eve)b",
        b"email&email=%(ada)b",
    ),
    *(b"Email=%(ada)b", b"email=%(eve)b&EMAIL=%(ada)b", b"%%65mail=%(ada)b", b"email=%(eve)b&%%65mail=%(ada)b"),
    *(
        b"+email=%(ada)b",
        b"email=%(eve)b&+email=%(ada)b",
        b"email%%00z=%(ada)b",
        b"email[]=%(ada)b",
        b"[email]=%(ada)b",
    ),
    *(b"email=%(eve)b&email[]=%(ada)b", b"email=%(eve)b&email]=%(ada)b", b"email=%(eve)b&[email]=%(ada)b"),
    *(b"email=%(eve)b&email[x]=%(ada)b", b"email.x=%(eve)b&email=%(ada)b", b"email=%(eve)b&email.x=%(ada)b"),
    *(
        b"email=%(eve)b;email=%(ada)b",
        b"x;email=%(ada)b",
        b"email=%(ada)b;x",
        b"email=%(ada)b;",
        b"x=1%%3bemail=%(ada)b",
    ),
    *(b"email=%(ada)b%%00", b"email=%(ada)b%%0a", b"email=%(ada)b\r\n", b"\r\nemail=%(ada)b", b"email=%(ada)b%%7f"),
    *(b"email=+%(ada)b", b"email=%%20%(ada)b+", b"email=ADA<n>%%40Example.ORG", b"email=%%61da<n>@example.org"),
    *(
        b"email=%%u0061da<n>@example.org",
        b"email=%%c1%%a1da<n>@example.org",
        b"email=%(ada)b&x=%%",
        b"email=%(ada)b&%%ff=1",
    ),
    *(b"_charset_=utf-7&email=%(ada)b", b"_charset_=utf-8&email=%(ada)b", b"email=%(ada)b&_charset_=utf-16"),
    *(b"email=+AGE-da<n>@example.org&_charset_=utf-7", b"?email=%(ada)b", b"&&email=%(ada)b&", b"email==%(ada)b"),
    *(
        b"x=1&amp;email=%(ada)b",
        b"email=%(eve)b&amp;email=%(ada)b",
        b"email=%(eve)b%%26email=%(ada)b",
        b"email%%3d%(ada)b",
    ),
    *(b"x=1&" * 1100 + b"email=%(ada)b", b"email=%(ada)b" + b"&x=1" * 1100, b"x=" + b"y" * 70_000 + b"&email=%(ada)b"),
    *(
        b'{"email": "%(eve)b", "x": "&email=%(ada)b&"}',
        b"email=\xc3\xa4%(ada)b",
        b"email=%(ada)b&\xff=\xff",
        b"email=%(ada)b=x",
    ),
)
URLENCODED_TYPES = (
    *(
        b"; charset=utf-8",
        b"; charset=utf-16",
        b"; charset=utf-7",
        b"; charset=latin1",
        b"; charset",
        b"; charset*=utf-7",
    ),
    *(b"; charset=utf-8; charset=utf-7", b";", b"; x=y", b"; boundary=x", b", application/json", b"+json", b" "),
)
TARGETS = ("?email=eve<n>@example.org", "?email=ada<n>@example.org", "?EMAIL=x<n>@example.org", "?x;email=x<n>")
CODINGS: tuple[tuple[str, tuple[bytes, ...], Coding], ...] = (
    ("gzip", (b"Content-Encoding: gzip",), zipped),
    ("gzip that is none", (b"Content-Encoding: gzip",), plain),
    ("gzip, not said", (), zipped),
    ("chunked", (b"Transfer-Encoding: chunked",), chunked),
    ("UTF-16", (), encoded("utf-16")),
)


def _urlencoded(name: str, body: bytes, kind: bytes = URLENCODED, target: str = "/signups") -> Attempt:
    return Attempt("form", name, Message(target, (kind,), body), "signups")


ATTEMPTS = (
    *(_urlencoded(shown(pairs), pairs % {b"ada": ADA, b"eve": EVE}) for pairs in PAIRS),
    *(_urlencoded(f"as urlencoded{kind!r}", b"email=" + ADA, URLENCODED + kind) for kind in URLENCODED_TYPES),
    *(_urlencoded(f"urlencoded to {target}", b"email=" + ADA, target=f"/signups{target}") for target in TARGETS),
    *(_urlencoded(f"multipart to {target}", BY_ADA + END, MULTIPART, f"/signups{target}") for target in TARGETS),
    *(_urlencoded(f"multipart: {name}", body, MULTIPART) for name, body in MULTIPARTS),
    *(_urlencoded(f"as multipart{kind!r}", BY_ADA + END, MULTIPART[:33] + kind) for kind in BOUNDARIES),
    *(
        Attempt("form", f"{what}: {name}", Message("/signups", (kind, *lines), body, coding), "signups")
        for what, kind, body in (("urlencoded", URLENCODED, b"email=" + ADA), ("multipart", MULTIPART, BY_ADA + END))
        for name, lines, coding in CODINGS
    ),
    *(Attempt("form file", name, Message("/uploads", (MULTIPART,), body), "uploads") for name, body in FILES),
)
