# From what a rule says of identities to what reads them. Pure.

from collections.abc import Sequence

from gateway.config.schema_rule import TYPES, RuleConfig, ScopeConfig, UniqueConfig
from gateway.config.versions import BESIDE, IdentityConfig, earlier, present, version
from gateway.guard.field import WHOLE, Field, parse_alternatives
from gateway.guard.normalize import NORMALISERS, takes_nothing_else, types_in_text
from gateway.guard.pattern import parse_pattern
from gateway.guard.rule import Entry, ScopeField
from gateway.guard.value import ValueForm, refuse_empty, types_of


def compile_scope(scope: Sequence[ScopeConfig]) -> tuple[ScopeField, ...]:
    """The fields of a scope."""
    return tuple([ScopeField(parse_alternatives(item.field), _form(item.normalize, TYPES, None)) for item in scope])


def compile_entry(rule: RuleConfig, entry: UniqueConfig) -> Entry:
    """One entry of a rule that was found free of problems, with what it was before."""
    now, before = present(rule, entry), earlier(rule, entry)
    fields = _fields(now)
    has_others = any(field.alternatives or field.source in WHOLE for field in fields)
    return Entry(
        entry.name,
        now.namespace,
        now.name,
        version(rule, now),
        compile_scope(now.scope),
        fields,
        _form(now.normalize, now.types, entry.pattern, empty_is_absent=now.empty == "missing"),
        is_skipped=entry.missing == "skip",
        is_plain=entry.missing != "skip" and not has_others and before is None,
        previous=None if before is None else _previous(rule, entry, before),
    )


def _previous(rule: RuleConfig, entry: UniqueConfig, before: IdentityConfig) -> Entry:
    """Its pattern is of no matter: it refused values, and changed none."""
    return Entry(
        entry.name,
        before.namespace,
        before.name,
        version(rule, before) | BESIDE,
        compile_scope(before.scope),
        _fields(before),
        _form(before.normalize, before.types, None, empty_is_absent=before.empty == "missing"),
    )


def _fields(identity: IdentityConfig) -> tuple[Field, ...]:
    return tuple([parse_alternatives(field) for field in identity.fields])


def _form(
    normalize: Sequence[str], types: Sequence[str], pattern: str | None, *, empty_is_absent: bool = False
) -> ValueForm:
    normalisers = [NORMALISERS[name] for name in normalize]
    if empty_is_absent:
        normalisers = [refuse_empty, *normalisers, refuse_empty]
    match = None if pattern is None else parse_pattern(pattern)
    if match is not None:
        normalisers.append(match)
    taken = types_of(types)
    if "decimal" in normalize and types == TYPES:  # the default: an amount is a number with a fraction, often
        taken |= {float}
    in_text = types_in_text(normalize)
    return ValueForm(
        tuple(normalisers), taken, in_text, takes_nothing_else(normalize), match, empty_is_absent=empty_is_absent
    )
