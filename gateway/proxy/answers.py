# The gateway's own answers that depend on what happened: on a claim that is held, on a body that could not be read, on
# an API that did not answer. Pure.

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, assert_never

import msgspec

from gateway.errors import (
    BodyTooLarge,
    CodingNotAccepted,
    IdentityError,
    Overloaded,
    RepeatedItems,
    RequestBroken,
    SpoolError,
)
from gateway.guard.decision import ON_HELD, Conflict, each_entry
from gateway.http import existing
from gateway.http.problem import KINDS, TYPE, ItemConflict, Problem, Reply, problem, reply
from gateway.model import FOREVER, Claim, Held, Record
from gateway.upstream.results import NoResponse, NotSent

NOT_FORWARDED = "The create was not forwarded."
_MAX_RETRY_AFTER = 24 * 3600
"""Seconds named in Retry-After at most: an operator may free a claim at any time."""
_DETAILS = {
    Conflict.DUPLICATE: 'A resource with the same "{}" was created before.',
    Conflict.IN_PROGRESS: 'A create with the same "{}" was forwarded and has not been answered yet.',
    Conflict.KEY_REUSED: 'The same "{}" was sent before with another request.',
    Conflict.OUTCOME_UNKNOWN: 'A create with the same "{}" was forwarded, and its outcome is not known.',
}


def conflict(
    kind: Conflict, claim: Claim, record: Record, now: int, *, shows_link: bool, retry_after: int | None = None
) -> Reply:
    """Make the answer to a create whose claim is held.

    `now` in milliseconds; `retry_after` in seconds, None for what the conflict says by itself.
    """
    if retry_after is None:
        retry_after = _retry_after(record, now) if kind is Conflict.OUTCOME_UNKNOWN else KINDS[kind].retry_after
    return _conflict(kind, claim.rule, claim.entry, record, retry_after, shows_link)


def busy_resource(kind: Conflict, slot: Claim, record: Record, now: int) -> Reply:
    """Make the answer to a change of a resource that another change of it holds. `now` in milliseconds."""
    is_unknown = kind is Conflict.OUTCOME_UNKNOWN
    document = msgspec.structs.replace(
        _document(kind, slot.rule, slot.entry),
        title="An earlier change has no known outcome" if is_unknown else "Another change is in progress",
        detail="Another change of this resource was forwarded, and "
        + ("its outcome is not known." if is_unknown else "it has not been answered yet."),
        suggested_next_step="Wait, then send it again. The same change may be sent again at once."
        if is_unknown
        else "Wait, then send it again.",
    )
    return reply(document, KINDS[kind].error, _retry_after(record, now) if is_unknown else KINDS[kind].retry_after)


@lru_cache(maxsize=1024)  # duplicates come in bursts: the same create again and again
def _conflict(
    kind: Conflict, rule: str, entry: str, record: Record, retry_after: int | None, shows_link: bool
) -> Reply:
    expires_at = record.expires_at
    document = _document(
        kind,
        rule,
        entry,
        existing_resource_link=record.resource if kind is Conflict.DUPLICATE and shows_link else None,
        first_seen=rfc_3339(record.first_seen),
        expires_at=None if expires_at is None or expires_at == FOREVER else rfc_3339(expires_at),
    )
    return reply(document, KINDS[kind].error, retry_after)


def batch_conflict(answer: Reply, held: Held, count: int, shows_link: Callable[[Claim, Record], bool]) -> Reply:
    """Make the answer to a batch of `count` items from the `answer` about one of its claims: it names all of them."""
    conflicts = tuple(
        ItemConflict(
            index=claim.item,
            conflict_field=claim.entry,
            type=TYPE + ON_HELD[record.state],
            existing_resource_link=record.resource if shows_link(claim, record) else None,
        )
        for claim, record in each_entry(held)
        if claim.item is not None
    )
    document = answer.document
    if document is None or not conflicts:
        return answer
    items = len({conflict.index for conflict in conflicts})
    detail = f"{document.detail} Of {count} items {items} are in conflict, and none was forwarded."
    document = msgspec.structs.replace(document, detail=detail, conflicts=conflicts)
    return answer.with_document(document)


def _repeated_items(error: RepeatedItems, rule: str | None) -> Reply:
    """Make the answer to a batch that has the same identity twice."""
    kind = KINDS["duplicate-in-batch"]
    document = Problem(
        type=f"{TYPE}duplicate-in-batch",
        title=kind.title,
        status=kind.status,
        detail=f"{str(error).capitalize()}. {NOT_FORWARDED}",
        rule=rule,
        suggested_next_step=kind.next_step,
        conflicts=tuple([ItemConflict(index=index, conflict_field=entry) for index, entry in error.repeats]),
    )
    return reply(document, kind.error)


def bare_conflict(kind: Conflict, claim: Claim) -> Reply:
    """Make the same for a caller of whom it is not clear whether he may know: without anything of the other create."""
    retry_after = 1 if kind is Conflict.OUTCOME_UNKNOWN else KINDS[kind].retry_after
    return reply(_document(kind, claim.rule, claim.entry), KINDS[kind].error, retry_after)


def _document(kind: Conflict, rule: str, entry: str, **of_record: Any) -> Problem:
    """Say what is in conflict; `of_record` are the members that tell of the other create."""
    shared = KINDS[kind]
    return Problem(
        type=TYPE + kind,
        title=shared.title,
        status=shared.status,
        detail=_DETAILS[kind].format(entry),
        rule=rule,
        conflict_field=entry,
        suggested_next_step=shared.next_step,
        **of_record,
    )


def accepted(status: int, claim: Claim, link: str | None) -> Reply:
    """Make the answer to a duplicate that its sender shall take for a success; `link` only where it may be shown."""
    return _accepted(status, claim.rule, claim.entry, link)


@lru_cache(maxsize=1024)
def _accepted(status: int, rule: str, entry: str, link: str | None) -> Reply:
    return existing.accepted(_existing(status, rule, entry, link))


def redirected(claim: Claim, link: str) -> Reply:
    """Make the answer that leads the sender of a duplicate to what exists."""
    return _redirected(claim.rule, claim.entry, link)


@lru_cache(maxsize=1024)
def _redirected(rule: str, entry: str, link: str) -> Reply:
    return existing.redirected(_existing(303, rule, entry, link), link)


def _existing(status: int, rule: str, entry: str, link: str | None) -> Problem:
    """Say the same as to any duplicate, by another status."""
    document = _document(Conflict.DUPLICATE, rule, entry, existing_resource_link=link)
    return msgspec.structs.replace(document, status=status)


def unreadable(
    error: RequestBroken | BodyTooLarge | Overloaded | RepeatedItems | SpoolError, rule: str | None
) -> Reply:
    """Make the answer for a request whose body could not be read, or not as many creates."""
    match error:
        case RequestBroken():
            return problem("request-incomplete", "The body ended early, came too slowly or has invalid framing.", rule)
        case BodyTooLarge():
            return problem("body-too-large", f"Rule {rule} reads at most {error.limit} bytes of {error.what}.", rule)
        case Overloaded():
            return problem("overloaded", NOT_FORWARDED, rule)
        case RepeatedItems():
            return _repeated_items(error, rule)
        case SpoolError():
            return problem("spool-unavailable", NOT_FORWARDED, rule)
        case _:
            assert_never(error)


def missing_identity(error: IdentityError, rule: str | None) -> tuple[Reply, bytes]:
    """Make the answer for a create whose identity cannot be read, and the field lines that belong to it."""
    detail = f"The identity cannot be read: {error}."
    if not isinstance(error, CodingNotAccepted):
        return problem("missing-identity", detail, rule), b""
    kind = KINDS["missing-identity"]
    document = Problem(
        type=f"{TYPE}missing-identity",
        title=kind.title,
        status=error.status,
        detail=detail,
        rule=rule,
        suggested_next_step="Send the body in one of the codings that Accept-Encoding names.",
    )
    accepted = ", ".join(error.accepted) or "identity"
    return reply(document, kind.error), f"Accept-Encoding: {accepted}\r\n".encode()  # RFC 9110 15.5.16


def no_answer(result: NotSent | NoResponse, rule: str | None) -> Reply:
    """Make the answer for a request that was not sent, or was sent and not answered."""
    status = 504 if result.timed_out else 502  # RFC 9110 15.6.3 and 15.6.5
    match result:
        case NotSent():
            document = Problem(
                type=TYPE + "upstream-unreachable",
                title="The API cannot be reached",
                status=status,
                detail="No part of the request was sent to the API.",
                rule=rule,
                suggested_next_step="Send it again: it is safe, nothing happened.",
            )
            return reply(document, result.error, 1)
        case NoResponse():
            document = Problem(
                type=TYPE + "outcome-unknown",
                title="The API did not answer",
                status=status,
                detail="The request was sent, and its outcome is not known.",
                rule=rule,
                suggested_next_step="Check whether it happened before you send it again: a retry may do it twice.",
            )
            return reply(document, result.error)
        case _:
            assert_never(result)


def _retry_after(record: Record, now: int) -> int:
    if record.expires_at is None:
        return 1
    return min(math.ceil((record.expires_at - now) / 1000), _MAX_RETRY_AFTER)


def rfc_3339(milliseconds: int) -> str:
    """Write a time, given in milliseconds since the epoch, as operators and callers read it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
