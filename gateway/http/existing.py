# Answers to duplicates that are no errors: accepted, or redirected to what exists. Pure.
#
# For senders that read any 4xx as a failure, such as those of webhooks, and for browsers. Never holds a value of an
# identity.

import msgspec

from gateway.http.problem import Problem, Reply
from gateway.http.uri import as_uri

ACCEPTED = "accepted"
REDIRECTED = "redirected"


class _Existing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The body of such an answer: members that a problem has, in its order."""

    status: int
    detail: str
    rule: str | None
    conflict_field: str | None
    existing_resource_link: str | None = None


def accepted(document: Problem) -> Reply:
    """Answer a duplicate by the status of its `document`: 200, 202 or 204. Its link (RFC 8288 3) is where it lives."""
    link = document.existing_resource_link
    fields = f'Link: <{as_uri(link)}>; rel="related"\r\n' if link else ""
    return _reply(ACCEPTED, fields, document, document)


def redirected(document: Problem, link: str) -> Reply:
    """Answer 303, which leads any method to a GET of `link` (RFC 9110 15.4.4). Its body has one form."""
    return _reply(REDIRECTED, f"Location: {as_uri(link)}\r\n", document, None)


def _reply(slug: str, fields: str, document: Problem, other_forms: Problem | None) -> Reply:
    body = _Existing(
        status=document.status,
        detail=document.detail,
        rule=document.rule,
        conflict_field=document.conflict_field,
        existing_resource_link=document.existing_resource_link,
    )
    empty = Reply(slug, document.status, b"", b"", lasting=fields.encode())
    return empty.in_form(document.status, "application/json", msgspec.json.encode(body), document=other_forms)
