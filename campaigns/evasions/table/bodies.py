# Other spellings of a body: its type, its coding, its keys.

from campaigns.evasions.message import (
    ADA,
    JSON,
    Attempt,
    Coding,
    Message,
    chunked,
    deflate,
    encoded,
    plain,
    raw_deflate,
    zipped,
)

FORM = b"email=ada<n>@example.org"
BOTH = b'{"email": "eve<n>@example.org", "x": "&email=ada<n>@example.org&"}'
"""Another address to those who read JSON, and Ada's to those who read a form."""
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nada<n>@example.org\r\n--x--\r\n'

TYPES = (
    *(b"text/plain", b"text/json", b"text/x-json", b"application/x-json", b"application/jsonp", b"application/json5"),
    *(b"Application/JSON", b"application/json ", b"application/json;", b"application/json ;", b"application/json; ;"),
    *(
        b"application/vnd.api+json",
        b"application/+json",
        b"/+json",
        b"x+json",
        b"+json",
        b"json",
        b"application/",
        b"/",
    ),
    *(b"application/json,text/plain", b"text/plain,application/json", b"application/json, application/json", b""),
    *(
        b"application/json\x0b",
        b"application/json\x00",
        b"application/\xc5\xbfjson",
        b"application/json\xa0",
        b"\xffapplication/json",
    ),
    *(b"application/json; charset=utf-8", b'application/json; charset="UTF-8"', b"application/json; charset=utf8"),
    *(b"application/json; charset=utf-16", b"application/json; charset=utf-7", b"application/json; charset=latin1"),
    *(b"application/json; charset=utf-8; charset=utf-16", b"application/json; charset=", b"application/json; charset"),
    *(
        b"application/json; charset*=utf-8''utf-16",
        b"application/json; charset*0=utf-",
        b"application/json; q*=x'y'%ff",
    ),
    *(b'application/json; charset="utf-16', b"application/json; charset='utf-16'", b"application/json; CHARSET=UTF-16"),
    *(
        b"application/json; x=y; boundary=z",
        b"application/json; profile=a/b+json",
        b"application / json",
        b"application/json x",
    ),
    *(
        b"*/*",
        b"application/*",
        b"application/octet-stream",
        b"application/cbor",
        b"application/xml",
        b"multipart/mixed",
    ),
    *(b"application/problem+json", b"application/ld+json", b"application/x-ndjson", b"application/json-seq"),
)
FORM_TYPES = (
    *(b"application/x-www-form-urlencoded,x/y+json", b"application/x-www-form-urlencoded, x/y+json"),
    *(b"application/x-www-form-urlencoded; x=a/b+json", b"application/x-www-form-urlencoded+json"),
    *(b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded; charset=utf-8"),
    *(b'application/x-www-form-urlencoded; x="+json', b"application/x-www-form-urlencoded x+json", b"application/json"),
    *(
        b"Application/X-WWW-Form-Urlencoded",
        b"application/x-www-form-urlencoded ;+json",
        b"x/y+json,application/x-www-form-urlencoded",
    ),
)
CODINGS: tuple[tuple[str, tuple[bytes, ...], Coding], ...] = (
    ("gzip", (b"Content-Encoding: gzip",), zipped),
    ("x-gzip", (b"Content-Encoding: x-gzip",), zipped),
    ("GZIP", (b"Content-Encoding: GZIP",), zipped),
    ("deflate", (b"Content-Encoding: deflate",), deflate),
    ("raw deflate", (b"Content-Encoding: deflate",), raw_deflate),
    ("gzip, not said", (), zipped),
    ("gzip that is none", (b"Content-Encoding: gzip",), plain),
    ("deflate that is none", (b"Content-Encoding: deflate",), plain),
    ("identity", (b"Content-Encoding: identity",), plain),
    ("an empty coding", (b"Content-Encoding: ",), plain),
    ("br that is none", (b"Content-Encoding: br",), plain),
    ("an unknown coding", (b"Content-Encoding: x",), plain),
    ("gzip, identity", (b"Content-Encoding: gzip, identity",), zipped),
    ("gzip twice", (b"Content-Encoding: gzip, gzip",), lambda body: zipped(zipped(body))),
    ("two codings", (b"Content-Encoding: identity", b"Content-Encoding: gzip"), zipped),
    ("gzip with a byte behind", (b"Content-Encoding: gzip",), lambda body: zipped(body) + b"x"),
    ("two members of gzip", (b"Content-Encoding: gzip",), lambda body: zipped(body[:9]) + zipped(body[9:])),
    ("gzip cut short", (b"Content-Encoding: gzip",), lambda body: zipped(body)[:-4]),
    ("Content_Encoding: gzip", (b"Content_Encoding: gzip",), zipped),
    ("gzip as a transfer coding", (b"Transfer-Encoding: gzip, chunked",), lambda body: chunked(zipped(body))),
    ("chunked", (b"Transfer-Encoding: chunked",), chunked),
    ("UTF-16", (b"Content-Encoding: identity",), encoded("utf-16")),
)
UTF_7_KEY = b'{"email": "eve<n>@example.org", "+AGU-mail": "ada<n>@example.org"}'
UTF_7_VALUE = b'{"email": "+AGE-da<n>@example.org"}'
CHARSETS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037")
KEYS: tuple[tuple[str, bytes], ...] = (
    ("a key twice, the last is Ada's", b'{"email": "eve<n>@example.org", "email": "ada<n>@example.org"}'),
    ("a key twice, the first is Ada's", b'{"email": "ada<n>@example.org", "email": "eve<n>@example.org"}'),
    ("a key twice, alike", b'{"email": "ada<n>@example.org", "email": "ada<n>@example.org"}'),
    ("an escape in the key", b'{"\\u0065mail": "ada<n>@example.org"}'),
    ("a key twice, once with an escape", b'{"email": "eve<n>@example.org", "\\u0065mail": "ada<n>@example.org"}'),
    ("an escape with a capital", b'{"email": "eve<n>@example.org", "\\u0045mail": "ada<n>@example.org"}'),
    ("Email", b'{"Email": "ada<n>@example.org"}'),
    ("EMAIL beside email", b'{"email": "eve<n>@example.org", "EMAIL": "ada<n>@example.org"}'),
    ("email behind Email", b'{"Email": "eve<n>@example.org", "email": "ada<n>@example.org"}'),
    ("a blank in the key", b'{"email ": "ada<n>@example.org", "email": "eve<n>@example.org"}'),
    ("NUL in the key", b'{"email": "eve<n>@example.org", "email\\u0000": "ada<n>@example.org"}'),
    ("a dotted i in the key", '{"email": "eve<n>@example.org", "ema\u0130l": "ada<n>@example.org"}'.encode()),
    ("a zero-width space in the key", '{"email": "eve<n>@example.org", "email\u200b": "ada<n>@example.org"}'.encode()),
    ("a list around it", b'[{"email": "ada<n>@example.org"}]'),
    ("an object around it", b'{"data": {"email": "ada<n>@example.org"}}'),
    ("__proto__", b'{"__proto__": {"email": "ada<n>@example.org"}}'),
    ("a key with brackets", b'{"email[]": "ada<n>@example.org", "email": "eve<n>@example.org"}'),
)
RISKS: tuple[tuple[str, bytes], ...] = (
    ("a long s in the key", '{"risk": "x<n>", "ri\u017fk": "r<n>"}'.encode()),
    ("a Kelvin sign in the key", '{"risk": "x<n>", "ris\u212a": "r<n>"}'.encode()),
    ("a long s alone", '{"ri\u017fk": "r<n>"}'.encode()),
    ("a Kelvin sign alone", '{"ris\u212a": "r<n>"}'.encode()),
    ("a long s as an escape", b'{"risk": "x<n>", "ri\\u017fk": "r<n>"}'),
    ("a Kelvin sign as an escape", b'{"ris\\u212a": "r<n>", "risk": "x<n>"}'),
)

ATTEMPTS = (
    *(
        Attempt("type", f"{kind}: {name!r}", Message(f"/{kind}", (b"Content-Type: " + name,)), kind)
        for name in TYPES
        for kind in ("users", "notes")
    ),
    *(
        Attempt("type", f"{what} as {name!r}", Message("/members", (b"Content-Type: " + name,), body), "members")
        for name in FORM_TYPES
        for what, body in (("a form", FORM), ("JSON with a form in it", BOTH))
    ),
    *(
        Attempt("type", f"{kind}: no Content-Type, {what}", Message(f"/{kind}", (), body), kind)
        for kind in ("users", "notes", "members")
        for what, body in (("JSON", ADA), ("a form", FORM), ("both", BOTH))
    ),
    *(
        Attempt(
            "type", f"multipart as {name!r}", Message("/members", (b"Content-Type: " + name,), MULTIPART), "members"
        )
        for name in (
            *(b"multipart/form-data; boundary=x", b"multipart/form-data, x/y+json; boundary=x", b"multipart/form-data"),
            *(
                b"multipart/form-data+json; boundary=x",
                b'multipart/form-data; boundary="x"; x=/y+json',
                b"application/json",
            ),
        )
    ),
    Attempt(
        "type",
        "Content_Type beside it",
        Message("/members", (JSON, b"Content_Type: application/x-www-form-urlencoded"), BOTH),
        "members",
    ),
    Attempt(
        "type",
        "Content-Type twice",
        Message("/members", (JSON, b"Content-Type: application/x-www-form-urlencoded"), BOTH),
        "members",
    ),
    Attempt("type", "Content-Type, named by Connection", Message("/members", (JSON, b"Connection: Content-Type"))),
    *(
        Attempt("coding", f"{kind}: {name}", Message(f"/{kind}", (JSON, *lines), ADA, coding), kind)
        for name, lines, coding in CODINGS
        for kind in ("users", "notes")
    ),
    *(
        Attempt("charset", f"{name}{said.decode()}", Message("/notes", (JSON + said,), ADA, encoded(name)), "notes")
        for name in CHARSETS
        for said in (b"", b"; charset=%b" % name.encode(), b"; charset*=%b" % name.encode())
    ),
    *(
        Attempt("charset", f"UTF-7 in {what}, {said!r}", Message("/notes", (JSON + said,), body), "notes")
        for what, body in (("the key", UTF_7_KEY), ("the value", UTF_7_VALUE))
        for said in (b"", b"; charset=utf-7", b"; charset*=utf-8''utf-7", b"; charset=UTF7", b"; x=y; charset=utf-7")
    ),
    *(
        Attempt("keys", f"{kind}: {name}", Message(f"/{kind}", (JSON,), body), kind)
        for name, body in KEYS
        for kind in ("users", "notes")
    ),
    *(Attempt("keys", name, Message("/risks", (JSON,), body), "risks") for name, body in RISKS),
)
