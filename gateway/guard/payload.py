# What a create says, so that a retry says the same: JSON by value, anything else by its bytes. Pure.

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence

from gateway.guard.body import read_value, remove
from gateway.guard.content import BodyFormats
from gateway.guard.field import Field, Source
from gateway.model import Json

MAX_RECENT = 4096
"""Payloads remembered for a rule: half a MiB."""

BYTES = b"b"
"""What stands before a body that is not compared by value."""
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def by_value(document: Json, ignored: Sequence[Field]) -> bytes:
    """Write a document that was read strictly (read_value), alike for equal documents; removes what is ignored."""
    for field in ignored:
        remove(document, field.keys)
    return b"v" + _ENCODER.encode(document).encode()


def by_bytes(body: bytes) -> bytes:
    """Write a body that is not compared by value."""
    return BYTES + body


def hash_whole(
    source: Source, body: bytes, content_type: str | None, content_encoding: str | None, formats: BodyFormats
) -> str:
    """Hash a whole body: its bytes, or its JSON by value. Raises as read_value does."""
    if source is Source.JSON:
        body = by_value(read_value(body, content_type, content_encoding, formats), ())
    return hashlib.sha256(body).hexdigest()


class RecentPayloads:
    """The hashes of recent payloads by the hash of their bytes: most retries are the same bytes, and need no parsing.

    Mutable state: the hashes, in the order in which they came.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"RecentPayloads({len(self._found)})"

    def get(self, sent: bytes) -> bytes | None:
        """The payload's hash, by the hash of its bytes."""
        return self._found.get(sent)

    def remember(self, sent: bytes, payload: bytes) -> None:
        """Note it."""
        self._found[sent] = payload
        if len(self._found) > MAX_RECENT:
            self._found.popitem(last=False)
