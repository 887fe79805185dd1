# Whether every server reads the cookies of a request alike. Pure.
#
# A cookie that decides whether a create is guarded must neither be hidden from the gateway nor from the API: so all of
# the field counts, because some readers drop what is behind a cookie that they cannot read (Python's SimpleCookie),
# take quotes for the bounds of a value and undo escapes in it, or a reserved name for an attribute (RFC 2965).

import re

from gateway.errors import IdentityError
from gateway.guard.absence import folded_name
from gateway.guard.field import Field
from gateway.http.headers import Headers

_NAME = r"[!#%&'*+\-.^_`|~0-9A-Za-z]+"
_ORDINARY = re.compile(_NAME + r"=[!#-+\--:<-\[\]-~,]*")
"""A cookie as RFC 6265 4.1.1 has it, but without quotes, and with commas in its value."""
_WANTED = re.compile(r"(?!j:)[!#$&-+\--:<-\[\]-~]*")
"""A value without a comma, at which some servers end it, and without a percent sign, which some undo; nor JSON, which
Express reads behind "j:"."""
_RESERVED = frozenset(
    {
        *("expires", "path", "comment", "domain", "max-age", "secure", "httponly", "version", "samesite"),
        "partitioned",
    }
)
"""Attributes of a cookie, of which none are in a request; SimpleCookie looks for them there, too."""


def require_one_reading(headers: Headers, field: Field) -> None:
    """Raise IdentityError where servers might differ on whether a cookie is there, or on what it is."""
    lines, wanted = headers.values(b"cookie"), folded_name(field.name)
    if len(lines) > 1:  # they are joined by a comma, too
        raise IdentityError(f"{field.text} is in one of several Cookie fields, of which some servers read one")
    for pair in lines[0].decode("latin-1").removesuffix(";").split(";") if lines else ():
        cookie = pair.strip(" \t")
        name, _, value = cookie.partition("=")
        if not _ORDINARY.fullmatch(cookie) or name.lower() in _RESERVED:
            raise IdentityError(
                f"{field.text} is in a Cookie field that is not name=value pairs of ordinary characters alone, "
                "which servers read differently"
            )
        if folded_name(name) == wanted and (name != field.name or not _WANTED.fullmatch(value)):
            raise IdentityError(f"{field.text} stands there in a way that servers read differently")
