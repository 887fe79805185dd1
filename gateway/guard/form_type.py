# What a form is said to be: its media type, charset and boundary. Pure.

import re
from collections.abc import Mapping

from gateway.errors import IdentityError
from gateway.http.fields import MEDIA_PARAMETER, MEDIA_TYPE

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
FORM_TYPES = frozenset({URLENCODED, MULTIPART})
_UTF_8 = frozenset({"utf-8", "utf8"})
_BOUNDARY = re.compile(r"(?=.*[0-9A-Za-z])[0-9A-Za-z_.=+-]{1,70}")
"""Of what RFC 2046 5.1.1 allows, the characters that no server takes for the end of it."""


def media_type(content_type: str) -> str:
    """The type and subtype, in lower case."""
    return content_type.partition(";")[0].strip(" \t").lower()


def is_form(content_type: str | None) -> bool:
    """Whether a body is said to be a form."""
    return content_type is not None and media_type(content_type) in FORM_TYPES


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart form. Raises IdentityError when it is missing, odd, or could be another one."""
    named = type_parameters(content_type, "the body")
    boundary = named.get("boundary", "")
    if not boundary:
        raise IdentityError("the body's Content-Type has no boundary")
    if not _BOUNDARY.fullmatch(boundary):
        raise IdentityError("the body's boundary has odd characters, or more than 70")
    if not named.keys() <= {"boundary", "charset"}:  # PHP looks for the word, and finds it in other names and values
        raise IdentityError("the body's Content-Type has other parameters than boundary and charset")
    return boundary.encode()


def type_parameters(content_type: str, what: str) -> Mapping[str, str]:
    """The parameters of a Content-Type, by name in lower case and without quotes; `what` is of that type.

    Raises IdentityError, also for a charset other than UTF-8, and for an escape, which PHP does not undo.
    """
    value = content_type.encode()
    found, named = MEDIA_TYPE.match(value), dict[str, str]()
    if found is None:
        raise IdentityError(f"{what} has a Content-Type that cannot be read")
    at = found.end()
    while at < len(value):
        parameter = MEDIA_PARAMETER.match(value, at)
        if parameter is None or b"\\" in parameter.group():
            raise IdentityError(f"{what} has a Content-Type that servers read differently")
        at = parameter.end()
        if parameter[1] is None:
            continue
        name = parameter[1].decode().lower()
        if name in named or "*" in name:
            raise IdentityError(f"{what} has a Content-Type with a parameter that stands there more than once")
        named[name] = parameter[2].decode().strip('"')
    require_utf_8(named.get("charset", "utf-8"), what)
    return named


def require_utf_8(charset: str, what: str) -> None:
    """Raise IdentityError for any other charset."""
    if charset.lower() not in _UTF_8:
        raise IdentityError(f"{what} is said to be in another charset than UTF-8")
