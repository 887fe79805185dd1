# What a rule makes of one request, for `gateway explain`: its identities, its claims, and what would happen.

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.config.table import Duration
from gateway.config.units import format_duration
from gateway.errors import IdentityError
from gateway.guard.answer_shapes import AnswerShape
from gateway.guard.changes import ResourceChange
from gateway.guard.condition import describe
from gateway.guard.exceptions import may_override
from gateway.guard.identity import Identity, RequestView, identify, sent_values
from gateway.guard.question import fill
from gateway.guard.rule import Rule
from gateway.guard.sample import Judgement
from gateway.model import Claim, Json


def guarded(rule: Rule, judged: Judgement[str], *, is_final: bool) -> dict[str, Any]:
    """Say what a rule makes of a request; `is_final` says that the fingerprints are those that `run` would make."""
    found, request, wanted = _always(rule, judged), judged.view, judged.claims
    if request is None:
        return found
    scope, identities = _identities(rule, request)
    if judged.change is not None:
        found["does"], found["resource"] = judged.change.action.kind, "/" + "/".join(judged.change.path)
    found["scope"] = {part.field.text: value for part, value in zip(rule.scope, scope, strict=False)}
    found["claims"] = _claims(identities, wanted, is_final=is_final)
    claimed = {identity.entry for identity in identities if not identity.is_earlier}
    if rule.batch is not None:
        found["items"] = len(request.items)
    elif skipped := [entry.name for entry in rule.entries if entry not in claimed]:
        found["skipped"] = skipped
    if judged.change is not None:
        return found | {"happens": _changes(judged.change)}
    if not wanted:
        return found
    found |= _sender(rule, wanted[0], is_final=is_final)
    if rule.verify is not None:
        found["verify"] = fill(rule.verify.question, sent_values(rule, request))
    if rule.override is not None:
        found["override"] = {
            "header": rule.override.header.decode(),
            "callers": [describe(each.field.text, each) for each in rule.override.callers],
            "holds": may_override(rule.override, request),
        }
    happens = _happens(rule, wanted[0])
    if judged.is_shadow:
        happens = f"forwarded, as the rule is in shadow; enforced: {happens}"
    return found | _asked_of_api(rule) | {"happens": happens}


def _always(rule: Rule, judged: Judgement[str]) -> dict[str, Any]:
    """What can be said of a rule whether the request can be read or not."""
    found: dict[str, Any] = {"rule": rule.name, "namespace": rule.namespace}
    if judged.is_shadow:
        found["mode"] = "shadow"
    if rule.when is not None:
        found["when"] = [describe(each.field.text, each) for each in rule.when.conditions]
    if rule.answers:
        found["answers"] = {slug: _answer(shape) for slug, shape in rule.answers.items()}
    if rule.exceptions is not None:
        conditions = (*rule.exceptions.head, *rule.exceptions.body)
        found["except"] = {
            "conditions": [describe(each.field.text, each) for each in conditions],
            "holds": judged.is_exempt,
        }
    return found


def _sender(rule: Rule, first: Claim, *, is_final: bool) -> dict[str, Any]:
    """Who sends a create, and with which key, where the rule asks; `first` is the first of its claims."""
    found: dict[str, Any] = {}
    if rule.tells_retries or rule.authorize is not None:
        found["caller"] = "anonymous" if first.caller is None else "known"
    if rule.key is not None:
        shown = first.fingerprint.hex() if first.is_key and is_final else None
        found["key"] = {"header": rule.key.header, "sent": first.is_key, "fingerprint": shown}
    return found


def _claims(identities: Iterable[Identity], wanted: Iterable[Claim], *, is_final: bool) -> list[dict[str, Any]]:
    """Each identity and its claim; `is_final` says that the fingerprints are those that `run` would make.

    What an entry was before has no claim of its own where it comes to the same.
    """
    of_identities = iter([claim for claim in wanted if not claim.is_key])
    found, claim = [], next(of_identities, None)
    for identity in identities:
        if claim is None or claim.version != identity.entry.version:
            continue
        found.append(_claim(identity, claim, is_final=is_final))
        claim = next(of_identities, None)
    return found


def _claim(identity: Identity, claim: Claim, *, is_final: bool) -> dict[str, Any]:
    entry, found = identity.entry, dict[str, Any]()
    if claim.item is not None:
        found["item"] = claim.item
    found["entry"] = entry.name
    if identity.is_earlier:
        found["previous"] = True
        if identity.scope:
            fields = [part.field.text for part in entry.scope]
            found["scope"] = dict(zip(fields, identity.scope, strict=True))
    found["identity"] = {field.text: value for field, value in zip(entry.fields, identity.values, strict=True)}
    found["fingerprint"] = claim.fingerprint.hex() if is_final else None
    return found


def _identities(rule: Rule, request: RequestView) -> tuple[tuple[Json, ...], list[Identity]]:
    """The scope and the identities of a create, or of all items of a batch. Raises as claims does."""
    if rule.batch is None:
        scope, identities = identify(rule, request) if rule.entries or rule.action else ((), ())
        return scope, list(identities)
    scope, found = (), list[Identity]()
    for item in request.items:
        try:
            scope, identities = identify(rule, msgspec.structs.replace(request, item=item))
        except IdentityError:
            if not rule.forwards_missing:
                raise
        else:
            found += identities
    return scope, found


def _asked_of_api(rule: Rule) -> dict[str, Any]:
    """What the rule makes of the API's word: who may know, and what its answers mean."""
    found: dict[str, Any] = {}
    if rule.authorize is not None:
        found["authorize"] = {
            "path": rule.authorize.path,
            "before": "claim" if rule.authorize.before_claim else "answer",
            "cache": format_duration(Duration(rule.authorize.cache)),
        }
    if rule.outcomes is not None:
        found["outcome"] = [
            {"is": entry.verdict, "when": [describe(each.field.text, each) for each in entry.when]}
            for entry in rule.outcomes.entries
        ]
    return found


def _answer(shape: AnswerShape) -> str:
    """What of an answer the rule writes itself."""
    status = [] if shape.status is None else [str(shape.status)]
    kind = [] if shape.content_type is None else [shape.content_type]
    return " ".join([*status, *kind]) or "with header fields of its own"


def _changes(change: ResourceChange) -> str:
    statuses = ", ".join(change.action.statuses)
    if change.action.kind == "release":
        return f"forwarded; what was created there can be created again once the API answers {statuses}"
    return (
        "forwarded when its claims are free, or what it changes has them already, otherwise 409; once the API answers "
        f"{statuses}, what it had before for these entries is free"
    )


def _happens(rule: Rule, first: Claim) -> str:
    text = "forwarded when all its claims are free, otherwise 409"
    if first.is_key:
        text += "; 422 when its key was sent with another request"
    if rule.authorize is not None:
        text += "; 401 or 403 of the API to a caller who may not know"
    if rule.replay_limit and first.payload is not None:
        text += "; when its caller sends it again, the API's answer once more"
    text += _of_duplicates(rule)
    if rule.override is not None:
        text += "; a duplicate of which override holds is forwarded all the same"
    if rule.batch is not None:
        text += "; the answer names all items in conflict"
        if rule.batch.status_text:
            text += f"; each item is settled by its own status, at {rule.batch.status_text}"
    if rule.exists:
        text += f'; when the API answers a status of exists, "{rule.exists_entry}" counts as created'
    if rule.verify is not None:
        text += "; when the outcome of an earlier one is unknown, the API is asked first"
    if rule.answers:
        text += "; the answers named above have the shape that the rule gives them"
    return text


def _of_duplicates(rule: Rule) -> str:
    start = "; a duplicate of what was created"
    match rule.duplicate:
        case "accept":
            return f"{start} gets {rule.accept_status}"
        case "redirect":
            return f"{start} gets 303 to it, where its link is known and may be shown"
        case "upsert":
            return f"{start} is sent to its link by {rule.upsert_method}, where that is known"
    return ""
