# What a rule says of who may know: whether it makes sense. Pure.

import math
import re
from collections.abc import Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.reachability import takes_all
from gateway.config.schema_rule import RuleConfig
from gateway.guard.authorize import REFUSED
from gateway.guard.field import Source, parse_field
from gateway.guard.statuses import parse_statuses
from gateway.guard.template import Template, parse_template
from gateway.guard.token import is_unproven
from gateway.http.paths import read_path

_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")  # RFC 9112 3.2.1: origin-form
_SENT = {Source.HEADER, Source.COOKIE, Source.JWT}
"""What of a caller goes along with the question."""


def validate_authorize(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's `authorize`; `path` leads to the rule."""
    authorize = rule.authorize
    if authorize is None:
        return
    place = (*path, "authorize")
    if problems.sound(target := (*place, "path")) and (wrong := _wrong_path(authorize.path)):
        problems.add(target, wrong)
    if problems.sound(cache := (*place, "cache")) and not 0 <= authorize.cache < math.inf:
        problems.add(cache, 'must end: no verdict is good forever; write a time such as "60s"')
    if problems.sound(place, (*path, "caller")) and (wrong := _wrong_caller(rule.caller)):
        problems.add(place, wrong)
    elif problems.sound(cache, (*path, "caller")) and authorize.cache and _is_remembered_by_claims(rule.caller):
        problems.add(
            cache,
            "remembers a caller by claims of a token that only the API verifies, so another token with the same claims "
            'would be let through; write cache = "0s", or add "header.Authorization" to caller',
        )
    if problems.sound((*path, "refused"), (*path, "success")):
        _refusals(rule, path, problems)


def validate_questions(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Note each `authorize` that asks for what a rule guards: the question itself would be a create."""
    for at, rule in enumerate(rules):
        place = ("rules", at, "authorize", "path")
        if rule.authorize is None or rule.mode == "off" or not problems.sound(place):
            continue
        for number, guard in enumerate(rules):
            if (
                guard.mode != "off"
                and problems.sound(("rules", number, "match"))
                and _guards_get(guard, rule.authorize.path)
            ):
                problems.add(
                    place,
                    f"{quote(rule.authorize.path)} is a create by GET under {problems.rule(('rules', number))}; "
                    "write a path that only reads",
                )


def _guards_get(rule: RuleConfig, target: str) -> bool:
    segments = read_path(target.partition("?")[0]).segments
    asked = Template(tuple([segment.casefold() for segment in segments]), ())
    return "GET" in rule.match.methods and takes_all(parse_template(rule.match.path), asked)


def _wrong_path(text: str) -> str | None:
    if not text.startswith("/"):
        return f'{quote(text)} is no path; write one that starts with "/", such as "/me"'
    if "{" in text or "}" in text:
        return (
            f'{quote(text)} has a brace: no values are put into it, for it is the same for all; write one such as "/me"'
        )
    if "#" in text:
        return f'{quote(text)} has a fragment, which is never sent; write what comes before the "#"'
    if not _PATH.fullmatch(text):
        return f"{quote(text)} holds a character that no path may have; percent-encode it"
    return None


def _wrong_caller(caller: Sequence[str]) -> str | None:
    if not caller:
        return 'has nobody to ask about where caller names no field; write caller = ["header.Authorization"]'
    if not any(parse_field(text).source in _SENT for text in caller):
        return (
            "tries the header fields and cookies of a caller, and caller names none; "
            'write caller = ["header.Authorization"]'
        )
    return None


def _is_remembered_by_claims(caller: Sequence[str]) -> bool:
    return is_unproven([parse_field(text) for text in caller])


def _refusals(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """A create that the API refuses must leave no trace, or it would look otherwise than where the identity exists."""
    success = frozenset[int]().union(*[parse_statuses(text).codes for text in rule.success])
    statuses = [parse_statuses(text) for text in rule.refused]
    refused = frozenset[int]().union(*[named.codes for named in statuses if not named.needs_retry_after]) - success
    missing = sorted(REFUSED - refused)
    if missing:
        problems.add(
            (*path, "refused"),
            f"lacks {' and '.join(map(str, missing))}, by which the API refuses whom authorize asks about: their "
            "creates would block what they name, and tell them whether it exists; "
            'add "401" and "403", and keep them out of success',
        )
