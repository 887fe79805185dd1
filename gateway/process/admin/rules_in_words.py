# The rules in force, in words, for GET /rules. Pure. Never says what could be a secret: values to compare headers with,
# or the query of a question to the API.

import json
import math
from collections.abc import Iterable, Iterator

import msgspec

from gateway.config.schema_duplicates import ACCEPT_STATUS, UpsertConfig
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.schema_rule import RuleConfig, UniqueConfig
from gateway.config.table import Duration
from gateway.config.units import format_duration, format_size

_PRIVATE = ("header.", "cookie.", "jwt.", "query.")
"""What may be compared with a secret."""


class RuleWords(msgspec.Struct, frozen=True):
    """One rule, for people."""

    name: str
    guards: str
    """The methods, host and path, as in "POST /users"."""
    words: list[str]
    """Sentences."""


class RuleList(msgspec.Struct, frozen=True):
    """The rules in force, in the order in which they are asked."""

    rules: list[RuleWords]


def rule_words(rule: RuleConfig) -> RuleWords:
    """Say what a rule does."""
    match = rule.match
    guards = f"{', '.join(match.methods)} {match.host or ''}{match.path}"
    words = [*_mode(rule), *_guarded(rule), *_conflicts(rule), *_passing(rule), *_unknown(rule), *_rest(rule)]
    return RuleWords(rule.name, guards, words)


def _mode(rule: RuleConfig) -> Iterator[str]:
    if rule.mode == "shadow":
        yield "In shadow: it stops nothing, and counts what it would have stopped by what follows."
    elif rule.mode == "off":
        yield "Off: nothing of what follows is done."


def _guarded(rule: RuleConfig) -> Iterator[str]:
    match = rule.match
    if match.extensions:
        yield f"Also with the suffixes {_listed(f'.{each}' for each in match.extensions)}."
    if match.when:
        yield f"Only when {' and '.join(map(_condition, match.when))}."
    if rule.each is not None:
        yield f"Each item of {rule.each} is a create of its own, {rule.max_items} at most in a request."
    for entry in rule.unique:
        yield f"Unique by {_entry(entry)}."
    if rule.scope:
        yield f"Counted apart for each {_listed(item.field for item in rule.scope_items)}."
    if rule.namespace not in {None, rule.name}:
        yield f"Its identities are shared with all rules of the namespace {rule.namespace}."
    if rule.unique and rule.missing == "forward":
        yield "A create that lacks a field passes without a guard."


def _entry(entry: UniqueConfig) -> str:
    text = f"{entry.name}: {_listed(entry.fields, ' with ')}"
    if entry.normalize:
        text += f", after {_listed(entry.normalize)}"
    if entry.missing == "skip":
        text += "; left out where a field is absent"
    if entry.previous is not None:
        text += f". Also by what it was before: {_listed(entry.previous.fields, ' with ')}"
        text += f", after {_listed(entry.previous.normalize)}" if entry.previous.normalize else ""
    return text


def _conflicts(rule: RuleConfig) -> Iterator[str]:
    wait = rule.wait_timeout if rule.in_flight == "wait" else rule.reject_after
    if wait:
        yield f"While a create is under way, the same one waits for up to {format_duration(wait)}, then gets 409."
    else:
        yield "While a create is under way, the same one gets 409 at once."
    duplicate = {
        "reject": "gets 409",
        "accept": f"gets {rule.accept_status or ACCEPT_STATUS}",
        "redirect": "gets 303 to what was created",
        "upsert": f"is sent to what was created, by {(rule.upsert or UpsertConfig()).method}",
    }[rule.duplicate]
    yield f"A duplicate of what was created {duplicate}{_for(rule.keep)}."
    if rule.key is not None:
        needed = "must have a key" if rule.key.required else "may have a key"
        yield f"Each create {needed} in {rule.key.header}, by which its retries are known."
    if rule.retry_window is not None:
        yield f"Without a key, the same bytes of the same caller are a retry for {format_duration(rule.retry_window)}."
    if rule.retry == "replay":
        size = format_size(rule.replay_limit)
        yield f"A retry of what was created gets the answer of the API once more, if that has at most {size}."


def _passing(rule: RuleConfig) -> Iterator[str]:
    if rule.exceptions:
        yield f"Not guarded where {' or '.join(map(_condition, rule.exceptions))}."
    if rule.override is not None:
        who = " and ".join(map(_condition, rule.override.callers))
        yield f"A duplicate passes all the same when it has {rule.override.header}{f', and {who}' if who else ''}."


def _unknown(rule: RuleConfig) -> Iterator[str]:
    if rule.failed == "free":
        yield "When the API fails with a status, the create may be sent again."
    held = f"When an outcome is unknown, the identity is blocked{_for(rule.hold)}"
    if rule.verify is None:
        yield f"{held}, or until an operator releases or settles it."
        return
    path = rule.verify.path.partition("?")[0]
    absent = format_duration(rule.verify.absent_after)
    yield f"{held} at most; the API is asked at {path}, and believed {absent} after the create when it knows of none."


def _rest(rule: RuleConfig) -> Iterator[str]:
    for outcome in rule.outcome:
        yield f"An answer means {outcome.verdict} when {' and '.join(map(_condition, outcome.when))}."
    if rule.exists:
        yield f"By the statuses {_listed(rule.exists)} the API says that it exists already: it counts as created."
    if rule.resource is not None:
        who = {"caller": "the caller who made it", "anyone": "anyone", "nobody": "nobody"}[rule.link]
        yield f"The link is taken from {rule.resource.partition('?')[0]}, and shown to {who}."
    for release in rule.release:
        what, statuses = f"{' or '.join(release.methods)} {release.path}", _listed(release.statuses)
        yield f"What is deleted by {what} can be created again, once the API answers {statuses}."
    for update in rule.update:
        what, statuses = f"{' or '.join(update.methods)} {update.path}", _listed(update.statuses)
        yield f"What is changed by {what} gives up the identities that it had, once the API answers {statuses}."
    if rule.authorize is not None:
        before = "anything is claimed" if rule.authorize.before == "claim" else "an answer tells of another create"
        path = rule.authorize.path.partition("?")[0]
        yield f"Before {before}, the API is asked at {path} whether the caller may know."
    if rule.answers:
        yield f"The answers {_listed(rule.answers)} have a form of their own."


def _for(length: Duration) -> str:
    return " for ever" if math.isinf(length) else f" for {format_duration(length)}"


def _condition(condition: ConditionConfig) -> str:
    field = condition.field
    if condition.exists is not None:
        return f"{field} is {'there' if condition.exists else 'not there'}"
    if field.startswith(_PRIVATE):
        return f"{field} has a certain value"
    if condition.matches is not None:
        return f"{field} is like {json.dumps(condition.matches, ensure_ascii=False)}"
    values = condition.one_of or ((condition.equals,) if condition.equals is not None else ())
    return f"{field} is {_listed([json.dumps(value, ensure_ascii=False) for value in values], ' or ')}"


def _listed(texts: Iterable[str], word: str = ", ") -> str:
    return word.join(texts)
