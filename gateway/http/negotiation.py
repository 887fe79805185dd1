# The form of the gateway's own answers: what a client prefers (RFC 9110 12), and what a page may read. Pure.

import re
from functools import lru_cache

from gateway.http.cors import Cors
from gateway.http.headers import Headers
from gateway.http.html_page import html_page
from gateway.http.problem import Reply

_QUALITY = re.compile(r"[01]|[01]?\.[0-9]{1,3}|[01]\.")
_JSON = ("application/json", "application/problem+json")
_VARY_ACCEPT = b"Vary: Accept\r\n"
_VARY_ORIGIN = b"Vary: Origin\r\n"
_VARY_BOTH = b"Vary: Accept, Origin\r\n"


def negotiate(reply: Reply, request: Headers, cors: Cors | None) -> tuple[Reply, bytes]:
    """Choose the form of an answer for the fields of its request; gives it, with field lines to add."""
    document = reply.document
    if document is None or not reply.body:
        return reply, b"" if cors is None else cors.fields(request) + _VARY_ORIGIN
    lines = request.names.count(b"accept")  # hardly ever several
    accept = request.first(b"accept") if lines == 1 else b",".join(request.values(b"accept")) if lines else None
    if accept and prefers_html(accept):
        is_long = document.conflicts is not None
        reply = (html_page.__wrapped__ if is_long else html_page)(reply, document)
    return reply, _VARY_ACCEPT if cors is None else cors.fields(request) + _VARY_BOTH


def unread(cors: Cors | None) -> bytes:
    """The field lines for the answer to what could not be read as a request, so that no page is known."""
    return b"" if cors is None else _VARY_ORIGIN


@lru_cache(maxsize=256)  # few clients write one of their own
def prefers_html(accept: bytes) -> bool:
    """Whether an Accept value (RFC 9110 12.5.1) sets HTML above JSON; "*/*" alone does not."""
    ranges = _ranges(accept.decode("latin-1").lower())
    html, *json = [_quality(ranges, kind) for kind in ("text/html", *_JSON)]
    return html > max(json)


def _ranges(accept: str) -> dict[str, float]:
    """The media ranges that the gateway's own answers can be in, each with its weight; none that is malformed."""
    found: dict[str, float] = {}
    for member in accept.split(","):
        kind, *parameters = [part.strip(" \t") for part in member.split(";")]
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                quality = float(value) if _QUALITY.fullmatch(value) else -1.0
                break
            if (name, value.strip('"')) != ("charset", "utf-8"):
                quality = -1.0
        if 0 <= quality <= 1:
            found[kind] = max(quality, found.get(kind, 0.0))
    return found


def _quality(ranges: dict[str, float], kind: str) -> float:
    """The weight of a media type: that of the most specific range it is in; 0 when it is in none."""
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
