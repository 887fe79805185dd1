# What the admin API takes and answers, as structs: they are read with, written with, and described by. Pure.

from hashlib import blake2b
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, UnsetType

from gateway.model import FOREVER, Record, State
from gateway.proxy.answers import rfc_3339

MAX_LIMIT = 500
"""Claims on one page."""
StateName = Literal["in_flight", "created", "unknown"]
STATE_NAMES: dict[State, StateName] = {
    State.IN_FLIGHT: "in_flight",
    State.CREATED: "created",
    State.UNKNOWN: "unknown",
}
STATES = {name: state for state, name in STATE_NAMES.items()}
Time = Annotated[str, Meta(description="RFC 3339, UTC, with milliseconds", extra_json_schema={"format": "date-time"})]
Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Prefix = Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
Seconds = Annotated[float, Meta(description="seconds", ge=0)]
Reason = Annotated[str, Meta(description="why, for the audit: printable", min_length=1, max_length=500)]
Link = Annotated[str, Meta(description="a URI reference: printable, no spaces", min_length=1, max_length=2048)]


class Failure(msgspec.Struct, frozen=True):
    """Why something was not done."""

    error: str


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No more than that it is asked for."""


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A held claim."""

    fingerprint: Fingerprint
    rule: str
    entry: str
    """The name of the `unique` entry, or of the key's header."""
    state: StateName
    first_seen: Time
    age: Seconds
    expires_at: Time | None
    """None in flight, and for a claim that never expires."""
    link: str | None
    caller: Prefix | None
    """The same for all creates of one caller."""
    operation: Prefix
    """The same for all claims of one create."""


class ClaimList(msgspec.Struct, frozen=True):
    """A page of claims. It may have fewer than were asked for, or none, and not be the last one."""

    claims: list[ClaimView]
    next: str | None
    """The `cursor` of the next page; None after the last one."""


class ClaimQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which claims are listed."""

    rule: str | None = None
    entry: str | None = None
    state: StateName | None = None
    older_than: Annotated[str, Meta(description='a duration, "10m"')] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = 50
    cursor: str | None = None


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Frees a claim: the next create of that identity is forwarded."""

    reason: Reason
    dry_run: bool = False
    """Whether only to say what would happen."""


class Settle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Says that a create has happened."""

    becomes: Literal["created"] = msgspec.field(name="as")
    reason: Reason
    link: Link | None = None
    dry_run: bool = False
    """Whether only to say what would happen."""


class Released(msgspec.Struct, frozen=True):
    """What became of a claim that was to be freed."""

    claim: ClaimView
    """As it was before."""
    released: bool
    """False when it was only tried."""


class Settled(msgspec.Struct, frozen=True):
    """What became of a claim that was to be created."""

    claim: ClaimView
    """As it is now, or would be."""
    settled: bool
    """False when it was only tried."""


class SampleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A create whose claims are searched for. Its body is text, JSON, or bytes in base64."""

    path: Annotated[str, Meta(description="with its query", pattern="^[!-~]+$", max_length=8192)]
    method: Annotated[str, Meta(pattern="^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=64)] = "POST"
    headers: dict[str, str | list[str]] = {}
    """Content-Type is application/json for a body, unless one is given."""
    body: str | UnsetType = msgspec.UNSET
    json: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    body_base64: str | UnsetType = msgspec.UNSET
    client: str = "127.0.0.1"
    """The address that connects."""


class FoundClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """A claim that a sample must hold."""

    entry: str
    fingerprint: Fingerprint
    state: Literal["free", "in_flight", "created", "unknown"]
    claim: ClaimView | None
    """None when it is free."""
    item: int | None = None
    """Which item of a batch it is of, counted from 0."""
    previous: bool = False
    """Whether it is of what the entry was before a change."""


class Found(msgspec.Struct, frozen=True):
    """What would become of a sample."""

    rule: str | None
    happens: str
    claims: list[FoundClaim]


class Live(msgspec.Struct, frozen=True):
    """The process runs."""

    live: bool


class Ready(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether creates are taken."""

    ready: bool
    reason: str | None = None


def shown(record: Record, now: int) -> ClaimView:
    """A record for operators. `now` in milliseconds."""
    has_end = record.expires_at is not None and record.expires_at != FOREVER
    return ClaimView(
        fingerprint=record.fingerprint.hex(),
        rule=record.rule,
        entry=record.entry,
        state=STATE_NAMES[record.state],
        first_seen=rfc_3339(record.first_seen),
        age=max(0, now - record.first_seen) / 1000,
        expires_at=rfc_3339(record.expires_at) if has_end and record.expires_at is not None else None,
        link=record.resource,
        caller=None if record.caller is None else record.caller.hex()[:12],
        operation=blake2b(record.owner, digest_size=6).hexdigest(),  # its first bytes are its process's
    )
