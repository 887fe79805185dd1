# The two tables that decide everything, as data. Pure.
#
# The promise behind them: a create is forwarded again only when it is certain that the first one did not happen.

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.errors import GatewayError
from gateway.guard.rule import Rule
from gateway.http.headers import Headers
from gateway.http.retry_after import is_retry_after
from gateway.model import FOREVER, FREE, Claim, Held, Record, Settlement, State


class Conflict(enum.StrEnum):
    """What a create meets when one of its claims is held; the value is the answer's slug."""

    IN_PROGRESS = "in-progress"
    DUPLICATE = "duplicate"
    OUTCOME_UNKNOWN = "outcome-unknown"
    KEY_REUSED = "key-reused"


class Found(msgspec.Struct, frozen=True):
    """What answers a create that was not let through."""

    conflict: Conflict
    claim: Claim
    record: Record
    is_retry: bool = False
    """Whether the create is the held one, sent again by its caller."""


ON_HELD: Mapping[State, Conflict] = {
    State.IN_FLIGHT: Conflict.IN_PROGRESS,
    State.CREATED: Conflict.DUPLICATE,
    State.UNKNOWN: Conflict.OUTCOME_UNKNOWN,
}
"""In order: with several claims held, the first row that fits any of them answers."""


class Outcome(enum.Enum):
    """How the upstream took a create."""

    SUCCEEDED = "succeeded"
    EXISTS = "exists"
    """It said that the thing exists already."""
    REFUSED = "refused"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    """It answered, and a rule's `outcome` says that nobody can know what it did."""
    NOT_SENT = "not-sent"
    """No byte of the request left."""
    NO_RESPONSE = "no-response"
    """It got the request, or may have, and no answer's head came back."""

    __hash__ = object.__hash__  # that of an enum is written in Python, and tables are asked by outcomes thrice a create


ON_OUTCOME: Mapping[Outcome, State | None] = {
    Outcome.SUCCEEDED: State.CREATED,
    Outcome.EXISTS: State.CREATED,
    Outcome.REFUSED: None,
    Outcome.FAILED: State.UNKNOWN,
    Outcome.UNCERTAIN: State.UNKNOWN,
    Outcome.NOT_SENT: None,
    Outcome.NO_RESPONSE: State.UNKNOWN,
}
"""What an operation's claims become; None is free."""


def pick_conflict(rule: Rule, held: Held, now: int) -> Found:
    """Choose the answer for a create that was not let through, and the conflict it is about. `now` in milliseconds."""
    if not held.conflicts:
        raise GatewayError("a store said that claims are held, and named none")
    claim, record = held.conflicts[0]
    if claim.is_key:
        if record.payload != claim.payload:
            return Found(Conflict.KEY_REUSED, claim, record)
        return Found(ON_HELD[record.state], claim, record, is_retry=True)
    is_retry = rule.retry_window > 0 and all(_is_retry(rule, *met, now) for met in held.conflicts)
    for state, conflict in ON_HELD.items():
        for claim, record in held.conflicts:
            if record.state is state:
                return Found(conflict, claim, record, is_retry)
    raise GatewayError("a store holds a claim in a state that is not known")


def each_entry(held: Held) -> Sequence[tuple[Claim, Record]]:
    """The conflicts, at most one for each entry of each item: what an entry was before counts as the same.

    Of two it is the one whose state answers first.
    """
    if len(held.conflicts) == 1:  # nearly always
        return held.conflicts
    states = list(ON_HELD)
    found: dict[tuple[int | None, str, bool], tuple[Claim, Record]] = {}
    for claim, record in held.conflicts:
        _, other = found.setdefault(of := (claim.item, claim.entry, claim.is_key), (claim, record))
        if states.index(record.state) < states.index(other.state):
            found[of] = (claim, record)
    return list(found.values())


def _is_retry(rule: Rule, claim: Claim, record: Record, now: int) -> bool:
    """Whether a claim without a key is of the same caller, and of the same bytes, as the record that holds it."""
    return (
        claim.payload is not None
        and claim.payload == record.payload
        and claim.caller is not None
        and claim.caller == record.caller
        and now < later(record.first_seen, rule.retry_window)
    )


def classify_status(rule: Rule, status: int, headers: Headers) -> Outcome:
    """Say what an answer's head means under a rule."""
    if status in rule.success:
        return Outcome.SUCCEEDED
    if status in rule.exists:
        return Outcome.EXISTS
    if status in rule.refused:
        return Outcome.REFUSED
    if status in rule.refused_with_retry_after:
        # Only one well-formed value is taken for the API's own word; two of them contradict RFC 9110 5.3.
        values = headers.values(b"retry-after")
        if len(values) == 1 and is_retry_after(values[0]):
            return Outcome.REFUSED
    return Outcome.FAILED


def about_claims(rule: Rule, outcome: Outcome, claims: Sequence[Claim]) -> Outcome:
    """Say what an answer means for an operation's `claims`. "Exists" is no word about an entry that was skipped."""
    if outcome is Outcome.EXISTS and all(claim.is_key or claim.entry != rule.exists_entry for claim in claims):
        return Outcome.UNCERTAIN
    return outcome


def state_after(rule: Rule, outcome: Outcome) -> State | None:
    """Say what an operation's claims become under a rule; None is free."""
    return None if outcome is Outcome.FAILED and rule.failed_is_free else ON_OUTCOME[outcome]


def settle(
    rule: Rule,
    outcome: Outcome,
    now: int,
    resource: str | None = None,
    answer: bytes | None = None,
    claims: Sequence[Claim] = (),
    link: bytes | None = None,
) -> Settlement:
    """Say what becomes of an operation's `claims`.

    `now` in milliseconds; `answer` is encrypted already; `link` is what they are found by, if it becomes known.
    """
    match state := state_after(rule, outcome):
        case State.CREATED:
            others = _other_claims(rule, claims) or None if outcome is Outcome.EXISTS else None
            return Settlement(state, later(now, rule.keep), resource, answer, others, link)
        case State.UNKNOWN:
            return Settlement(state, later(now, rule.unknown_hold))
        case _:
            return FREE


class ItemOutcome(NamedTuple):
    """What became of one item of a batch, and where it lives, if that is known."""

    outcome: Outcome
    resource: str | None = None
    link: bytes | None = None
    """What its claims are found by, if that becomes known."""


def settle_items(
    rule: Rule, items: Sequence[ItemOutcome], now: int, claims: Sequence[Claim], answer: bytes | None = None
) -> Settlement:
    """Say what becomes of the claims of a batch: of those of each item by what became of it, of the key by all."""
    by_item: dict[int | None, list[Claim]] = {}
    for claim in claims:
        by_item.setdefault(claim.item, []).append(claim)
    apart: dict[bytes, Settlement] = {}
    for at, (outcome, resource, link) in enumerate(items):
        mine = by_item.get(at, [])
        ended = settle(rule, about_claims(rule, outcome, mine), now, resource, None, mine, link)
        apart.update([(claim.fingerprint, ended.of(claim)) for claim in mine])
    outcome = of_all([item.outcome for item in items])
    # When every item exists already, nothing was made as far as the key goes.
    whole = FREE if outcome is Outcome.EXISTS else settle(rule, outcome, now)
    return Settlement(whole.state, whole.expires_at, None, answer, apart)


_WHOLE = (Outcome.SUCCEEDED, Outcome.UNCERTAIN, Outcome.FAILED, Outcome.EXISTS)
"""The first of these that any item has is that of the batch: a retry of it must not do again what was done."""


def of_all(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a batch by those of its items: refused only when all are."""
    return next((outcome for outcome in _WHOLE if outcome in outcomes), Outcome.REFUSED)


def _other_claims(rule: Rule, claims: Sequence[Claim]) -> Mapping[bytes, Settlement]:
    """The claims that an API does not speak of when it says that the thing exists: nothing was made for them."""
    return {claim.fingerprint: FREE for claim in claims if claim.is_key or claim.entry != rule.exists_entry}


def later(now: int, length: int) -> int:
    """Add a length to a time, both in milliseconds; FOREVER stays FOREVER."""
    return FOREVER if length >= FOREVER - now else now + length
