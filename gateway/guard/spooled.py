# What is read of a body that is too large for memory, piece by piece while it goes to a file. Pure.

import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.content import BodyFormats, is_msgpack, require_json
from gateway.guard.form_type import MULTIPART, boundary_of, is_form, media_type
from gateway.guard.multipart_form import MultipartForm, MultipartReader
from gateway.guard.xml_body import is_xml


class Spooling(msgspec.Struct, frozen=True):
    """Which bodies above `body_limit` a rule takes."""

    limit: int
    """Bytes."""
    reads_form: bool
    """Whether it reads forms; above `body_limit`, only those of several parts."""
    reads_bytes: bool
    """Whether the bytes of a body are an identity."""
    reads_json: bool
    """Whether it reads JSON, or MessagePack, which must be in memory for that."""
    reads_xml: bool = False
    """The same of XML."""

    def takes(self, content_type: str | None, coding: str | None, formats: BodyFormats) -> bool:
        """Whether a body of that type can be read while it comes."""
        if self.reads_form and is_form(content_type):
            is_plain = coding is None or coding.strip().lower() == "identity"
            return is_plain and media_type(content_type or "") == MULTIPART
        if self.reads_xml and is_xml(content_type or ""):
            return False
        return self.reads_bytes and not (self.reads_json and is_json(content_type, formats))


def is_json(content_type: str | None, formats: BodyFormats) -> bool:
    """Whether a body of that type is read as JSON, or as MessagePack in its place."""
    if formats.msgpack and is_msgpack(content_type):
        return True
    try:
        require_json(content_type, formats)
    except IdentityError:
        return False
    return True


class Hash(Protocol):
    """A hash that grows."""

    def update(self, data: bytes, /) -> None:
        """Add to it."""

    def digest(self) -> bytes:
        """What it is now."""


class SpooledBody:
    """A body that comes in pieces, from any thread, one at a time.

    Mutable state: the reader of its form, if it is one that is read, and what it failed with; the hashes; its `size`.
    """

    __slots__ = ("_error", "_form", "_payload", "_reader", "_stops", "_whole", "size")

    def __init__(
        self,
        kinds: Sequence[Spooling],
        content_type: str | None,
        text_limit: int,
        payload: Hash | None,
        *,
        stops: bool,
    ) -> None:
        """`kinds` are those of the rules that may guard it, all of which take it.

        `text_limit` bytes of a form that are in no file may be in memory; `payload` hashes what retries are compared
        by; `stops` says that what cannot be read is not needed any more: then IdentityError is raised at once.
        """
        self._whole = hashlib.sha256() if any(kind.reads_bytes for kind in kinds) else None
        self._payload = payload
        self._stops = stops
        self._form: MultipartForm | None = None
        self._error: IdentityError | None = None
        self._reader: MultipartReader | None = None
        self.size = 0
        if is_form(content_type) and any(kind.reads_form for kind in kinds):
            try:
                self._reader = MultipartReader(boundary_of(content_type or ""), text_limit)
            except IdentityError as error:
                self._fail(error)

    def __repr__(self) -> str:
        return f"SpooledBody({self.size} bytes)"

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises BodyTooLarge, and IdentityError if what cannot be read is not needed."""
        self.size += len(data)
        for state in (self._whole, self._payload):
            if state is not None:
                state.update(data)
        if self._reader is not None:
            try:
                self._reader.feed(data)
            except IdentityError as error:
                self._fail(error)

    def end(self) -> None:
        """Note that it is whole. Raises as `feed` does."""
        if self._reader is not None:
            try:
                self._form = self._reader.end()
            except IdentityError as error:
                self._fail(error)

    @property
    def form(self) -> MultipartForm | None:
        """Its parts; None for a body that is not read as a form. Raises IdentityError where it cannot be read."""
        if self._error is not None:
            raise IdentityError(str(self._error))
        return self._form

    @property
    def sha256(self) -> str:
        """The hash of its bytes in hexadecimal, for a rule that reads them."""
        return "" if self._whole is None else self._whole.digest().hex()

    @property
    def payload(self) -> bytes | None:
        """What a retry is compared by; None where none is told."""
        return None if self._payload is None else self._payload.digest()

    def require_size(self, limit: int) -> None:
        """Raise BodyTooLarge when it is larger."""
        if self.size > limit:
            raise BodyTooLarge(limit)

    def _fail(self, error: IdentityError) -> None:
        self._reader = None
        self._error = error.with_traceback(None)  # which would keep the piece
        if self._stops:
            raise error
