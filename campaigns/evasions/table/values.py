# JSON texts on the border of the grammar, and values that are equal to some.

from campaigns.evasions.message import ADA, JSON, Attempt, Message

DEEP = b'{"email": "ada<n>@example.org", "x": %b}'
TEXTS: tuple[tuple[str, bytes], ...] = (
    ("a letter behind", ADA + b"x"),
    ("a second object behind", ADA + b" {}"),
    ("a second object with another address behind", ADA + b'{"email": "eve<n>@example.org"}'),
    ("NUL behind", ADA + b"\x00"),
    ("NUL before", b"\x00" + ADA),
    ("blanks around", b" \t\r\n" + ADA + b" \t\r\n"),
    ("a form feed before", b"\x0c" + ADA),
    ("a no-break space before", b"\xc2\xa0" + ADA),
    ("a byte-order mark before", b"\xef\xbb\xbf" + ADA),
    ("a byte-order mark behind", ADA + b"\xef\xbb\xbf"),
    ("a byte-order mark of UTF-16 before", b"\xff\xfe" + ADA),
    ("a comment before", b"/* x */" + ADA),
    ("a comment in it", b'{/* x */"email": "ada<n>@example.org"}'),
    ("a comma too much", b'{"email": "ada<n>@example.org",}'),
    ("single quotes", b"{'email': 'ada<n>@example.org'}"),
    ("no quotes", b'{email: "ada<n>@example.org"}'),
    ("a guard against inclusion before", b")]}',\n" + ADA),
    ("NaN beside it", DEEP % b"NaN"),
    ("Infinity beside it", DEEP % b"-Infinity"),
    ("a number out of range beside it", DEEP % b"1e999"),
    ("a number of 5,000 digits beside it", DEEP % (b"9" * 5000)),
    ("a lone surrogate beside it", DEEP % b'"\\ud800"'),
    ("a lone surrogate in a key beside it", b'{"email": "ada<n>@example.org", "\\udc00": 1}'),
    ("a byte that is no UTF-8 beside it", DEEP % b'"\xff"'),
    ("an overlong character beside it", DEEP % b'"\xc0\xaf"'),
    ("a surrogate in UTF-8 beside it", DEEP % b'"\xed\xa0\x80"'),
    ("a control character beside it", DEEP % b'"\x01"'),
    ("a line break in a string beside it", DEEP % b'"\n"'),
    ("a bad escape beside it", DEEP % b'"\\x41"'),
    ("65 levels beside it", DEEP % (b"[" * 65 + b"]" * 65)),
    ("1,000 levels beside it", DEEP % (b"[" * 1000 + b"]" * 1000)),
    ("a leading zero beside it", DEEP % b"01"),
    ("a plus beside it", DEEP % b"+1"),
    ("20 KB beside it", DEEP % (b'"' + b"x" * 20_000 + b'"')),
    ("20 KB before it", b'{"x": "' + b"x" * 20_000 + b'", "email": "ada<n>@example.org"}'),
    (
        "20 KB, and the key twice",
        b'{"x": "' + b"x" * 20_000 + b'", "email": "eve<n>@example.org", "email": "ada<n>@example.org"}',
    ),
    (
        "20 KB, and Email",
        b'{"x": "' + b"x" * 20_000 + b'", "email": "eve<n>@example.org", "Email": "ada<n>@example.org"}',
    ),
    ("11,000 keys", b"{" + b"".join(b'"k%d": 1, ' % at for at in range(11_000)) + b'"email": "ada<n>@example.org"}'),
)
ADDRESSES: tuple[tuple[str, bytes], ...] = (
    ("capitals", b'"ADA<n>@Example.ORG"'),
    ("blanks around", b'" \\t ada<n>@example.org \\r\\n"'),
    ("other blanks around", '"\u2003ada<n>@example.org\u00a0"'.encode()),
    ("a byte-order mark and NUL around", '"\ufeff\\u0000ada<n>@example.org\\u0000\ufeff"'.encode()),
    ("control characters around", b'"\\u0001ada<n>@example.org\\u001f\\u000b"'),
    ("escapes", b'"\\u0061da<n>\\u0040example.org"'),
    ("an escaped slash", b'"ada<n>@example.org\\/.."'),
    ("NUL behind", b'"ada<n>@example.org\\u0000"'),
    ("a zero-width space", '"ada<n>\u200b@example.org"'.encode()),
    ("full-width letters", '"\uff41da<n>@example.org"'.encode()),
    ("a lone surrogate behind", b'"ada<n>@example.org\\ud800"'),
    ("a list", b'["ada<n>@example.org"]'),
    ("an object", b'{"$eq": "ada<n>@example.org"}'),
    ("32 combining marks", b'"ada<n>@example.org' + "\u0301".encode() * 32 + b'"'),
    ("2,000 blanks around", b'"' + b" " * 2000 + b'ada<n>@example.org"'),
)
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("1 and 1.0", "<n>", "<n>.0"),
    ("1 and 1e0", "<n>", "<n>e0"),
    ("1 and 10e-1", "<n>", "<n>0e-1"),
    ('1 and "1"', "<n>", '"<n>"'),
    ("1.5 and 1.50", "<n>.5", "<n>.50"),
    ("1.0 and 1", "<n>.0", "<n>"),
    ("a large number and its float", "<n>9007199254740992", "<n>9007199254740992.0"),
    ("two large numbers with one float", "<n>9007199254740993.0", "<n>9007199254740992.0"),
    ("a float with digits beyond its precision", "<n>.1", "<n>.10000000000000000001"),
    ("a number written long", "<n>", "<n>." + "0" * 400),
    ("composed and not", '"jos\u00e9<n>@example.org"', '"jose\u0301<n>@example.org"'),
    ("sharp s and ss", '"gro\u00df<n>@example.org"', '"GROSS<n>@example.org"'),
    ("final sigma", '"\u03c3<n>\u03c3@example.org"', '"\u03a3<n>\u03c2@example.org"'),
    ("Kelvin sign and k", '"k<n>@example.org"', '"\u212a<n>@example.org"'),
    ("a dotted capital I and i", '"lisa<n>@example.org"', '"L\u0130SA<n>@example.org"'),
    ("a list, blanks in it", '["a<n>", 1]', '[ "a<n>" ,1 ]'),
    ("a list, 1 and 1.0 in it", '["a<n>", 1]', '["a<n>", 1.0]'),
    ("an object, in another order", '{"a": "a<n>", "b": 1}', '{"b": 1, "a": "a<n>"}'),
    ("an object, a key twice", '{"a": "a<n>"}', '{"a": "x", "a": "a<n>"}'),
    ("an object, capitals", '{"a": "a<n>"}', '{"a": "A<n>"}'),
)


def _of(value: str) -> Message:
    return Message("/notes", (JSON,), b'{"email": ' + value.encode() + b"}")


ATTEMPTS = (
    *(
        Attempt("text", f"{kind}: {name}", Message(f"/{kind}", (JSON,), text), kind)
        for name, text in TEXTS
        for kind in ("users", "notes")
    ),
    *(
        Attempt("value", f"{kind}: {name}", Message(f"/{kind}", (JSON,), b'{"email": ' + value + b"}"), kind)
        for name, value in ADDRESSES
        for kind in ("users", "notes")
    ),
    *(Attempt("value", name, _of(again), "notes", _of(first)) for name, first, again in PAIRS),
)
