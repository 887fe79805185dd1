# What is no problem, and yet likely not meant: `gateway check` says it beside "fine". Pure.

import json
import re
from collections.abc import Sequence

from msgspec.structs import fields

from gateway.config.problems import quote
from gateway.config.reachability import unreachable
from gateway.config.schema import Config
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_values import is_always_there
from gateway.guard.content import JSON_TYPES
from gateway.guard.field import Source, parse_alternatives, parse_field
from gateway.guard.statuses import parse_statuses
from gateway.guard.token import AUTHORIZATION, is_unproven

_ACCEPTED, _REDIRECT, _NOT_FOUND = 202, 302, 404
_REFUSED: tuple[str, ...] = next(field.default for field in fields(RuleConfig) if field.name == "refused")
_API = re.compile(r"(?:rest-?)?apis?|graphql|rpc|v[0-9]+(?:\.[0-9]+)*", re.IGNORECASE)
"""Segments that say that a program is answered, not a person."""
_PAGE = re.compile(r".+\.(?:html?|xhtml|php|aspx?|jspx?|jsf|do|action|cgi|cfm)", re.IGNORECASE)
_FORMS = frozenset(
    {
        *("signup", "register", "registration", "join", "subscribe", "unsubscribe", "newsletter"),
        *("login", "signin", "logon", "checkout", "basket", "contact", "contactus", "feedback", "comment"),
        *("new", "submit", "confirm", "book", "booking", "apply", "enroll", "donate"),
    }
)
"""Segments, without hyphens and underscores, by which pages with forms commonly go."""


def advise(config: Config) -> list[str]:
    """One line for each thing that is likely not meant, in the order of the file."""
    shadowed = _about_shadows(config.active_rules)
    return [
        hint
        for rule in config.active_rules
        for hint in (
            *_about_pages(rule),
            *_about_types(rule),
            *_about_entries(rule),
            *_about_caller(rule),
            *_about_changes(rule),
            *_about_override(rule),
            *shadowed.get(rule.name, ()),
        )
    ]


def _about_pages(rule: RuleConfig) -> list[str]:
    if not _looks_like_a_page(rule) or _says_what_a_redirect_means(rule):
        return []
    hint = (
        f"rule {quote(rule.name)}: {quote(rule.match.path)} looks like a web page, and many frameworks (Rails, Django) "
        f"answer a form that succeeded with 302, which leaves the outcome unknown here; if this one does, write "
        'success = ["2xx", "302", "303"], or with success = ["302", "303"] say in refused what 2xx means; if 302 means '
        f"that nothing was done, write refused = {json.dumps(['302', *_REFUSED])}"
    )
    return [hint]


def _about_types(rule: RuleConfig) -> list[str]:
    return [
        f"rule {quote(rule.name)}: {quote(text)} need not be in json_types, because bodies of that type are always read"
        for text in rule.json_types
        if text in JSON_TYPES or text.endswith("+json")
    ]


def _about_entries(rule: RuleConfig) -> list[str]:
    return [
        f"rule {quote(rule.name)}: entry {quote(entry.name)} is never skipped, because its fields are always there"
        for entry in rule.unique
        if entry.missing == "skip" and all(is_always_there(parse_alternatives(text), entry) for text in entry.fields)
    ]


def _about_caller(rule: RuleConfig) -> list[str]:
    caller = [parse_field(text) for text in rule.caller]
    claims = [quote(field.text) for field in caller if field.source is Source.JWT]
    shown = "the stored answer" if rule.retry == "replay" else "the link"
    is_shown = rule.retry == "replay" or (rule.resource is not None and rule.link == "caller")
    if not claims or not is_shown or rule.authorize is not None or not is_unproven(caller):
        return []
    hint = (
        f"rule {quote(rule.name)}: who writes a token with another caller's {', '.join(claims)} is shown {shown} for "
        "that caller, because only the API verifies tokens; to have it asked first, write "
        'authorize = { path = "/me", cache = "0s" }'
    )
    return [hint]


def _about_changes(rule: RuleConfig) -> list[str]:
    hints = []
    lists = {"release": [each.statuses for each in rule.release], "update": [each.statuses for each in rule.update]}
    for key, entries in lists.items():
        for at, statuses in enumerate(entries):
            named = frozenset[int]().union(*[parse_statuses(text).codes for text in statuses])
            where = f"rule {quote(rule.name)}, {key}[{at}].statuses"
            if _NOT_FOUND in named:
                hints.append(
                    f"{where}: many APIs answer 404, too, to those who may not see a thing; if this one does, anybody "
                    "can free its identities, so leave it out"
                )
            if _ACCEPTED in named:
                hints.append(f"{where}: 202 says that nothing is done yet; leave it out, unless this API does it first")
    return hints


def _about_override(rule: RuleConfig) -> list[str]:
    if rule.override is None:
        return []
    if not rule.override.callers:
        hint = (
            f"rule {quote(rule.name)}: everybody who sends {rule.override.header} has duplicates created, because "
            "override.callers names no condition"
        )
        return [hint]
    fields = [parse_field(condition.field) for condition in rule.override.callers]
    if any(field.header == AUTHORIZATION and field.source is Source.HEADER for field in fields):
        return []
    claims = [quote(field.text) for field in fields if field.source is Source.JWT]
    if not claims:
        return []
    hint = (
        f"rule {quote(rule.name)}: {', '.join(claims)} in override is read, and not verified: who writes a token with "
        "such a claim gets past the gateway, so the API must refuse creates with a token that is not its own"
    )
    return [hint]


def _about_shadows(rules: Sequence[RuleConfig]) -> dict[str, list[str]]:
    """Hints about rules in shadow, by the rule's name."""
    found: dict[str, list[str]] = {}
    enforced = [rule for rule in rules if rule.mode == "enforce"]
    for rule in rules:
        if rule.mode != "shadow":
            continue
        hints = found.setdefault(rule.name, [])
        for _, taker in [pair for pair in unreachable([*enforced, rule]) if pair[0] is rule]:
            hints.append(
                f"rule {quote(rule.name)}: sees nothing, because rule {quote(taker.name)} guards all that it matches, "
                "and one in shadow sees only what no other guards"
            )
        for other in enforced:
            if (other.namespace or other.name) == (rule.namespace or rule.name):
                hints.append(
                    f"rule {quote(rule.name)}: is in shadow and shares a namespace with rule {quote(other.name)}, "
                    "which stops creates of what this one has seen"
                )
    return found


def _looks_like_a_page(rule: RuleConfig) -> bool:
    segments = [segment for segment in rule.match.path.split("/") if segment and not segment.startswith("{")]
    if any(_API.fullmatch(segment) for segment in segments):
        return False
    return any(
        _PAGE.fullmatch(segment) or segment.lower().replace("-", "").replace("_", "") in _FORMS for segment in segments
    )


def _says_what_a_redirect_means(rule: RuleConfig) -> bool:
    return any(_REDIRECT in parse_statuses(text).codes for text in (*rule.success, *rule.refused))
