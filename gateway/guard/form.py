# Reading a form, urlencoded or multipart, only to find identities in it. Pure; the original bytes go on untouched.

from typing import Protocol

from gateway.guard.content import BodyFormats, decoded
from gateway.guard.field import Field
from gateway.guard.form_type import URLENCODED, boundary_of, media_type, type_parameters
from gateway.guard.multipart_form import read_multipart
from gateway.guard.urlencoded import read_urlencoded


class Form(Protocol):
    """A form that was read."""

    def find_value(self, field: Field) -> str:
        """Find the value of a `form.*` field. Raises IdentityError."""

    def find_file(self, field: Field) -> str:
        """Find the property of a file that a `file.*` field names. Raises IdentityError."""


def read_form(data: bytes, content_type: str, content_encoding: str | None, formats: BodyFormats) -> Form:
    """Read a body that is said to be a form.

    Raises IdentityError, CodingNotAccepted, and BodyTooLarge when the inflated body exceeds its limit.
    """
    is_urlencoded = media_type(content_type) == URLENCODED
    boundary = b"" if is_urlencoded else boundary_of(content_type)
    type_parameters(content_type, "the body")
    if content_encoding:
        data = decoded(data, content_encoding.strip().lower(), formats)
    return read_urlencoded(data) if is_urlencoded else read_multipart(data, boundary)
