# Other spellings of forms of several parts, and of files in them.

ADA = b"ada<n>@example.org"
EVE = b"eve<n>@example.org"
FILE = b"photo<n>\r\n"


def part(disposition: bytes, content: bytes, *lines: bytes) -> bytes:
    """A part with a boundary before it, and none behind it."""
    head = b"\r\n".join([b"Content-Disposition: " + disposition, *lines])
    return b"--x\r\n%b\r\n\r\n%b\r\n" % (head, content)


END = b"--x--\r\n"
NAMED = b'form-data; name="email"'
BY_ADA, BY_EVE = part(NAMED, ADA), part(NAMED, EVE)
PHOTO = b'form-data; name="photo"; filename="a.png"'
MULTIPARTS: tuple[tuple[str, bytes], ...] = (
    ("as it is", BY_ADA + END),
    ("no line end at the end", BY_ADA + b"--x--"),
    ("the name twice, the last is Ada's", BY_EVE + BY_ADA + END),
    ("the name twice, the first is Ada's", BY_ADA + BY_EVE + END),
    *(
        (f"{name!r} beside it", BY_EVE + part(b"form-data; name=" + name, ADA) + END)
        for name in (
            *(
                b'"Email"',
                b'"email[]"',
                b'"[email]"',
                b'" email"',
                b'"email "',
                b'"email\\0"',
                b'"e\\mail"',
                b'"em%61il"',
            ),
            *(b'"x; name=email"', b'"x"; filename="a; name=email"'),
            *(b'"email.x"', b'"=?utf-8?q?email?="', b"email", b"'email'", b'"email', b'"email\x00"', b'"email]"'),
            *(
                b'"x"; name="email"',
                b'"email"; name="x"',
                b'"x"; NAME="email"',
                b'"email"; x=y',
                b'"x\\"; name=\\"email"',
            ),
            *(
                b'"email"; filename="a"',
                b'"email"; filename=""',
                b"\"email\"; filename*=utf-8''a",
                b'"email"; filename',
            ),
        )
    ),
    *(
        (f"{name!r} alone", part(b"form-data; name" + name, ADA) + END)
        for name in (
            *(
                b"=email",
                b'="Email"',
                b'="email[]"',
                b'="em%61il"',
                b'="e\\mail"',
                b"*=utf-8''email",
                b' = "email"',
                b"=email;",
            ),
            *(
                b'="email"; filename=""',
                b'="email"; filename="a"',
                b'="email"; x=y',
                b'="x"; name="email"',
                b"='email'",
            ),
        )
    ),
    ("another disposition", part(b'attachment; name="email"', ADA) + END),
    ("a disposition in capitals", part(b'FORM-DATA; Name="email"', ADA) + END),
    ("two dispositions", part(b'form-data; name="x"', ADA, b"Content-Disposition: " + NAMED) + END),
    ("two dispositions, the other way", part(NAMED, ADA, b'Content-Disposition: form-data; name="x"') + END),
    ("a folded disposition", part(b'form-data;\r\n name="email"', ADA) + END),
    ("a blank before the colon", b"--x\r\nContent-Disposition : " + NAMED + b"\r\n\r\n" + ADA + b"\r\n" + END),
    ("a part without a head before it", b"--x\r\n\r\nx\r\n" + BY_ADA + END),
    ("bare LF", (BY_ADA + END).replace(b"\r\n", b"\n")),
    ("bare CR", (BY_ADA + END).replace(b"\r\n", b"\r")),
    ("LF in the head alone", BY_ADA.replace(b"\r\n\r\n", b"\n\n") + END),
    ("a preamble", b"preamble\r\n" + BY_ADA + END),
    ("a line end before", b"\r\n" + BY_ADA + END),
    ("a preamble with a part behind LF", b"x\n" + BY_ADA + END),
    ("an epilogue", BY_ADA + END + b"epilogue"),
    ("an epilogue with a part", BY_EVE + END + BY_ADA + END),
    ("a part behind LF within another one", part(NAMED, EVE + b"\n" + BY_ADA.replace(b"\r\n", b"\n")) + END),
    ("a part behind LF within a file", BY_EVE + part(PHOTO, b"\n" + BY_ADA[:-2]) + END),
    ("a boundary that goes on", BY_EVE + part(PHOTO, b"\r\n--xy\r\n" + BY_ADA[5:-2]) + END),
    ("blanks behind the boundary", BY_ADA.replace(b"--x\r\n", b"--x \t\r\n") + END),
    ("an end within", part(NAMED, ADA + b"\r\n--x--\r\n" + EVE) + END),
    ("no end", BY_ADA),
    ("no end, Eve's behind it", BY_ADA + BY_EVE[:-2]),
    (
        "base64",
        part(NAMED, b"YWRhPG4+QGV4YW1wbGUub3Jn", b"Content-Transfer-Encoding: base64")
        + part(b'form-data; name="n"', b"<n>")
        + END,
    ),
    *(
        (f"{line.decode()}", part(NAMED, ADA, line) + END)
        for line in (
            *(
                b"Content-Transfer-Encoding: base64",
                b"Content-Transfer-Encoding: quoted-printable",
                b"Content-Encoding: gzip",
            ),
            *(b"Content-Transfer-Encoding: binary", b"Content-Transfer-Encoding: 8bit", b"Content-Length: 3", b"X: y"),
            *(
                b"Content-Type: text/plain; charset=utf-8",
                b"Content-Type: text/plain; charset=utf-16",
                b"Content-Type: x",
            ),
            *(
                b"Content-Type: application/octet-stream",
                b"Content-Type: application/json",
                b"Content-Type: multipart/mixed",
            ),
            b"Content-Type: text/plain; charset=utf-7",
        )
    ),
    (
        "a quoted-printable value",
        part(NAMED, b"=61da<n>@example.org", b"Content-Transfer-Encoding: quoted-printable") + END,
    ),
    ("UTF-7", part(NAMED, b"+AGE-da<n>@example.org", b"Content-Type: text/plain; charset=utf-7") + END),
    (
        "UTF-7 by _charset_",
        part(b'form-data; name="_charset_"', b"utf-7") + part(NAMED, b"+AGE-da<n>@example.org") + END,
    ),
    ("NUL behind the value", part(NAMED, ADA + b"\x00") + END),
    ("a line end behind the value", part(NAMED, ADA + b"\r\n") + END),
    ("blanks around the value", part(NAMED, b" \t" + ADA + b" ") + END),
    ("a byte-order mark before the value", part(NAMED, b"\xef\xbb\xbf" + ADA) + END),
    (
        "nested",
        part(
            NAMED,
            b"--y\r\nContent-Disposition: form-data\r\n\r\n" + ADA + b"\r\n--y--",
            b"Content-Type: multipart/mixed; boundary=y",
        )
        + END,
    ),
    ("1,100 parts before it", part(b'form-data; name="x"', b"") * 1100 + BY_ADA + END),
    ("20 lines in the head", part(NAMED, ADA, *[b"X-%d: y" % at for at in range(20)]) + END),
    ("9 KB in the head", part(NAMED, ADA, b"X: " + b"y" * 9000) + END),
    ("a urlencoded form", b"email=" + ADA),
)
BOUNDARIES = (
    *(
        b"; boundary=x",
        b'; boundary="x"',
        b";boundary=x",
        b"; BOUNDARY=x",
        b"; boundary=x; charset=utf-8",
        b"; boundary= x",
    ),
    *(
        b"; boundary=y",
        b"",
        b"; boundary=",
        b"; boundary=y; boundary=x",
        b"; boundary=x; boundary=y",
        b'; boundary="x ',
    ),
    *(
        b"; xboundary=y; boundary=x",
        b"; boundary=x; charset=utf-7",
        b"; boundary=x,y",
        b'; boundary="x,y"',
        b"; boundary=x;",
    ),
    *(
        b'; boundary="\\x"',
        b"; boundary*=x",
        b"; boundary=x; q=y",
        b", text/plain; boundary=x",
        b'; a="boundary=y"; boundary=x',
    ),
)
FILES: tuple[tuple[str, bytes], ...] = (
    *(
        (f"filename={name!r}", part(b'form-data; name="photo"; filename' + name, FILE) + END)
        for name in (
            *(
                b'="b.png"',
                b"=b.png",
                b'="a/b.png"',
                b'="..\\\\b.png"',
                b'="%2e%2e"',
                b'="a%00.png"',
                b'=""',
                b'="\xc3\xa9"',
                b'="',
            ),
            *(
                b"*=utf-8''b.png",
                b"=\"a\"; filename*=utf-8''b",
                b'="a"; filename="b"',
                b'="a"; name="x"',
                b'="\xff"',
                b'="a/"',
            ),
        )
    ),
    *(
        (f"{name!r}", part(b'form-data; name=%b; filename="a"' % name, FILE) + END)
        for name in (b'"Photo"', b'"photo[]"', b'"[photo]"', b"photo", b'"ph%6fto"', b'"photo "', b'"photo\\"')
    ),
    ("twice, the last is the same", part(PHOTO, b"other<n>") + part(PHOTO, FILE) + END),
    ("twice, the first is the same", part(PHOTO, FILE) + part(PHOTO, b"other<n>") + END),
    ("beside a field", part(b'form-data; name="photo"', b"x") + part(PHOTO, FILE) + END),
    ("as a field", part(b'form-data; name="photo"', FILE) + END),
    (
        "base64",
        part(PHOTO, b"cGhvdG8NCg==", b"Content-Transfer-Encoding: base64") + part(b'form-data; name="n"', b"<n>") + END,
    ),
    ("binary", part(PHOTO, FILE, b"Content-Transfer-Encoding: binary") + END),
    ("another type", part(PHOTO, FILE, b"Content-Type: text/html") + END),
    ("gzip", part(PHOTO, FILE, b"Content-Encoding: gzip") + END),
    ("an LF boundary behind it", part(PHOTO, FILE + b"\n--x\nContent-Disposition: " + PHOTO + b"\n\nz") + END),
    (
        "an LF boundary behind other content",
        part(PHOTO, b"z\n--x\nContent-Disposition: " + PHOTO + b"\n\n" + FILE) + END,
    ),
    ("no line end at the end", part(PHOTO, FILE) + b"--x--"),
    ("no end", part(PHOTO, FILE)),
)
