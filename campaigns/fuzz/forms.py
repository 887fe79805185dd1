# Forms: several parts, whole and in pieces; urlencoded ones. Against simple readers of parts, `email` and urllib.

import re
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes
from email.message import Message
from random import Random
from urllib.parse import parse_qsl, quote, unquote
from zlib import crc32

from campaigns.fuzz.common import (
    MIB,
    OF_VALUES,
    Values,
    attempt,
    outcome,
    read_values,
    repeated,
    require_alike,
    require_same,
)
from gateway.guard.field import Field, parse_field
from gateway.guard.form import Form
from gateway.guard.multipart_form import MultipartForm, MultipartReader, read_multipart
from gateway.guard.urlencoded import UrlencodedForm, read_urlencoded

BOUNDARY = b"b0undary"
TEXTS = tuple(parse_field(f"form.{way}") for way in ("email", '"user[name]"', "ref"))
FILES = tuple(parse_field(f"file.doc.{way}") for way in ("sha256", "size", "filename", "content_type"))
_NAMES = ("email", "user[name]", "ref", "a", "Email", "email[]", "user.name", "doc", "%65mail", "é", "_charset_")
_VALUES = ("a", "ada@example.org", "", "é", "a b", "a+b", "a&b", "100%", "a;b", "\ufeffa", "😀", "a=b", "utf-8")


def take(form: Form, field: Field) -> str:
    """Find a field of either kind."""
    return form.find_file(field) if field.text.startswith("file.") else form.find_value(field)


def _parts_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each part, split where a boundary stands and nothing asked."""
    for part in (b"\r\n" + data).split(b"\r\n--" + BOUNDARY)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = re.search(rb'[; ]name="?([^";\r\n]*)"?', head, re.IGNORECASE)
        if found:
            yield found[1].decode("utf-8", "replace"), content


def _parts_of_email(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The same by the standard library."""
    message = message_from_bytes(b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n\r\n" + data)
    payload = message.get_payload()
    for part in payload if isinstance(payload, list) else ():
        if isinstance(part, Message):
            name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            yield str(name), content if isinstance(content, bytes) else b""


def _found(parts: list[tuple[str, bytes]], *, first: bool) -> Values:
    """What a reader finds that takes the first or the last of equal parts."""
    found = dict(reversed(parts) if first else parts)
    return {field.text: found.get(str(field.keys[0]), b"").decode("utf-8", "replace") for field in TEXTS}


class Multipart:
    """read_multipart and MultipartReader."""

    name: str = "multipart"
    tokens: Sequence[bytes] = (
        *(b"--b0undary", b"--b0undary--", b"\r\n--b0undary\r\n", b"\n--b0undary\r\n", b"\r\n--b0undary--\r\n", b"\r\n"),
        *(b"\r\n\r\n", b"\n", b"\r", b"--", b"--b0und", b"Content-Disposition: form-data; ", b'name="email"', b"; "),
        *(
            b'name="ref"',
            b'name="user[name]"',
            b'name="doc"',
            b'filename="f.txt"',
            b'filename=""',
            b"filename*=utf-8''a",
        ),
        *(
            b"Content-Type: text/plain\r\n",
            b"Content-Type: text/plain; charset=latin-1\r\n",
            b'name="Email"',
            b"name=email",
        ),
        *(
            b"Content-Type: multipart/mixed; boundary=x\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b'"',
            b"\\",
            b":",
        ),
        *(
            b'name="email[]"',
            b'name="%65mail"',
            b"content-disposition:",
            b" ",
            b"\t",
            b";",
            b"\x00",
            b"\xff",
            b"\xc3\xa9",
        ),
        *(b"X: y\r\n", b'name="_charset_"', b"=?utf-8?q?email?=", b"a"),
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: Callable[[bytes, bytes], MultipartForm] = read_multipart) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        parts = []
        for _ in range(random.randint(1, 4)):
            name, text = random.choice(_NAMES).encode(), random.choice(_VALUES).encode()
            head = b'Content-Disposition: form-data; name="%s"' % name
            if name == b"doc" or random.random() < 0.1:
                head += random.choice((b'; filename="f.txt"', b"; filename=f", b'; filename=""', b'; filename="a/b"'))
                text = random.randbytes(random.choice((0, 3, 40))) + random.choice((b"", b"\r\n", b"\r\n--b0und"))
            head += random.choice(
                (b"", b"", b"\r\nContent-Type: text/plain", b"\r\nContent-Type: image/png", b"\r\nX: y")
            )
            parts.append(b"--b0undary\r\n" + head + b"\r\n\r\n" + text + b"\r\n")
        return b"".join(parts) + random.choice((b"--b0undary--\r\n", b"--b0undary--"))

    def read(self, data: bytes) -> object:
        attempt(lambda: self._in_pieces(data, [len(data) // 3 or 1, 70_000, 4096]))
        return self._read(data, BOUNDARY)

    @staticmethod
    def _in_pieces(data: bytes, sizes: list[int]) -> MultipartForm:
        reader, at, number = MultipartReader(BOUNDARY, 2**20), 0, 0
        while at < len(data):
            size = sizes[number % len(sizes)]
            reader.feed(data[at : at + size])
            at, number = at + size, number + 1
        return reader.end()

    def check(self, data: bytes) -> str:
        whole = read_values((*TEXTS, *FILES), lambda: self._read(data, BOUNDARY), take)
        random = Random(crc32(data))
        for most in (1, 3, 20, 200):
            sizes = [random.randint(1, most) for _ in range(7)]
            pieces = read_values((*TEXTS, *FILES), lambda sizes=sizes: self._in_pieces(data, sizes), take)  # type: ignore[misc]
            require_alike("whole and in pieces differ", whole, pieces)
        if outcome(whole) != "accepted":
            return outcome(whole)
        texts = {field.text: whole[field.text] for field in TEXTS}
        parts, of_email = list(_parts_of(data)), list(_parts_of_email(data))
        for first in (True, False):
            require_same("a simple reader differs", texts, _found(parts, first=first))
            require_same("the email package differs", texts, _found(of_email, first=first))
        before = b'--b0undary\r\nContent-Disposition: form-data; name="z"\r\n\r\n1\r\n' + data
        more = read_values((*TEXTS, *FILES), lambda: self._read(before, BOUNDARY), take)
        require_alike("one more part changes the others", whole, more)
        return outcome(whole)

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)


class Urlencoded:
    """read_urlencoded."""

    name: str = "urlencoded"
    tokens: Sequence[bytes] = (
        *(b"&", b"=", b";", b"+", b"%20", b"%", b"%u0061", b"%26", b"%3d", b"%3b", b"%00", b"%0a", b"%ff", b"%c3%a9"),
        *(b"email=", b"Email=", b"%65mail=", b"email[]=", b"email%5B%5D=", b"user[name]=", b"user%5bname%5d=", b"ref="),
        *(
            b"user.name=",
            b"user_name=",
            b"ref",
            b"[",
            b"]",
            b".",
            b"a",
            b"a=b",
            b"\xc3\xa9",
            b"\xff",
            b"_charset_=utf-8",
        ),
        *(b"_charset_=latin-1", b" email=", b"%20email=", b"email%00=", b"\r\n", b"?", b"'", b"&&", b"&email&"),
    )
    largest = MIB
    most_memory = OF_VALUES

    def __init__(self, read: Callable[[bytes], UrlencodedForm] = read_urlencoded) -> None:
        self._read = read

    def make(self, random: Random) -> bytes:
        pairs = [
            f"{quote(random.choice(_NAMES), safe=random.choice(('', '[]')))}={quote(random.choice(_VALUES), safe='')}"
            for _ in range(random.randint(1, 5))
        ]
        return "&".join(pairs).encode()

    def read(self, data: bytes) -> object:
        form = self._read(data)
        return [attempt(lambda field=field: form.find_value(field)) for field in TEXTS]  # type: ignore[misc]

    def _values(self, data: bytes) -> Values:
        return read_values(TEXTS, lambda: self._read(data), take)

    def check(self, data: bytes) -> str:
        values = self._values(data)
        if outcome(values) != "accepted":
            return outcome(values)
        text = data.decode()
        for separator in "&;":
            pairs = parse_qsl(text.replace(";", "&") if separator == ";" else text, keep_blank_values=True)
            parts = [(name, value.encode()) for name, value in pairs]
            for first in (True, False):
                require_same("urllib differs", values, _found(parts, first=first))
        escaped = "&".join("=".join(_escaped(part) for part in pair.split("=", 1)) for pair in text.split("&"))
        is_charset = "_charset_" in unquote(text).casefold()  # whose value is compared as it is sent
        if max(map(len, text.split("&"))) < 900 and not is_charset:
            require_alike("percent-encoded it differs", values, self._values(escaped.encode()))
        turned = "&".join(reversed(text.split("&")))
        require_alike("in another order it differs", values, self._values(turned.encode()))
        return outcome(values)

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)


def _escaped(part: str) -> str:
    """A name or value with all its letters and digits percent-encoded, and what stands in escapes left as it is."""
    return re.sub(
        r"%[0-9A-Fa-f]{2}|[A-Za-z0-9]", lambda found: found[0] if found[0][0] == "%" else f"%{ord(found[0]):02x}", part
    )
