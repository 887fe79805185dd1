# What no ordinary client sends, on a guarded route. Pure.
#
# Frameworks answer such requests 500 or 406 before any code of the API runs, or do something else than the method says.
# A stranger could make outcomes unknown with them, and so block identities.

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
_TAB = re.compile(rb":[ \t]*\t|\t[ \t]*\r\n")
_RANGE_NAME = rb"[0-9A-Za-z][-0-9A-Za-z!#$&^_.+]*"
"""RFC 6838 4.2, which is narrower than a token."""
_RANGE = re.compile(rb"[ \t]*(?:\*/\*|%b/(?:\*|%b))" % (_RANGE_NAME, _RANGE_NAME))
_STAR = re.compile(rb"[ \t]*\*(?=[ \t]*[;,])")
"""Java's HttpURLConnection sends it, beside "*/*"."""
_BETWEEN = re.compile(rb"[ \t]*(?:,|\Z)")


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
    accept = headers.values(b"accept")
    if accept and not is_accept(accept[0] if len(accept) == 1 else b",".join(accept)):
        return "Accept is no list of media ranges, with parameters NAME=VALUE (RFC 9110 12.5.1)."
    if b"\t" in headers.block and _TAB.search(headers.block):
        return "A header field has a tab around its value, which some servers take for a part of it."
    return None


@lru_cache(maxsize=256)
def is_accept(value: bytes) -> bool:
    """Whether an Accept value is a list of media ranges; it may have empty members.

    Rails answers others 406 before any code of the API runs, a name of other characters than RFC 6838 has too.
    """
    at, may_be_old = 0, b"*/*" in value
    while at < len(value):
        member = _RANGE.match(value, at) or (_STAR.match(value, at) if may_be_old else None)
        if member is not None:
            at = member.end()
            while (parameter := MEDIA_PARAMETER.match(value, at)) is not None:
                at = parameter.end()
        end = _BETWEEN.match(value, at)
        if end is None:
            return False
        at = end.end()
    return True


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
