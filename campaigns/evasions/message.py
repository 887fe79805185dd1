# Requests as templates of bytes. `<n>` stands for a number that no other request has.

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from campaigns.evasions.judges.created import TOKEN

Coding = Callable[[bytes], bytes]

JSON = b"Content-Type: application/json"
CREDENTIALS = f"Authorization: Bearer {TOKEN}".encode()
ADA = b'{"email": "ada<n>@example.org"}'


_SHOWN = 60


def shown(text: str | bytes) -> str:
    """A name made of what is sent; what is long is cut short."""
    name = text if isinstance(text, str) else repr(text)
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}... ({len(text)} long)"


def plain(body: bytes) -> bytes:
    """As it is."""
    return body


def chunked(body: bytes) -> bytes:
    """In two chunks."""
    half = len(body) // 2
    return b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (half, body[:half], len(body) - half, body[half:])


def deflate(body: bytes) -> bytes:
    """With the wrapper of zlib, as RFC 9110 8.4.1.2 has it."""
    return zlib.compress(body)


def raw_deflate(body: bytes) -> bytes:
    """Without that wrapper."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


def zipped(body: bytes) -> bytes:
    """With gzip."""
    return gzip.compress(body, mtime=0)


def encoded(name: str) -> Coding:
    """In another character encoding."""
    return lambda body: body.decode().encode(name)


@dataclass(frozen=True)
class Message:
    """One request. `Host`, credentials, `Connection: close` and `Content-Length` are added unless `fields` has them."""

    target: str | bytes = "/users"
    fields: tuple[bytes, ...] = (JSON,)
    body: bytes = ADA
    coding: Coding = plain
    """What is done to the body at last."""
    method: bytes = b"POST"
    version: bytes = b"HTTP/1.1"
    is_stranger: bool = False
    """Whether it has no credentials."""
    behind: bytes = field(default=b"", repr=False)
    """Bytes after the body that `Content-Length` does not count."""

    def render(self, number: int) -> bytes:
        """All bytes of it."""
        mark = str(number).encode()
        body = self.coding(self.body.replace(b"<n>", mark))
        names = {line.partition(b":")[0].strip().lower() for line in self.fields}
        fields = list(self.fields)
        if b"host" not in names:
            fields.insert(0, b"Host: api.example")
        if b"authorization" not in names and not self.is_stranger:
            fields.append(CREDENTIALS)
        if b"connection" not in names:
            fields.append(b"Connection: close")
        if names.isdisjoint({b"content-length", b"transfer-encoding"}):
            fields.append(b"Content-Length: %d" % len(body))
        target = self.target if isinstance(self.target, bytes) else self.target.encode()
        line = b" ".join([self.method, target, self.version])
        return b"\r\n".join([line, *fields, b"", b""]).replace(b"<n>", mark) + body + self.behind.replace(b"<n>", mark)


@dataclass(frozen=True)
class Attempt:
    """One row of the table: a request that should not do what it is meant to."""

    group: str
    """What it plays with: paths, bodies, and so on."""
    name: str
    message: Message
    kind: str = "users"
    """What it would create."""
    first: Message | None = None
    """The create that comes before it, where it is not the ordinary one of that kind."""
    is_cut: bool = False
    """Whether its connection is closed once it is sent, whatever comes."""


def by_stranger(
    group: str, name: str, target: str = "/users", fields: tuple[bytes, ...] = (JSON,), **changes: Any
) -> Attempt:
    """An attempt without credentials to keep somebody else from creating a user."""
    return Attempt(group, name, Message(target, fields, is_stranger=True, **changes))
