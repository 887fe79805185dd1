# From a value as it was read to the one that counts in an identity: bounded, and normalised. Pure.

import re
from collections.abc import Callable

import msgspec

from gateway.errors import IdentityError
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import encode
from gateway.model import Json

MAX_VALUE = 1024
"""Bytes of a value that is part of an identity: of a string in UTF-8, of anything else as it is hashed."""
_SHORT = MAX_VALUE // 4
"""Characters that are never more than MAX_VALUE bytes."""
_CODED = re.compile(r'["%\\]')


class ValueForm(msgspec.Struct, frozen=True):
    """What makes two values equal."""

    normalisers: tuple[Callable[[str], str], ...] = ()


def canonical(form: ValueForm, field: Field, value: Json) -> Json:
    """The value that stands for `value`, which was read from `field`, and for all that count as the same.

    What is too large is refused before it is normalised, because that may take long and all others wait. Raises
    IdentityError.
    """
    if isinstance(value, str):
        if len(value) > _SHORT and len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE:
            raise IdentityError(f"{field.text} is longer than {MAX_VALUE} bytes")
        if field.source is Source.COOKIE and _CODED.search(value):
            raise IdentityError(
                f"{field.text} has a quote, a percent sign or a backslash, which servers read differently"
            )
        try:
            for normaliser in form.normalisers:
                value = normaliser(value)
        except ValueError as error:
            raise IdentityError(f"{field.text} {error}") from None
    elif isinstance(value, list | dict | int) and len(encode(value)) > MAX_VALUE:
        raise IdentityError(f"{field.text} is a list, an object or a number of more than {MAX_VALUE} bytes")
    return value
