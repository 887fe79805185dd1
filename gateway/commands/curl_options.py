# Command line values in curl's syntax, for argparse's `type`.
#
# Each function raises ArgumentTypeError, with an example of a valid value.

import argparse
import mimetypes
import re
import sys
import uuid
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_plus

from yarl import URL

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5


_MORE = re.compile(r";\s*(type|filename)=(\"[^\"]*\"|[^;]*)$")
"""What may follow the value of -F."""


class FormPart(NamedTuple):
    """One -F: a part of a multipart form."""

    name: str
    content: bytes
    filename: str | None
    content_type: str | None


def url(text: str) -> str:
    """Return an http or https URL unchanged."""
    try:
        parsed = URL(text)
        usable = parsed.scheme in {"http", "https"} and bool(parsed.host) and parsed.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError(f'{text!r} is not a URL to send to: write "http://127.0.0.1:9000/users"')
    return text


def method(text: str) -> str:
    """Return a request method unchanged: methods are case-sensitive."""
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a request method: write "POST"')
    return text


def header(text: str) -> tuple[str, str]:
    """Split "NAME: VALUE"."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or _NOT_IN_VALUES.search(value):
        raise argparse.ArgumentTypeError(f'{text!r} is not a header: write "X-Tenant: acme"')
    return name, value


def address(text: str) -> str:
    """Return an IP address unchanged."""
    try:
        ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no address: write "192.0.2.1"') from None
    return text


def data(text: str) -> bytes:
    """Return a body: the text itself, the bytes of @FILE, or with @- those of standard input."""
    return _file(text[1:]) if text.startswith("@") else text.encode("utf-8", "surrogateescape")


def data_urlencode(text: str) -> bytes:
    """Return a parameter of a form: of VALUE, =VALUE, NAME=VALUE, @FILE or NAME@FILE, NAME is as it is sent."""
    at = text.find("=") if "=" in text else text.find("@")
    name, sign, value = text[: max(at, 0)], text[at : at + 1] if at >= 0 else "", text[at + 1 :]
    content = _file(value) if sign == "@" else value.encode("utf-8", "surrogateescape")
    encoded = quote_plus(content, safe="").encode()
    return b"%b=%b" % (name.encode("utf-8", "surrogateescape"), encoded) if name else encoded


def form_part(text: str) -> FormPart:
    """Return a part of a form: NAME=VALUE, NAME=@FILE or NAME=<FILE, with ;type=TYPE and ;filename=NAME behind it."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no part of a form: write "email=ada@example.org", or "photo=@a.png"'
        )
    more: dict[str, str] = {}
    while found := _MORE.search(value):
        more.setdefault(found[1], found[2].strip('"'))
        value = value[: found.start()]
    filename, kind = more.get("filename"), more.get("type")
    if value.startswith("@"):
        filename = filename or ("-" if value == "@-" else Path(value[1:]).name)
        kind = kind or mimetypes.guess_type(filename)[0] or "application/octet-stream"
    content = _file(value[1:]) if value.startswith(("@", "<")) else value.encode("utf-8", "surrogateescape")
    return FormPart(name, content, filename, kind)


def multipart_body(parts: Iterable[FormPart]) -> tuple[bytes, str]:
    """Write a multipart form as curl does; return it with its Content-Type."""
    boundary = f"------------------------{uuid.uuid4().hex[:22]}"
    text = b""
    for part in parts:
        disposition = f'form-data; name="{_quoted(part.name)}"'
        if part.filename is not None:
            disposition += f'; filename="{_quoted(part.filename)}"'
        kind = "" if part.content_type is None else f"Content-Type: {part.content_type}\r\n"
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{kind}\r\n"
        text += head.encode("utf-8", "surrogateescape") + part.content + b"\r\n"
    return text + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    """Encode what would end a quoted name, as the HTML standard has it."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _file(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read the file {name!r}: {error.strerror}") from error
