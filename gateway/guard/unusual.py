# What no ordinary client sends, on a guarded route. Pure.
#
# Frameworks answer such requests 500 before any code of the API runs, or do something else than the method says. A
# stranger could make outcomes unknown with them, and so block identities.

import re
from functools import lru_cache

from gateway.http.fields import MEDIA_PARAMETER, MEDIA_TYPE
from gateway.http.headers import Headers

MAX_PARAMETERS = 1000
"""In a query: what parsers of frameworks take (Rack 4,096 for all of a request, Django 1,000)."""
MAX_NESTING = 32
"""Brackets in a query, as in a[b][c]: Rack takes 32 levels, other parsers fewer."""

_LONGER_FORM = re.compile(rb"(?:application/x-www-form-urlencoded|multipart/form-data)[^; \t]", re.IGNORECASE)
"""A form to an API that asks how a type begins, as Tornado does, and JSON to one that reads the suffix."""


def find_unusual(method: str, query: str, headers: Headers) -> str | None:
    """Say what is unusual about a request, in words that show no value; None for an ordinary one."""
    if not method.isupper():
        return "The method is not in upper case."
    if query.count("&") + query.count(";") >= MAX_PARAMETERS:
        return f"The query has more than {MAX_PARAMETERS:,} parameters."
    if query and query.count("[") + query.lower().count("%5b") > MAX_NESTING:
        return f"The query has more than {MAX_NESTING} brackets."
    if b"content-type" in headers.name_set and not is_media_type(headers.first(b"content-type") or b""):
        return (
            "Content-Type is no type and subtype with parameters of different names (RFC 9110 8.3.1), "
            "or is longer than the type of a form that it begins with."
        )
    return None


@lru_cache(maxsize=256)  # the same few, again and again
def is_media_type(value: bytes) -> bool:
    """Whether every server reads a Content-Type alike.

    It is well-formed, has no name twice, none of RFC 8187 (`charset*`), and does not begin as the type of a form.
    """
    media_type = MEDIA_TYPE.match(value)
    if media_type is None or _LONGER_FORM.match(value):
        return False
    at, names = media_type.end(), set[bytes]()
    while at < len(value):
        parameter = MEDIA_PARAMETER.match(value, at)
        if parameter is None:
            return False
        name = (parameter[1] or b"").lower()
        if b"*" in name or name in names:
            return False
        if name:
            names.add(name)
        at = parameter.end()
    return True
