# Other spellings of a batch whose items exist: other lists, other lines, and items within items.

from campaigns.evasions.message import JSON, Attempt, Message, chunked, encoded, plain, shown, zipped

LINES = b"Content-Type: application/x-ndjson"
A = b'{"email": "ada<n>@example.org"}'
E = b'{"email": "eve<n>@example.org"}'
E2 = b'{"email": "eva<n>@example.org"}'

LISTS = (
    *(b"[%(a)b]", b"[%(e)b, %(a)b]", b"[%(a)b, %(a)b]", b"[%(e)b, [%(a)b]]", b"[[%(a)b]]", b"[%(e)b, {}, %(a)b]"),
    *(b"[%(e)b, null, %(a)b]", b"[%(e)b, 1, %(a)b]", b'{"0": %(a)b}', b'{"1": %(e)b, "0": %(a)b}', b'{"": %(a)b}'),
    *(b"%(a)b",),
    *(b"[%(e)b, %(a)b,]", b"[%(e)b %(a)b]", b"[%(e)b, /* x */ %(a)b]", b"[%(e)b,, %(a)b]", b"[%(e)b, NaN, %(a)b]"),
    *(b"[,%(a)b]",),
    *(b'[{"email": "eve<n>@example.org", "email": "ada<n>@example.org"}]',),
    *(b'[{"email": "ada<n>@example.org", "email": "x"}]',),
    *(b'[{"email": "eve<n>@example.org", "Email": "ada<n>@example.org"}]', b'[{"Email": "ada<n>@example.org"}]'),
    *(b'[%(e)b, {"email": "ADA<n>@Example.org"}]', b'[{"email": " ada<n>@example.org "}]'),
    *(b'[{"email": ["ada<n>@example.org"]}]',),
    *(b'[{"email": {"x": "ada<n>@example.org"}}]', b'[{"\\u0065mail": "\\u0061da<n>@example.org"}]'),
    *(b'[{"email": "ada<n>@example.org\\u0000"}]',),
    *(b'[%(e)b, {"email": "ada<n>@example.org", "x": "\xff"}]',),
    *(b'[%(e)b, {"email": "ada<n>@example.org", "x": "\\ud800"}]',),
    *(b'[%(e)b, {"x": ' + b"[" * 70 + b"]" * 70 + b', "email": "ada<n>@example.org"}]', b'["x", %(a)b]'),
    *(b'[true, %(a)b]', b'[%(a)b, "x"]'),
    *(b'[%(e)b, {"email": "ada<n>@example.org", "x": NaN}]',),
    *(b'[%(e)b, {"x": "' + b"y" * 20_000 + b'", "email": "ada<n>@example.org"}]',),
    *(b'[{"email": "' + b" " * 2000 + b'ada<n>@example.org"}]', b'"[%(a)b]"', b'[{"email": 1}, %(a)b]'),
    *(b'[{"email": null}, %(a)b]',),
    *(b'[{"items": [%(a)b]}]', b'[{"email": "eve<n>@example.org", "items": [%(a)b]}]', b"[[%(e)b], %(a)b]"),
    *(b"[[], %(a)b]", b"[%(a)b, []]"),
    *(b'[%(e)b, {"email": "ada<n>@example.org" "x": 1}]', b"[%(e)b, {'email': 'ada<n>@example.org'}]"),
    *(b'{"length": 1, "0": %(a)b}',),
    *(b"[" + b'{"email": "x"},' * 600 + b"%(a)b]",),
    *(b"[" + b"".join(b'{"email": "x%d-<n>"},' % at for at in range(600)) + b"%(a)b]",),
    *(b"[" + b"".join(b'{"email": "x%d-<n>"},' % at for at in range(499)) + b"%(a)b]",),
    *(b'[{"email": "ada<n>@example.org", "__proto__": {}}]',),
)  # fmt: skip
AROUND = (
    *(b'{"items": %b}', b'{"items": [], "items": %b}', b'{"items": %b, "items": []}', b'{"Items": %b}'),
    *(b'{"items": [], "Items": %b}',),
    *(b'{"Items": %b, "items": []}', b'{"items": [%(e)b], "ITEMS": %b}', b'{"items[]": %b}'),
    *(b'{"items": [%(e)b], "items[]": %b}',),
    *(b'{"\\u0069tems": %b}', b'{"items": [%(e)b], "\\u0069tems": %b}', b'{"items": null, "items": %b}'),
    *(b'{"items": {"items": %b}}',),
    *(b'{"data": {"items": %b}}', b'[{"items": %b}]', b'{"items": [%(e)b], "x": {"items": %b}}'),
    *(b'{"items": %b} {"items": [%(e)b]}',),
    *(b'{"items": [%(e)b]} {"items": %b}', b'{"items": [%(e)b]}\n{"items": %b}', b'\xef\xbb\xbf{"items": %b}'),
    *(b'{"items": %b,}',),
    *(b'{"items": %b, "x": NaN}', b'{"items": %b, "x": "\xff"}', b'{"items": %b, "x": "\\ud800"}', b'{"items ": %b}'),
    *(b'{" items": %b}',),
    *(b'{"items\\u0000": %b}', b'{"items": [%(e)b], "items\\u0000": %b}', b'{/* */"items": %b}', b"{'items': %b}"),
    *(b"{items: %b}", b"%b"),
    *(b'{"x": "' + b"y" * 20_000 + b'", "items": %b}',),
    *(b'{"x": "' + b"y" * 20_000 + b'", "items": [%(e)b], "Items": %b}',),
    *(b'{"items": %b, "x": ' + b"[" * 70 + b"]" * 70 + b"}", b'{"item\\u017f": %b}'),
    *(b'{"items": [%(e)b], "item\\u017f": %b}', b'{"items": "x", "items": %b}'),
)  # fmt: skip
TEXTS = (
    *(b"%(a)b\n", b"%(e)b\n%(a)b", b"%(e)b\n%(a)b\n", b"%(e)b\r\n%(a)b\r\n", b"%(e)b\r%(a)b", b"%(e)b\r%(a)b\n"),
    *(b"%(e)b\n\r%(a)b",),
    *(b"%(e)b\n\n%(a)b", b"\n%(a)b", b"%(e)b\n \t\n%(a)b", b"%(e)b\xe2\x80\xa8%(a)b", b"%(e)b\xe2\x80\xa9%(a)b"),
    *(b"%(e)b\xc2\x85%(a)b",),
    *(b"%(e)b\x0b%(a)b", b"%(e)b\x0c%(a)b", b"%(e)b\x1c%(a)b", b"%(e)b\x1e%(a)b", b"\x1e%(e)b\n\x1e%(a)b\n"),
    *(b"%(e)b%(a)b", b"%(e)b %(a)b"),
    *(b"%(e)b,%(a)b", b"%(e)b,\n%(a)b", b"%(e)b\x00%(a)b", b"%(e)b\n%(a)b\x00", b"\xef\xbb\xbf%(a)b"),
    *(b"%(e)b\n\xef\xbb\xbf%(a)b",),
    *(b"[%(a)b]", b"[%(e)b,\n%(a)b]", b"%(e)b\n[%(a)b]", b"%(e)b\n[[%(a)b]]", b"[%(e)b]\n[%(a)b]", b'{"x": %(a)b}'),
    *(b"%(e)b\n// x\n%(a)b",),
    *(b"# x\n%(a)b", b"%(e)b\nnull\n%(a)b", b"%(e)b\n1\n%(a)b", b"%(e)b\n\"x\"\n%(a)b", b"%(e)b\nx\n%(a)b"),
    *(b"data: %(a)b\n\n", b"%(e)b\n,%(a)b"),
    *(b'{"email":\n"ada<n>@example.org"}', b'{"email":\r"ada<n>@example.org"}'),
    *(b'{"email": "eve<n>@example.org", "x": "\xe2\x80\xa8"}\n%(a)b',),
    *(b'{"email": "eve<n>@example.org", "x": "\xc2\x85%(a)b\xc2\x85"}',),
    *(b'{"email": "eve<n>@example.org", "x": \r%(a)b\r}',),
    *(b'{"email": "eve<n>@example.org",\r"x":\r%(a)b}', b'{"email": "eve<n>@example.org"\r,"x":[\r%(a)b\r]}'),
    *(b"%(e)b\n%(a)b\r",),
    *(b'{"email": "eve<n>@example.org", "email": "ada<n>@example.org"}\n',),
    *(b'{"email": "eve<n>@example.org", "Email": "ada<n>@example.org"}\n',),
    *(b'{"Email": "ada<n>@example.org"}\n', b"%(e)b\n{\"email\": \"ada<n>@example.org\",}", b"%(a)b\n%(a)b\n"),
    *(b"%(e)b\n{\"email\": \"ADA<n>@example.org\"}",),
    *(b'{"items": [%(a)b]}', b"\n" * 3000 + b"%(a)b\n", b"%(e)b\n" + b" " * 3000 + b"%(a)b"),
    *(b'{"x": NaN, "email": "ada<n>@example.org"}\n', b"%(a)b\n%(e)b"),
)  # fmt: skip
TYPES = (
    *(b"application/json", b"application/x-ndjson", b"application/ndjson", b"application/jsonl"),
    *(b"application/json-seq", b"text/plain"),
    *(b"application/x-ndjson; charset=utf-8", b"application/x-ndjson; charset=utf-16", b"application/X-NDJSON"),
    *(b"application/x-ndjsonx",),
    *(b"application/x-ndjson, application/json", b"application/vnd.x+json", b"application/stream+json"),
    *(b"application/x-ndjson+json", b""),
    *(b"application/json; x=application/x-ndjson", b"application/x-ndjson;", b"text/csv"),
    *(b"application/octet-stream", b"multipart/form-data; boundary=x"),
)  # fmt: skip
CODINGS = (
    ("gzip", (b"Content-Encoding: gzip",), zipped),
    ("gzip that is none", (b"Content-Encoding: gzip",), plain),
    ("chunked", (b"Transfer-Encoding: chunked",), chunked),
    *((f"in {name}", (), encoded(name)) for name in ("utf-16", "utf-16-be", "utf-32", "utf-7")),
)


def _filled(text: bytes) -> bytes:
    return text.replace(b"%(a)b", A).replace(b"%(e)b", E)


def _attempt(name: str, kind: str, message: Message) -> Attempt:
    return Attempt("batch", f"{kind} {name}", message, kind)


ATTEMPTS = (
    *(
        _attempt(f"list {at}: {shown(text)}", "invites", Message("/invites", body=_filled(b'{"items": %b}' % text)))
        for at, text in enumerate(_filled(text) for text in LISTS)
    ),
    *(
        _attempt(f"list {at}: {shown(text)}", "imports", Message("/imports", body=_filled(text)))
        for at, text in enumerate(LISTS)
    ),
    *(
        _attempt(
            f"around {at}: {shown(text)}",
            "invites",
            Message("/invites", body=_filled(text.replace(b"%b", b"[%b, %b]" % (E2, A)))),
        )
        for at, text in enumerate(AROUND)
    ),
    *(
        _attempt(
            f"around {at}: {shown(text)}",
            "imports",
            Message("/imports", body=_filled(text.replace(b"%b", b"[%b]" % A))),
        )
        for at, text in enumerate(AROUND)
    ),
    *(
        _attempt(f"lines {at}: {shown(text)}", "imports", Message("/imports", (LINES,), _filled(text)))
        for at, text in enumerate(TEXTS)
    ),
    *(
        _attempt(f"JSON {at}: {shown(text)}", "imports", Message("/imports", (JSON,), _filled(text)))
        for at, text in enumerate(TEXTS)
    ),
    *(
        _attempt(f"{name} as {kind!r}", "imports", Message("/imports", (b"Content-Type: " + kind,), text))
        for name, text in (("lines", E + b"\n" + A), ("a list", b"[%b, %b]" % (E, A)), ("an object", A))
        for kind in TYPES
    ),
    *(
        _attempt(f"{what}: {name}", "imports", Message("/imports", (kind, *lines), text, coding))
        for what, kind, text in (("lines", LINES, E + b"\n" + A), ("a list", JSON, b"[%b, %b]" % (E, A)))
        for name, lines, coding in CODINGS
    ),
    _attempt("without a type", "imports", Message("/imports", (), A)),
)
