# From `release` and `update` of a rule to rules by which such requests are read: what of the rule holds for them. Pure.

from collections.abc import Iterator, Sequence

import msgspec

from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_rule import MatchConfig, PreviousConfig, RuleConfig, ScopeConfig, UniqueConfig
from gateway.guard.field import Field, Source, parse_alternatives, parse_field
from gateway.guard.following import Action
from gateway.guard.template import parse_template

_SHARED = frozenset({Source.HEADER, Source.HOST, Source.COOKIE, Source.JWT, Source.QUERY, Source.CLIENT})
"""What a request for a created thing has as its create had it."""
_IN_BODY = frozenset({Source.BODY, Source.FORM, Source.FILE, Source.XML})
"""Values of a body that a change may have."""
_READABLE = _SHARED | _IN_BODY
_ANY = frozenset(Source) - {Source.PATH}
HOLD = 60_000
"""Milliseconds for which an API may still be at work on an update that it did not answer, where no rule says it."""
NO_HOLD = 1
"""The same for what deletes: whenever that is done, it gives a thing no identity."""


class ChangeRule(msgspec.Struct, frozen=True):
    """A rule by which requests are read that delete or change what a rule creates."""

    rule: RuleConfig
    namespace: str
    action: Action


def changes_of(rule: RuleConfig) -> Iterator[ChangeRule]:
    """Those of a rule that was found free of problems."""
    hold = HOLD if rule.verify is None else round(rule.verify.absent_after * 1000)
    namespace = rule.namespace or rule.name
    for release in rule.release:
        scope = [item for item in rule.scope_items if is_shared(parse_alternatives(item.field))]
        deletes = _change(rule, release, (), [_as_sent(item, _SHARED, ()) for item in scope])
        without = msgspec.structs.replace(deletes, verify=None)
        yield ChangeRule(without, namespace, Action("release", release.statuses, NO_HOLD))
    for update in rule.update:
        variables = parse_template(update.path).variables
        unique = [
            msgspec.structs.replace(
                entry,
                missing="skip",
                fields=tuple([_readable(text, _READABLE, variables) for text in entry.fields]),
                previous=_previous(entry.previous, variables),
            )
            for entry in movable(rule, update)
        ]
        changes = _change(rule, update, unique, [_as_sent(item, _READABLE, variables) for item in rule.scope_items])
        yield ChangeRule(changes, namespace, Action("update", update.statuses, hold))


def _change(
    rule: RuleConfig,
    change: ReleaseConfig | UpdateConfig,
    unique: Sequence[UniqueConfig],
    scope: Sequence[ScopeConfig],
) -> RuleConfig:
    """What of a rule holds for its changes. Keys, retries, batches, and what duplicates get, are for creates alone."""
    variables = parse_template(change.path).variables
    match = MatchConfig(
        path=change.path, methods=change.methods, host=rule.match.host, extensions=rule.match.extensions
    )
    return msgspec.structs.replace(
        rule,
        namespace=rule.namespace or rule.name,
        match=match,
        unique=tuple(unique),
        scope=tuple(scope),
        caller=tuple([text for text in rule.caller if _is_readable(parse_alternatives(text), _ANY, variables)]),
        success=change.statuses,
        refused=(*rule.refused, *rule.exists),
        exists=(),
        exists_entry=None,
        each=None,
        item_status=None,
        key=None,
        retry="reject",
        retry_window=None,
        duplicate="reject",
        upsert=None,
        override=None,
        exceptions=tuple([each for each in rule.exceptions if _is_readable(parse_field(each.field), _ANY, variables)]),
        release=(),
        update=(),
    )


def _previous(before: PreviousConfig | None, variables: Sequence[str]) -> PreviousConfig | None:
    """What an entry was, as a change can have it; None where it cannot."""
    if before is None:
        return None
    fields = tuple([_readable(text, _READABLE, variables) for text in before.fields])
    items = before.scope_items
    scope = None if items is None else tuple([_as_sent(item, _READABLE, variables) for item in items])
    if not all(fields) or not all(item.field for item in scope or ()):
        return None
    return msgspec.structs.replace(before, fields=fields, scope=scope)


def is_shared(field: Field) -> bool:
    """Whether a request for a created thing may have a field of the scope as its create had it."""
    return any(each.source in _SHARED for each in field.each)


def _as_sent(item: ScopeConfig, sources: frozenset[Source], variables: Sequence[str]) -> ScopeConfig:
    return ScopeConfig(field=_readable(item.field, sources, variables), normalize=item.normalize)


def _readable(text: str, sources: frozenset[Source], variables: Sequence[str]) -> str:
    """A field without those of its alternatives that a change cannot have."""
    return " | ".join([each.text for each in parse_alternatives(text).each if _is_readable(each, sources, variables)])


def _is_readable(field: Field, sources: frozenset[Source], variables: Sequence[str]) -> bool:
    return field.name in variables if field.source is Source.PATH else field.source in sources


def movable(rule: RuleConfig, update: UpdateConfig) -> list[UniqueConfig]:
    """The entries of `unique` whose values a change can have, one of them in its body."""
    variables = parse_template(update.path).variables
    return [entry for entry in rule.unique if _is_movable(entry, variables)]


def _is_movable(entry: UniqueConfig, variables: Sequence[str]) -> bool:
    fields = [parse_alternatives(text) for text in entry.fields]
    is_in_body = any(each.source in _IN_BODY for field in fields for each in field.each)
    return is_in_body and not any(unreadable(field, variables) for field in fields)


def unreadable(field: Field, variables: Sequence[str]) -> bool:
    """Whether no change can have a field; `variables` are those of its path."""
    return not any(_is_readable(each, _READABLE, variables) for each in field.each)
