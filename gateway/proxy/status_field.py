# The field that says what became of a guarded create: Idempotency-Status, or as it is named in the rules file.

from collections.abc import Mapping

import msgspec

from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

WOULD = (
    *("duplicate", "in-progress", "outcome-unknown", "key-reused", "replayed", "accepted", "redirected", "upserted"),
    *("overridden", "unguarded", "unseen", "key-missing", "key-malformed", "missing-identity", "duplicate-in-batch"),
    *("too-many-items", "body-too-large", "request-incomplete", "store-unavailable"),
    *("ambiguous-path", "method-override", "hidden-field", "unusual-request"),
)
"""What would have become of a create of a rule in shadow. "unseen" is one that was not looked at."""
STATUSES: Mapping[str, str] = {
    "created": "created",
    "exists": "duplicate",
    "refused": "refused",
    "failed": "failed",
    "unknown": "unknown",
    "upstream-unreachable": "failed",
    "outcome-unknown": "unknown",
    "duplicate": "duplicate",
    "in-progress": "in-progress",
    "replayed": "replayed",
    "accepted": "accepted",
    "redirected": "redirected",
    "upserted": "upserted",
    "released": "released",
    "updated": "updated",
    "key-reused": "key-reused",
    "key-missing": "refused",
    "key-malformed": "refused",
    "missing-identity": "refused",
    "duplicate-in-batch": "refused",
    "too-many-items": "refused",
    "body-too-large": "refused",
    "request-incomplete": "refused",
    "store-unavailable": "failed",
    "overloaded": "failed",
    "spool-unavailable": "failed",
    "unguarded; reason=missing-identity": "unguarded; reason=missing-identity",
    "unguarded; reason=no-key": "unguarded; reason=no-key",
    "unguarded; reason=store-unavailable": "unguarded; reason=store-unavailable",
    "exempt": "exempt",
    "overridden": "overridden",
    **{text: text for text in [f"shadow; would={would}" for would in WOULD]},
}
"""What the field says, by what happened. "failed" and "refused" mean that nothing was made; "unknown", that it may
have been."""


def status_fields(name: str) -> dict[str, bytes]:
    """Return the field's lines by what happened; empty ones when `name` is "off"."""
    if name == "off":
        return dict.fromkeys(STATUSES, b"")
    return {happened: f"{name}: {value}\r\n".encode() for happened, value in STATUSES.items()}


def without_field(
    result: UpstreamResponse | NotSent | NoResponse, name: bytes
) -> UpstreamResponse | NotSent | NoResponse:
    """Leave a field (`name` in lower case) out of an API's answer: it would stand beside the gateway's own."""
    if isinstance(result, UpstreamResponse) and name in result.headers.name_set:
        return msgspec.structs.replace(result, headers=result.headers.without((name,)))
    return result
