# What a rule says of creates that pass all the same, `except` and `override`: whether it makes sense. Pure.

from collections.abc import Sequence

from gateway.config.conditions import (
    parse_caller_condition,
    parse_exception,
    parse_request_condition,
    validate_conditions,
)
from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_identity import wrong_field
from gateway.config.validate_values import is_token
from gateway.guard.condition import Condition, contradicts, implies
from gateway.guard.field import Field, Source, parse_alternatives
from gateway.guard.other_body import KINDS

_NOT_ASKED = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "expect", "host", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers that say how a request is to be read."""


def validate_override(rule: RuleConfig, path: Path, variables: Sequence[str] | None, problems: Problems) -> None:
    """Note every problem of `except` and `override`; `path` leads to the rule.

    `variables` are those of its template, None when they cannot be known.
    """
    _exceptions(rule, path, variables, problems)
    if rule.override is not None and problems.sound(place := (*path, "override")):
        _override(rule, rule.override, place, variables, problems)


def _exceptions(rule: RuleConfig, path: Path, variables: Sequence[str] | None, problems: Problems) -> None:
    place, when = (*path, "except"), (*path, "match", "when")
    given = [parse_request_condition(each) for each in rule.match.when] if problems.sound(when) else []
    are_known = problems.sound((*path, "unique"), (*path, "scope"))
    read = _kinds(rule) if are_known else frozenset()
    for at, condition in validate_conditions(rule.exceptions, place, problems, parse_exception):
        field, kind = condition.field, KINDS.get(condition.field.source)
        wrong = wrong_field(field, variables)
        if wrong is not None:
            problems.add((*at, "field"), wrong)
        elif kind is not None and read and kind not in read:
            problems.add(
                (*at, "field"),
                f"{quote(field.text)} is in {kind}, and the rule reads {' or '.join(sorted(read))}, so no create that "
                "has an identity could be exempt; choose by something else",
            )
        elif any(implies(each, condition) for each in given):
            problems.add(
                at,
                f"holds for every request that the rule matches, by a condition on {quote(field.text)} in match.when, "
                "so the rule would guard nothing; leave one of the two out",
            )
        elif any(contradicts(each, condition) for each in given):
            problems.add(
                at,
                f"can never hold, because match.when asks for something else of {quote(field.text)}; leave it out",
            )


def _kinds(rule: RuleConfig) -> frozenset[str]:
    """What a body may be in which a rule finds its identities; nothing where that is in no body, or in any."""
    found = set()
    for text in rule.fields_read:
        found |= {KINDS.get(each.source) for each in parse_alternatives(text).each}
    return frozenset([kind for kind in found if kind is not None])


def _override(
    rule: RuleConfig, override: OverrideConfig, path: Path, variables: Sequence[str] | None, problems: Problems
) -> None:
    header = (*path, "header")
    if problems.sound(header) and (wrong := _wrong_header(rule, override.header)):
        problems.add(header, wrong)
    if not rule.unique and problems.sound((*path[:-1], "unique"), path):
        problems.add(path, "has no effect without unique: what comes again with its key is a retry, and no duplicate")
    sound: list[Condition[Field]] = []
    for at, condition in validate_conditions(override.callers, (*path, "callers"), problems, parse_caller_condition):
        field = condition.field
        wrong = wrong_field(field, variables)
        if wrong is None and field.header == override.header.lower().encode():
            wrong = f"{quote(field.text)} is the header of the override itself; write who may send it"
        if wrong is not None:
            problems.add((*at, "field"), wrong)
        elif any(contradicts(each, condition) for each in sound):
            problems.add(
                at,
                f"can never hold beside another condition on {quote(field.text)}, so nobody could override; "
                "write one_of for several values",
            )
        else:
            sound.append(condition)


def _wrong_header(rule: RuleConfig, name: str) -> str | None:
    right = 'write one of its own, such as "Confirm-Duplicate"'
    if not is_token(name):
        return f'{quote(name)} is no name of a header; write one such as "Confirm-Duplicate"'
    folded = name.lower()
    if folded in _NOT_ASKED:
        return f"{quote(name)} says how a request is to be read; {right}"
    if rule.key is not None and rule.key.header.lower() == folded:
        return f"{quote(name)} is the header of the key; {right}"
    if folded in _headers(rule.caller):
        return f"{quote(name)} says who sends a create (caller); {right}"
    if folded in _headers(rule.fields_read):
        return f"{quote(name)} is a part of identities, so a duplicate would be none with another value; {right}"
    if folded in {other.lower() for other in rule.method_override}:
        return f"{quote(name)} changes the method; {right}"
    return None


def _headers(texts: Sequence[str]) -> set[str]:
    """The names, in lower case, of the headers that fields read, as far as these can be parsed."""
    found = set()
    for text in texts:
        try:
            fields = parse_alternatives(text).each
        except ValueError:  # which is a problem already
            continue
        found |= {field.header.decode() for field in fields if field.source in {Source.HEADER, Source.JWT, Source.HOST}}
    return found
