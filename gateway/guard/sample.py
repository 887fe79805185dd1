# A request that somebody asks about: which rule it meets, and its claims, as the gateway finds them for one that comes.
# `gateway explain` and the search for the claims of a create ask here. Pure.

from typing import Generic, TypeVar

import msgspec

from gateway.errors import BodyTooLarge, IdentityError, Malformed, RepeatedItems
from gateway.guard.admission import Admission
from gateway.guard.begin_spooled import begin_spooled
from gateway.guard.changes import ResourceChange, read_change
from gateway.guard.claims import claims, with_items
from gateway.guard.exceptions import excepts_body, excepts_head
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule
from gateway.guard.rules import Match, Refusal
from gateway.guard.spooled import SpooledBody
from gateway.guard.when import body_limit, choose, takers
from gateway.http.headers import Headers
from gateway.http.paths import Target
from gateway.http.problem import KINDS
from gateway.model import Claim

T = TypeVar("T")


class Sample(msgspec.Struct, frozen=True):
    """A request, whole."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    client: str | None = None
    """The client's address, as gateway.http.client_address tells it."""

    @property
    def line(self) -> bytes:
        """What requests are compared by, beside their content."""
        return f"{self.method} {self.target}".encode()


class Judgement(msgspec.Struct, Generic[T], frozen=True):
    """What the rules make of a sample."""

    is_forwarded: bool
    """Whether it goes to the API, if its claims are free."""
    happens: str | None
    """What becomes of it whatever is held; None where that depends on its claims. Never has a value of it."""
    upstream: T | None = None
    rule: Rule | None = None
    """The rule that guards it, or refuses it."""
    view: RequestView | None = None
    """What its claims were read from, with the items of a batch."""
    claims: tuple[Claim, ...] = ()
    is_exempt: bool = False
    """Whether the rule leaves it unguarded."""
    is_shadow: bool = False
    """Whether the rule is in shadow: then it is forwarded whatever is held."""
    change: ResourceChange | None = None
    """What it does to what was created, where it is no create; its claims are those of the identities that it gives."""


_NOT_TOLD = {
    "release": "it does not say whose thing it deletes",
    "update": "it names no identity of what it changes",
}


def judge(admission: Admission[T], sample: Sample, fingerprinter: Fingerprinter) -> Judgement[T]:
    """Say what the gateway makes of a sample, up to the question whether its claims are held."""
    admitted = admission.admit(sample.method, sample.target, sample.headers)
    if isinstance(admitted, Refusal):
        return Judgement(False, _refusal(admitted))
    upstream, target = admitted.upstream, admitted.target
    judged = _judge(admitted.match, sample, target, upstream, fingerprinter)
    if judged is not None:
        return judged
    if isinstance(admitted.shadow, Refusal):
        return _in_shadow(Judgement(False, _refusal(admitted.shadow), upstream, admitted.shadow.rule))
    judged = _judge(admitted.shadow, sample, target, upstream, fingerprinter)
    if judged is not None:
        return _in_shadow(judged)
    return Judgement(True, _untouched(admission, sample, target), upstream)


def _judge(
    match: Match | None, sample: Sample, target: Target, upstream: T, fingerprinter: Fingerprinter
) -> Judgement[T] | None:
    """Say what the rules that may guard a sample make of it; None when none does."""
    headers, error = sample.headers, None
    if match is not None and match.is_open:
        rules = [each.rule for each in (match, *match.others)]
        is_in_file = len(sample.body) > (body_limit(match) or 0) and takers(rules, headers)
        body = b"" if is_in_file else sample.body
        match, error = choose(match, RequestView(headers, target.query, match.variables, body))
    if match is None:
        return None
    rule = match.rule
    if error is not None:
        return _unreadable(rule, upstream, error)
    if _is_exempt_by_head(match, sample, target.query):
        return _exempt(rule, upstream)
    try:
        view = _view(rule, sample, target.query, match, fingerprinter)
        if rule.exceptions is not None and _is_read(rule, sample) and excepts_body(rule.exceptions, rule, view):
            return _exempt(rule, upstream)
        if rule.action is not None:
            change = read_change(rule, sample.method, target.path, view, fingerprinter)
            if change is None:
                return Judgement(True, f"passes untouched: {_NOT_TOLD[rule.action.kind]}", upstream)
            return Judgement(True, None, upstream, rule, view, change.wanted, change=change)
        view = view if rule.batch is None else with_items(rule.batch, view, rule.formats)
        found = claims(rule, view, fingerprinter)
    except RepeatedItems as repeated:
        return _refused(rule, upstream, "duplicate-in-batch", str(repeated))
    except Malformed as malformed:
        return _refused(rule, upstream, malformed.slug, malformed.detail)
    except (BodyTooLarge, IdentityError) as unreadable:
        return _unreadable(rule, upstream, unreadable)
    if not found:
        return Judgement(True, "forwarded without a guard: it has no key", upstream, rule, view)
    return Judgement(True, None, upstream, rule, view, found)


def _in_shadow(judged: Judgement[T]) -> Judgement[T]:
    """Say the same of a sample whose rule is in shadow."""
    happens = judged.happens
    if judged.view is not None and judged.view.spooled is not None:
        happens = "the body would go to a file, for which one in shadow does not look at it"
    if happens is not None and not judged.is_exempt:
        happens = f"forwarded, as the rule is in shadow; enforced: {happens}"
    return msgspec.structs.replace(judged, is_forwarded=True, happens=happens, is_shadow=True)


def _exempt(rule: Rule, upstream: T) -> Judgement[T]:
    return Judgement(True, "forwarded without a guard: a condition of except holds", upstream, rule, is_exempt=True)


def _is_exempt_by_head(match: Match, sample: Sample, query: str) -> bool:
    rule, exceptions = match.rule, match.rule.exceptions
    view = RequestView(sample.headers, query, match.variables, b"", client=sample.client)
    return exceptions is not None and excepts_head(exceptions, rule, view)


def _is_read(rule: Rule, sample: Sample) -> bool:
    """Whether a body is read although it may not be needed."""
    return rule.needs_body or len(sample.body) <= rule.formats.limit


def _refusal(refusal: Refusal) -> str:
    return f"{KINDS[refusal.slug].status} {refusal.slug}: {refusal.detail}"


def _view(rule: Rule, sample: Sample, query: str, match: Match, fingerprinter: Fingerprinter) -> RequestView:
    """What a rule reads of a sample. Raises as `claims` does."""
    body, spooled = sample.body, None
    if len(body) > rule.formats.limit:
        spooled = _spool(rule, sample, fingerprinter)
        body = b""
    line = sample.line if rule.tells_retries else b""
    client = sample.client if rule.reads_client else None
    return RequestView(sample.headers, query, match.variables, body, line, client, spooled)


def _spool(rule: Rule, sample: Sample, fingerprinter: Fingerprinter) -> SpooledBody | None:
    """Read a body that is too large for memory; None where the rule needs nothing of it. Raises as `claims` does."""
    size = len(sample.body)
    if rule.spooling is None or not takers((rule,), sample.headers):
        if rule.needs_body:
            raise BodyTooLarge(rule.formats.limit)
        return None
    if size > rule.spooling.limit:
        raise BodyTooLarge(rule.spooling.limit)
    spooled = begin_spooled((rule,), sample.headers, sample.line, fingerprinter, stops=False)
    spooled.feed(sample.body)
    spooled.end()
    return spooled


def _untouched(admission: Admission[T], sample: Sample, target: Target) -> str:
    text = "passes untouched: no rule guards it"
    met: list[Match] = []
    for rules in (admission.rules, admission.shadow):
        asked = None if rules is None else rules.match(sample.method, target, sample.headers)
        if isinstance(asked, Match):
            met += (asked, *asked.others)
    if not met:
        return text
    names = [f'"{each.rule.name}"' for each in met]
    return f"{text}, as the conditions of {', '.join(names)} do not hold"


def _unreadable(rule: Rule, upstream: T, error: IdentityError | BodyTooLarge) -> Judgement[T]:
    if isinstance(error, BodyTooLarge):
        return _refused(rule, upstream, "body-too-large", str(error))
    if rule.forwards_missing:
        return Judgement(True, f'forwarded without a guard (missing = "forward"): {error}', upstream, rule)
    return _refused(rule, upstream, "missing-identity", str(error), error.status)


def _refused(rule: Rule, upstream: T, slug: str, why: str, status: int | None = None) -> Judgement[T]:
    """`status` where it is not that of the slug."""
    shape = rule.answers.get(slug)
    if shape is not None and shape.status is not None:
        status = shape.status
    elif status is None:
        status = KINDS[slug].status
    return Judgement(False, f"{status} {slug}: {why}", upstream, rule)
