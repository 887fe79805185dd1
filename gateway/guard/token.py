# The claims of a bearer token (RFC 6750, RFC 7519), read and not verified: the API does that. Pure.

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from gateway.errors import IdentityError
from gateway.guard.body import parse
from gateway.guard.field import Field, Source
from gateway.http.headers import Headers
from gateway.model import Json

AUTHORIZATION = b"authorization"
_BEARER = re.compile(rb"(?i:bearer) +([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
"""RFC 7515 3.1: three parts in base64url, without padding. An encrypted token has five, and is not read."""


def read_claims(headers: Headers, where: str) -> Json:
    """The object of claims; `where` names the field in errors, which never show a value.

    Raises IdentityError, with `is_absent` where there is no Authorization.
    """
    if AUTHORIZATION not in headers.name_set:
        raise IdentityError(f"{where} is absent", is_absent=True)
    if headers.names.count(AUTHORIZATION) > 1:
        raise IdentityError(f"{where} cannot be read, because the Authorization header stands there more than once")
    found = _BEARER.fullmatch(headers.first(AUTHORIZATION) or b"")
    if found is None or any(len(part) % 4 == 1 for part in found.groups()):
        raise IdentityError(f"{where} cannot be read, because Authorization holds no bearer token of three parts")
    payload = found[2]
    try:
        claims = parse(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except IdentityError:
        claims = None
    if not isinstance(claims, dict):
        raise IdentityError(f"{where} cannot be read, because the bearer token holds no JSON object of claims")
    return claims


def is_unproven(caller: Sequence[Field]) -> bool:
    """Whether `caller` is known by claims of a token that nobody has verified, or by an address, and nothing else.

    With the whole of Authorization beside it, who has not seen the token cannot write it.
    """
    if any(field.source is Source.JWT for field in caller):
        return not any(field.source is Source.HEADER and field.header == AUTHORIZATION for field in caller)
    return bool(caller) and all(field.source is Source.CLIENT for field in caller)
