# Bodies that a stranger may send, or begin to send: those that frameworks refuse, leave unread or fail at.

from campaigns.evasions.message import (
    ADA,
    JSON,
    Attempt,
    Message,
    by_stranger,
    chunked,
    deflate,
    encoded,
    plain,
    raw_deflate,
    zipped,
)
from campaigns.evasions.rules import ORDINARY
from campaigns.evasions.table.bodies import FORM, MULTIPART
from campaigns.evasions.table.multiparts import PHOTO, part
from campaigns.evasions.table.values import TEXTS

LARGE = ADA[:-1] + b', "x": "' + b"x" * 70_000 + b'"}'
HUGE = ADA[:-1] + b', "x": "' + b"x" * 2_000_000 + b'"}'
CHUNKED = b"Transfer-Encoding: chunked"
FORM_TYPE = b"Content-Type: application/x-www-form-urlencoded"
MULTIPART_TYPE = b"Content-Type: multipart/form-data; boundary=x"

CODED = (
    ("gzip", (b"Content-Encoding: gzip",), zipped),
    ("gzip of 2 MB", (b"Content-Encoding: gzip",), lambda body: zipped(body + b" " * 2_000_000)),
    ("gzip of 500 KB", (b"Content-Encoding: gzip",), lambda body: zipped(body + b" " * 500_000)),
    ("deflate", (b"Content-Encoding: deflate",), deflate),
    ("raw deflate", (b"Content-Encoding: deflate",), raw_deflate),
    ("x-gzip", (b"Content-Encoding: x-gzip",), zipped),
    ("gzip as a transfer coding", (b"Transfer-Encoding: gzip, chunked",), lambda body: chunked(zipped(body))),
    ("gzip, not said", (), zipped),
    ("UTF-16", (), encoded("utf-16")),
    ("UTF-16, said", (b"Content-Encoding: identity",), encoded("utf-16")),
    ("in chunks", (CHUNKED,), chunked),
    ("in chunks of a byte", (CHUNKED,), lambda body: b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"),
    (
        "in chunks with extensions",
        (CHUNKED,),
        lambda body: b"%x;%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"x" * 3000, body),
    ),
    ("in chunks with trailers", (CHUNKED,), lambda body: chunked(body)[:-2] + b"X: y\r\n" * 50 + b"\r\n"),
    ("in chunks with a bad size", (CHUNKED,), lambda body: chunked(body)[:-5] + b"zz\r\n"),
    ("in chunks with a bad end", (CHUNKED,), lambda body: chunked(body)[:-2] + b"\xff\xff"),
    ("in chunks without their last", (CHUNKED,), lambda body: chunked(body)[:-5]),
    ("with half of it missing", (b"Content-Length: 60",), plain),
    ("with a byte missing", (b"Content-Length: 36",), plain),
    ("with bytes behind it", (b"Content-Length: 35",), lambda body: body + b"GARBAGE\r\n\r\n"),
    ("without a length", (b"X: y",), lambda _: b""),
)

ATTEMPTS = (
    *(by_stranger("text", name, fields=(JSON,), body=text) for name, text in TEXTS),
    *(
        by_stranger("text", f"no Content-Type: {name}", fields=(), body=text)
        for name, text in (("JSON", ADA), ("a form", FORM), ("many parts", MULTIPART))
    ),
    *(
        Attempt("text", f"members: {name}", Message("/members", fields, body, is_stranger=True), "members")
        for name, fields, body in (
            ("a form", (FORM_TYPE,), FORM),
            ("a form of 6,000 fields", (FORM_TYPE,), FORM + b"&x=1" * 6000),
            ("a form with bad escapes", (FORM_TYPE,), FORM + b"&%ff=%"),
            ("JSON as a form", (FORM_TYPE,), ADA),
            ("many parts", (b"Content-Type: multipart/form-data; boundary=x",), MULTIPART),
            ("many parts, cut short", (b"Content-Type: multipart/form-data; boundary=x",), MULTIPART[:40]),
            ("no parts", (b"Content-Type: multipart/form-data; boundary=x",), ADA),
            ("parts without a boundary", (b"Content-Type: multipart/form-data",), MULTIPART),
        )
    ),
    *(
        Attempt("text", f"signups: {name}", Message("/signups", (kind,), body, is_stranger=True), "signups")
        for name, kind, body in (
            ("a deep name", FORM_TYPE, FORM + b"&x" + b"[a]" * 200 + b"=1"),
            ("a name of 70 KB", FORM_TYPE, FORM + b"&" + b"x" * 70_000 + b"=1"),
            ("a name that is a list and none", FORM_TYPE, FORM + b"&x=1&x[]=1&x[a]=1"),
            (
                "a deep name of a part",
                MULTIPART_TYPE,
                part(b'form-data; name="x%b"' % (b"[a]" * 200), b"1") + MULTIPART,
            ),
            ("200 files", MULTIPART_TYPE, part(PHOTO, b"x") * 200 + MULTIPART),
            (
                "a part in a charset that is none",
                MULTIPART_TYPE,
                part(b'form-data; name="x"', b"x", b"Content-Type: text/plain; charset=x") + MULTIPART,
            ),
        )
    ),
    *(by_stranger("coding", name, fields=(JSON, *lines), coding=coding) for name, lines, coding in CODED),
    *(
        by_stranger("size", f"{what}{how}", fields=(JSON, *lines), body=body, coding=coding)
        for what, body in (("70 KB", LARGE), ("2 MB", HUGE))
        for how, lines, coding in (
            ("", (), plain),
            (" in chunks", (CHUNKED,), chunked),
            (" after Expect", (b"Expect: 100-continue",), plain),
            (", kept", (b"Connection: keep-alive",), plain),
        )
    ),
    *(
        Attempt(
            "size",
            f"{kind}: 70 KB that no rule reads{how}",
            Message(ORDINARY[kind].target, (*ORDINARY[kind].fields, *lines), LARGE, coding=coding, is_stranger=True),
            kind,
        )
        for kind in ("orders", "parcels", "visits", "places")
        for how, lines, coding in (
            ("", (), plain),
            (" in chunks", (CHUNKED,), chunked),
            (" after Expect", (b"Expect: 100-continue",), plain),
        )
    ),
    *(
        Attempt(
            "cut",
            f"{kind}: {name}",
            Message(ORDINARY[kind].target, (*ORDINARY[kind].fields, *lines), body, is_stranger=True),
            kind,
            is_cut=True,
        )
        for kind in ("users", "orders", "parcels", "visits", "places")
        for name, lines, body in (
            ("a whole request", (), ADA),
            ("half a body", (b"Content-Length: 70",), ADA),
            ("no body", (b"Content-Length: 35",), b""),
            ("70 KB", (), LARGE),
            ("70 KB of 140", (b"Content-Length: 140000",), LARGE),
            ("half a chunk", (CHUNKED,), b"ff\r\n" + ADA),
            ("a chunk that is none", (CHUNKED,), b"zz\r\n" + ADA),
            ("Expect, and no body", (b"Expect: 100-continue", b"Content-Length: 35"), b""),
        )
    ),
)
