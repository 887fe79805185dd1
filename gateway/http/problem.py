# The gateway's own answers: problem documents (RFC 9457) as bytes, with Proxy-Status (RFC 9209). Pure.
#
# Slugs and statuses are a stable contract; titles and details are for people, and may change.

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

TYPE = "urn:problem-type:gateway:"
CONTENT_TYPE = "application/problem+json"


class ItemConflict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One item of a batch that is in conflict."""

    index: int
    """Counted from 0."""
    conflict_field: str
    type: str | None = None
    """As that of a problem: what its claim is held for."""
    existing_resource_link: str | None = None


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
    conflicts: tuple[ItemConflict, ...] | None = None
    """Of a batch all items that are in conflict."""
    suggested_next_step: str | None = None
    first_seen: str | None = None
    expires_at: str | None = None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What all problems of one slug share."""

    status: int
    title: str
    next_step: str | None = None
    error: str = "http_request_denied"
    """The proxy error type (RFC 9209 2.3)."""
    retry_after: int | None = None
    """Seconds."""
    closes: bool = False
    """Whether the connection ends: where the next request would begin is not known, or is not worth waiting for."""


_BAD_REQUEST = "http_request_error"
_OWN_FAULT = "proxy_internal_error"

KINDS: Mapping[str, Kind] = {
    "duplicate": Kind(
        status=409,
        title="Already created",
        next_step="Do not send it again. Use the existing resource.",
    ),
    "in-progress": Kind(
        status=409,
        title="The same create is in progress",
        next_step="Wait, then send it again: you will get a duplicate if the first one succeeds.",
        retry_after=1,
    ),
    "outcome-unknown": Kind(
        status=409,
        title="The outcome of an earlier attempt is unknown",
        next_step="Check whether the resource exists. If it does not, send it again after Retry-After, or ask the "
        "operator to release it.",
    ),
    "key-reused": Kind(
        status=422,
        title="The key belongs to another create",
        next_step="Send the same request as before with this key, or another request with a key of its own.",
    ),
    "key-missing": Kind(
        status=400,
        title="A key is missing",
        next_step="Send a key that is new for each create, and the same one with each retry of it.",
    ),
    "key-malformed": Kind(
        status=400,
        title="The key is malformed",
        next_step='Send it once, as a quoted string: "8e03978e-40d5-43dd-bc93-6894a57f9324".',
    ),
    "missing-identity": Kind(
        status=422,
        title="A field that identifies this create is missing or unreadable",
        next_step="Send the field exactly once, in a form that can be read in one way only.",
    ),
    "duplicate-in-batch": Kind(
        status=422,
        title="Items of the request are the same",
        next_step="Send each of them once: conflicts names those that repeat another one.",
    ),
    "too-many-items": Kind(status=413, title="Too many items", next_step="Send them in several requests."),
    "body-too-large": Kind(status=413, title="Request body too large", next_step="Send a smaller body.", closes=True),
    "ambiguous-path": Kind(status=400, title="Ambiguous path", next_step="Send the path in its plain form."),
    "method-override": Kind(
        status=400, title="Method override refused", next_step="Send the request with the intended method."
    ),
    "hidden-field": Kind(
        status=400,
        title="A header field that a rule reads is hidden",
        next_step="Send it under its own name only, and do not name it in Connection.",
    ),
    "unusual-request": Kind(
        status=400, title="An unusual request", next_step="Send it as ordinary clients do; detail says what is unusual."
    ),
    "request-incomplete": Kind(
        status=400, title="The request body is incomplete", next_step="Send the whole request again.", closes=True
    ),
    "bad-request": Kind(status=400, title="Not a valid HTTP request", error=_BAD_REQUEST, closes=True),
    "target-too-long": Kind(status=414, title="Request target too long", error=_BAD_REQUEST, closes=True),
    "head-too-large": Kind(status=431, title="Request header fields too large", error=_BAD_REQUEST, closes=True),
    "request-timeout": Kind(
        status=408,
        title="The request did not arrive in time",
        next_step="Send it again.",
        error=_BAD_REQUEST,
        closes=True,
    ),
    "version-not-supported": Kind(status=505, title="HTTP version not supported", error=_BAD_REQUEST, closes=True),
    "not-supported": Kind(status=501, title="Not supported", error=_BAD_REQUEST, closes=True),
    "no-route": Kind(status=404, title="No route to an API", error="destination_not_found"),
    "too-many-connections": Kind(
        status=503,
        title="Too many connections",
        next_step="Send it again later.",
        error="connection_limit_reached",
        retry_after=1,
        closes=True,
    ),
    "store-unavailable": Kind(
        status=503,
        title="The store is unavailable",
        next_step="Send it again later: nothing was forwarded.",
        error=_OWN_FAULT,
        retry_after=1,
    ),
    "overloaded": Kind(
        status=503,
        title="The request buffer is full",
        next_step="Send it again later: nothing was forwarded.",
        error=_OWN_FAULT,
        retry_after=1,
    ),
    "spool-unavailable": Kind(
        status=503,
        title="Large bodies cannot be kept",
        next_step="Send it again later: nothing was forwarded.",
        error=_OWN_FAULT,
        retry_after=1,
    ),
    "internal-error": Kind(status=500, title="Internal error of the gateway", error=_OWN_FAULT, closes=True),
}
"""By slug. The problems that depend on what the upstream did are made where that is known."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer of the gateway's own, complete but for what the exchange adds to it."""

    slug: str
    status: int
    head: bytes
    """The status line and the field lines that belong to the answer."""
    body: bytes
    closes: bool = False
    """Whether the connection ends with it in any case."""
    document: Problem | None = None
    """What it says, for other forms of it; None where it has this one only."""
    content_type: str = CONTENT_TYPE
    """That of its body, if it has one."""
    lasting: bytes = b""
    """The field lines that it has in every form: Proxy-Status, and Retry-After where there is one."""

    def render(self, connection: bytes | None, fields: bytes, *, head_only: bool = False) -> bytes:
        """Write it. `connection` is a value for the Connection field, if any; `fields` are more field lines."""
        if connection is not None:
            fields = b"Connection: %b\r\n%b" % (connection, fields)
        return b"%b%b\r\n" % (self.head, fields) if head_only else b"%b%b\r\n%b" % (self.head, fields, self.body)

    def with_document(self, document: Problem) -> "Reply":
        """Have it say something else, by the same status."""
        return _reply(self.slug, document, self.lasting, closes=self.closes)

    def in_form(
        self, status: int, content_type: str, body: bytes, fields: bytes = b"", document: Problem | None = None
    ) -> "Reply":
        """Give it another form, with more field lines; the body is left out where the status allows none.

        With a `document`, that form may be replaced in turn.
        """
        if status in NO_CONTENT:
            body = b""
            described = b"Content-Length: 0\r\n" if status == HTTPStatus.RESET_CONTENT else b""
        else:
            described = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type.encode("ascii"), len(body))
        lasting = self.lasting + fields
        head = b"%b%bCache-Control: no-store\r\n%b" % (_status_line(status), described, lasting)
        return Reply(self.slug, status, head, body, self.closes, document, content_type, lasting)


def problem(slug: str, detail: str, rule: str | None = None) -> Reply:
    """Make the answer for one of KINDS."""
    kind = KINDS[slug]
    document = Problem(
        type=TYPE + slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        rule=rule,
        suggested_next_step=kind.next_step,
    )
    return reply(document, kind.error, kind.retry_after, closes=kind.closes)


def reply(document: Problem, error: str, retry_after: int | None = None, *, closes: bool = False) -> Reply:
    """Make an answer of a document. `error` is a proxy error type, `retry_after` in seconds."""
    slug = document.type.removeprefix(TYPE)
    lasting = b'Proxy-Status: idempotency-gateway; error=%b; details="%b"\r\n%b' % (
        error.encode(),
        slug.encode(),
        b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after,
    )
    return _reply(slug, document, lasting, closes=closes)


def _reply(slug: str, document: Problem, lasting: bytes, *, closes: bool) -> Reply:
    body = msgspec.json.encode(document)
    head = b"%b%d\r\n%b" % (_HEADS[document.status], len(body), lasting)
    return Reply(slug, document.status, head, body, closes, document, lasting=lasting)


def _status_line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in _HEADS else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


NO_CONTENT = frozenset({204, 205, 304})
"""Final statuses whose answers have no content (RFC 9110 15.3.5, 15.3.6 and 15.4.5)."""

_HEADS = {
    status.value: (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Length: "
    ).encode()
    for status in HTTPStatus
}
"""The start of an answer, made once for each status."""
