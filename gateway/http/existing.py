# Answers to duplicates that are no errors: accepted, or redirected to what exists. Pure.
#
# For senders that read any 4xx as a failure, such as those of webhooks, and for browsers. Never holds a value of an
# identity.

from functools import lru_cache
from http import HTTPStatus

import msgspec

from gateway.http.problem import Reply
from gateway.http.uri import as_uri

ACCEPTED = "accepted"
REDIRECTED = "redirected"


class _Existing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The body of such an answer: members that a problem has, in its order."""

    status: int
    detail: str
    rule: str
    conflict_field: str
    existing_resource_link: str | None = None


@lru_cache(maxsize=1024)  # duplicates come in bursts: the same create again and again
def accepted(status: int, detail: str, rule: str, entry: str, link: str | None) -> Reply:
    """Answer 200, 202 or 204. `link` is where the thing lives, if that may be shown (RFC 8288 3)."""
    fields = f'Link: <{as_uri(link)}>; rel="related"\r\n' if link else ""
    return _reply(ACCEPTED, status, fields, detail, rule, entry, link)


@lru_cache(maxsize=1024)
def redirected(detail: str, rule: str, entry: str, link: str) -> Reply:
    """Answer 303, which leads any method to a GET of `link` (RFC 9110 15.4.4)."""
    return _reply(REDIRECTED, 303, f"Location: {as_uri(link)}\r\n", detail, rule, entry, link)


def _reply(slug: str, status: int, fields: str, detail: str, rule: str, entry: str, link: str | None) -> Reply:
    document = _Existing(status=status, detail=detail, rule=rule, conflict_field=entry, existing_resource_link=link)
    body = b"" if status == HTTPStatus.NO_CONTENT else msgspec.json.encode(document)
    if body:  # a 204 has no length (RFC 9110 8.6)
        fields += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nCache-Control: no-store\r\n"
    return Reply(slug, status, (line + fields).encode(), body)
