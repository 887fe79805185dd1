# Command line values in curl's syntax, for argparse's `type`.
#
# Each function raises ArgumentTypeError, with an example of a valid value.

import argparse
import re
import sys
from ipaddress import ip_address
from pathlib import Path

from yarl import URL

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5


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
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    if text == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read the file {text[1:]!r}: {error.strerror}") from error
