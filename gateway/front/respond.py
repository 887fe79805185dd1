# Problems -> bytes: every answer the gateway itself makes (RFC 9457), with Proxy-Status (RFC 9209). Pure.

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus

import msgspec

from gateway.guard.decision import Conflict
from gateway.model import FOREVER, Claim, Record
from gateway.upstream.results import NoResponse, NotSent

TYPE = "urn:problem-type:gateway:"
_LONGEST_WAIT = 24 * 3600
"""Seconds named in Retry-After at most: an operator may free a claim at any time."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The body of an answer, in the order in which people read it. Never holds a value of an identity."""

    type: str
    title: str
    status: int
    detail: str
    rule: str | None = None
    conflict_field: str | None = None
    """The name of the `unique` entry in conflict."""
    existing_resource_link: str | None = None
    suggested_next_step: str | None = None
    first_seen: str | None = None
    expires_at: str | None = None


class Kind(msgspec.Struct, frozen=True):
    """What all problems of one slug share."""

    status: int
    title: str
    next_step: str | None = None
    error: str = "http_request_denied"
    """The proxy error type (RFC 9209 2.3)."""


KINDS: Mapping[str, Kind] = {
    "duplicate": Kind(409, "Already created", "Do not send it again. Use the existing resource."),
    "in-progress": Kind(
        409, "Being created now", "Wait, then send it again: you will get a duplicate if the first one succeeds."
    ),
    "outcome-unknown": Kind(
        409,
        "An earlier attempt's outcome is unknown",
        "Look whether the resource exists. If it does not, send it again when Retry-After is over, or ask the "
        "operator to release it.",
    ),
    "missing-identity": Kind(
        422, "What makes this create unique is missing", "Send the field, once, in a form that can be read in one way."
    ),
    "body-too-large": Kind(413, "Body too large", "Send a smaller body."),
    "ambiguous-path": Kind(400, "Ambiguous path", "Send the path in its plain form."),
    "method-override": Kind(400, "Method override refused", "Send the request with the method that is meant."),
    "hidden-field": Kind(
        400, "A field that a rule reads is hidden", "Send it under its own name only, and do not name it in Connection."
    ),
    "request-incomplete": Kind(400, "The request's body did not arrive whole", "Send it again."),
    "bad-request": Kind(400, "Not a valid HTTP request", None, "http_request_error"),
    "target-too-long": Kind(414, "Request target too long", None, "http_request_error"),
    "head-too-large": Kind(431, "Headers too long", None, "http_request_error"),
    "request-timeout": Kind(408, "The request did not come in time", "Send it again.", "http_request_error"),
    "version-not-supported": Kind(505, "HTTP version not supported", None, "http_request_error"),
    "not-supported": Kind(501, "Not supported", None, "http_request_error"),
    "no-route": Kind(404, "No API behind this address", None, "destination_not_found"),
    "too-many-connections": Kind(503, "All connections are in use", "Send it again later.", "connection_limit_reached"),
    "store-unavailable": Kind(
        503, "The key store cannot commit now", "Send it again later: nothing was forwarded.", "proxy_internal_error"
    ),
    "overloaded": Kind(
        503, "The gateway holds all it may", "Send it again later: nothing was forwarded.", "proxy_internal_error"
    ),
    "internal-error": Kind(500, "The gateway failed", None, "proxy_internal_error"),
}
"""By slug. Those about the upstream depend on what happened there: see `unreachable` and `unanswered`."""


def problem(
    slug: str,
    detail: str,
    *,
    keep_alive: bool,
    head_only: bool = False,
    rule: str | None = None,
    retry_after: int | None = None,
    fields: bytes = b"",
) -> tuple[int, bytes]:
    """Write an answer about the request itself: its status, and its bytes. `fields` are more header lines, whole."""
    kind = KINDS[slug]
    body = Problem(
        type=TYPE + slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        rule=rule,
        suggested_next_step=kind.next_step,
    )
    return kind.status, _answer(body, kind.error, slug, keep_alive, head_only, retry_after, fields)


def conflict(
    kind: Conflict,
    claim: Claim,
    record: Record,
    now: int,
    *,
    keep_alive: bool,
    head_only: bool = False,
    fields: bytes = b"",
) -> tuple[int, bytes]:
    """Write the 409 for a create that was not let through. `now` in milliseconds."""
    shared = KINDS[kind]
    resource = record.resource if kind is Conflict.DUPLICATE else None
    content = _conflict(kind, claim.rule, claim.entry, resource, record.first_seen, record.expires_at)
    head = _head(shared.status, len(content), shared.error, kind, keep_alive, _retry_after(kind, record, now), fields)
    return shared.status, head if head_only else head + content


@lru_cache(maxsize=1024)  # duplicates come in bursts: the same create again and again
def _conflict(
    kind: Conflict, rule: str, entry: str, resource: str | None, first_seen: int, expires_at: int | None
) -> bytes:
    shared = KINDS[kind]
    return msgspec.json.encode(
        Problem(
            type=TYPE + kind,
            title=shared.title,
            status=shared.status,
            detail=_DETAILS[kind].format(entry),
            rule=rule,
            conflict_field=entry,
            existing_resource_link=resource,
            suggested_next_step=shared.next_step,
            first_seen=_iso(first_seen),
            expires_at=None if expires_at in {None, FOREVER} else _iso(expires_at or 0),
        )
    )


_DETAILS = {
    Conflict.DUPLICATE: 'A resource with the same "{}" was created before.',
    Conflict.IN_PROGRESS: 'A create with the same "{}" is on its way and has not been answered yet.',
    Conflict.OUTCOME_UNKNOWN: 'A create with the same "{}" was forwarded, and no answer says whether it happened.',
}


def unreachable(
    result: NotSent, *, keep_alive: bool, head_only: bool, rule: str | None, fields: bytes = b""
) -> tuple[int, bytes]:
    """Write the answer for a request that never left."""
    body = Problem(
        type=TYPE + "upstream-unreachable",
        title="The API cannot be reached",
        status=_gateway_status(result),
        detail="No part of the request was sent to the API.",
        rule=rule,
        suggested_next_step="Send it again: it is safe, nothing happened.",
    )
    return body.status, _answer(body, result.error, "upstream-unreachable", keep_alive, head_only, 1, fields)


def unanswered(
    result: NoResponse, *, keep_alive: bool, head_only: bool, rule: str | None, fields: bytes = b""
) -> tuple[int, bytes]:
    """Write the answer for a request that was sent and not answered."""
    body = Problem(
        type=TYPE + "outcome-unknown",
        title="The API did not answer",
        status=_gateway_status(result),
        detail="The request was sent, and no answer says whether it happened.",
        rule=rule,
        suggested_next_step="Look whether it happened before you send it again: a blind retry may do it twice.",
    )
    return body.status, _answer(body, result.error, "outcome-unknown", keep_alive, head_only, None, fields)


def _gateway_status(result: NotSent | NoResponse) -> int:
    """RFC 9110 15.6.3 and 15.6.5."""
    return 504 if result.timed_out else 502


def _retry_after(conflict: Conflict, record: Record, now: int) -> int | None:
    if conflict is Conflict.DUPLICATE:
        return None
    if conflict is Conflict.IN_PROGRESS or record.expires_at is None:
        return 1
    return min(math.ceil((record.expires_at - now) / 1000), _LONGEST_WAIT)


def _answer(
    body: Problem, error: str, slug: str, keep_alive: bool, head_only: bool, retry_after: int | None, fields: bytes
) -> bytes:
    content = msgspec.json.encode(body)
    head = _head(body.status, len(content), error, slug, keep_alive, retry_after, fields)
    return head if head_only else head + content


def _head(
    status: int, length: int, error: str, slug: str, keep_alive: bool, retry_after: int | None, fields: bytes
) -> bytes:
    return b'%b%d\r\nProxy-Status: idempotency-gateway; error=%b; details="%b"\r\n%b%b%b\r\n' % (
        _HEADS[status],
        length,
        error.encode(),
        slug.encode(),
        b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after,
        b"" if keep_alive else b"Connection: close\r\n",
        fields,
    )


_HEADS = {
    status.value: (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: application/problem+json\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Length: "
    ).encode()
    for status in HTTPStatus
}
"""The start of an answer, made once for each status."""


def _iso(milliseconds: int) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
