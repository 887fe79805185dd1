# The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header-07). Pure.

import re

import msgspec

from gateway.errors import Malformed
from gateway.guard.field import Field
from gateway.guard.payload import RecentPayloads
from gateway.http.headers import Headers

_PLAIN = re.compile(rb'"[\x21\x23-\x5b\x5d-\x7e]+"')
"""A string without escapes, as nearly always."""
_STRING = re.compile(rb'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
"""A structured-field string (RFC 9651 3.3.3) without blanks."""
_TOKEN = re.compile(rb"[\x21\x23-\x2b\x2d-\x7e][\x21-\x2b\x2d-\x7e]*")
"""What clients send bare: visible characters, without a comma, by which two lines may have been joined into one."""
_ESCAPE = re.compile(rb"\\(.)")


class Key(msgspec.Struct, frozen=True):
    """How a rule takes keys."""

    header: str
    """The name of the header, as written in the rules file."""
    required: bool
    max_length: int
    """Characters."""
    ignore: tuple[Field, ...]
    """Fields of a JSON body that may differ between a request and its retry."""
    described_by: str | None
    """A URL that tells clients about the key."""
    recent: RecentPayloads = msgspec.field(default_factory=RecentPayloads)


def read_key(key: Key, headers: Headers) -> bytes | None:
    """Read a request's key, the same whether it was sent as a string or bare; None when there is none, and may be none.

    Raises Malformed: "key-malformed", or "key-missing". Its text never holds the key.
    """
    values = headers.values(key.header.lower().encode())
    if not values:
        if key.required:
            raise Malformed("key-missing", f"The rule needs a key in the header {key.header}.")
        return None
    if len(values) > 1:
        raise Malformed("key-malformed", f"{key.header} appears more than once.")
    if _PLAIN.fullmatch(values[0]) and len(values[0]) - 2 <= key.max_length:
        return values[0][1:-1]
    text = _STRING.fullmatch(values[0])
    found = _ESCAPE.sub(rb"\1", text[1]) if text else values[0]
    if not found:
        raise Malformed("key-malformed", f"{key.header} is empty.")
    if text is None and not _TOKEN.fullmatch(found):
        raise Malformed(
            "key-malformed",
            f"{key.header} is neither a quoted string nor bare visible characters without blanks and commas.",
        )
    if len(found) > key.max_length:
        raise Malformed("key-malformed", f"{key.header} is longer than {key.max_length} characters.")
    return found
