# What would become of a create of a rule in shadow, were the rule enforced. Pure.

from collections.abc import Mapping
from typing import assert_never

from gateway.errors import BodyTooLarge, Malformed, RepeatedItems, RequestBroken
from gateway.guard.decision import Conflict, Found
from gateway.guard.exceptions import may_override
from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule

_DUPLICATES: Mapping[str, str] = {
    "reject": "duplicate",
    "accept": "accepted",
    "redirect": "redirected",
    "upsert": "upserted",
}
"""What a duplicate gets, by the rule's `duplicate`."""


def would_be(rule: Rule, found: Found, view: RequestView) -> str:
    """Say what becomes of a create for the conflict that was `found`, as far as nobody has to be asked for that."""
    match found.conflict:
        case Conflict.IN_PROGRESS | Conflict.KEY_REUSED:
            return found.conflict
        case Conflict.DUPLICATE | Conflict.OUTCOME_UNKNOWN:
            if rule.override is not None and not found.claim.is_key and may_override(rule.override, view):
                return "overridden"
            if found.conflict is Conflict.OUTCOME_UNKNOWN:
                return found.conflict
            return "replayed" if found.is_retry and rule.replay_limit else _DUPLICATES[rule.duplicate]
        case _:
            assert_never(found.conflict)


def would_be_unread(rule: Rule, error: Exception) -> str:
    """Say what becomes of a create of which something cannot be read."""
    match error:
        case Malformed():
            return error.slug
        case RepeatedItems():
            return "duplicate-in-batch"
        case BodyTooLarge():
            return "body-too-large"
        case RequestBroken():
            return "request-incomplete"
        case _:
            return "unguarded" if rule.forwards_missing else "missing-identity"
