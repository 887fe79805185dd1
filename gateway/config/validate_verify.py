# What a rule says of finding out unknown outcomes: whether it makes sense. Pure.

import math
from collections.abc import Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import RuleConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.units import format_duration
from gateway.config.validate_values import check_headers
from gateway.guard.field import Field, Source, parse_alternatives, parse_field
from gateway.guard.question import Question, foreign, goes_along, is_about, missing, parse_question
from gateway.guard.resource import parse_resource
from gateway.http.write import HOP_BY_HOP

_RESERVED = dict.fromkeys(
    (*(name.decode() for name in HOP_BY_HOP), "host", "content-length", "accept", "cache-control"),
    "is set by the gateway",
)
"""Fields that a question has already, or that would break it."""


def validate_verify(rule: RuleConfig, verify: VerifyConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's `verify`; `path` leads to it."""
    unique, scope = (*path[:-1], "unique"), (*path[:-1], "scope")
    if problems.sound(place := (*path, "path")):
        question = problems.parse(place, parse_question, verify.path)
        if question is not None and rule.unique and problems.sound(unique, scope):
            _question(rule, question, place, problems)
    if verify.found is not None and problems.sound(place := (*path, "found")):
        _found(verify.found, place, problems)
    if verify.resource is not None and problems.sound(place := (*path, "resource")):
        problems.parse(place, parse_resource, verify.resource)
    if problems.sound(place := (*path, "absent_after")):
        _absent_after(rule, verify, place, problems)
    along = [] if not problems.sound(scope) else [parse_alternatives(item.field) for item in rule.scope_items]
    sent = {field.name.lower() for field in along if goes_along(field)}
    of_scope = dict.fromkeys(sent, "is part of scope, so that of the create is sent along")
    check_headers(verify.headers or {}, (*path, "headers"), problems, of_scope | _RESERVED)
    if not rule.unique and problems.sound(unique):
        problems.add(
            path,
            "has no effect without unique, whose fields say what to ask for; "
            'write unique = [{ name = "email", fields = ["body.email"] }]',
        )


def _question(rule: RuleConfig, question: Question, path: Path, problems: Problems) -> None:
    scope = [parse_alternatives(item.field) for item in rule.scope_items]
    entries = [[parse_alternatives(text) for text in entry.fields] for entry in rule.unique]
    if any(is_about(question, scope, fields) for fields in entries):
        return
    known = [*scope, *[field for fields in entries for field in fields]]
    for field in foreign(question, (), known):
        problems.add(
            path,
            f"{quote(field.text)} is read neither by scope nor by an entry of unique, so it may differ between equal "
            f"creates; write {_listed(known)}",
        )
    if foreign(question, (), known):
        return
    fitting = [fields for fields in entries if not foreign(question, scope, fields)]
    if not fitting:
        problems.add(path, "names fields of more than one entry of unique; name those of one of them, and of scope")
        return
    fields = min(fitting, key=lambda fields: len(missing(question, scope, fields)))
    problems.add(
        path,
        f"does not name {_listed(missing(question, scope, fields))}, so the answer could be about another create; "
        "name every field of one entry of unique, and of scope (its headers are sent along)",
    )


def _listed(fields: Sequence[Field]) -> str:
    return ", ".join(dict.fromkeys([f"{{{field.text}}}" for field in fields]))


def _found(text: str, path: Path, problems: Problems) -> None:
    field = problems.parse(path, parse_field, text)
    if field is not None and field.source is not Source.BODY:
        problems.add(path, f'{quote(text)} is not in the body of an answer; write one such as "body.items[0].id"')


def _absent_after(rule: RuleConfig, verify: VerifyConfig, path: Path, problems: Problems) -> None:
    if not 0 < verify.absent_after < math.inf:
        problems.add(path, 'must be longer than nothing, and end; write a time such as "60s"')
    elif problems.sound((*path[:-2], "keep"), (*path[:-2], "unknown_hold")) and verify.absent_after >= rule.hold:
        problems.add(
            path,
            f'must be shorter than unknown_hold, which is "{format_duration(rule.hold)}" here: an identity is free '
            "after that anyway",
        )
