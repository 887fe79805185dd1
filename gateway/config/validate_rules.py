# What makes sense beyond the types: the rules. Pure.

import re
from collections.abc import Sequence

from gateway.config.endpoints import is_host
from gateway.config.problems import Path, Problems, nearest, quote
from gateway.config.reachability import unreachable
from gateway.config.schema import RuleConfig, UniqueConfig
from gateway.config.validate_retries import validate_retries
from gateway.config.validate_values import is_token, name_of
from gateway.config.validate_verify import validate_verify
from gateway.guard.field import Field, Source, parse_field
from gateway.guard.normalize import NORMALISERS
from gateway.guard.resource import parse_resource
from gateway.guard.statuses import Statuses, parse_statuses
from gateway.guard.template import parse_template

_STANDARD_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"}
_EVERY_METHOD = {"*", "**", "ANY", "ALL", ".*"}
"""How other programs write any method. Here they would match no request, and creates would pass unguarded."""
_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""Every method that is registered, and any that is likely to be made up; a token (RFC 9110 9.1) may hold more."""


def validate_rules(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Note every problem of the rules, each on its own and then beside each other."""
    for at, rule in enumerate(rules):
        _Rule(rule, ("rules", at), problems).validate()
    _same_names([rule.name for rule in rules], ("rules",), problems)
    _shared_namespaces(rules, problems)
    _never_matched(rules, problems)


class _Rule:
    """One rule and the way to it."""

    def __init__(self, rule: RuleConfig, path: Path, problems: Problems) -> None:
        self.rule = rule
        self.path = path
        self.problems = problems

    def validate(self) -> None:
        name_of(self.rule.name, (*self.path, "name"), self.problems)
        if self.rule.namespace is not None:
            name_of(self.rule.namespace, (*self.path, "namespace"), self.problems)
        variables = self.match()
        self.fields(self.rule.scope, (*self.path, "scope"), variables)
        self.unique(variables)
        self.fields(self.rule.caller, (*self.path, "caller"), variables)
        validate_retries(self.rule, self.path, self.problems)
        self.statuses()
        self.numbers()
        self.headers()
        if self.rule.verify is not None:
            validate_verify(self.rule, self.rule.verify, (*self.path, "verify"), self.problems)
        if self.rule.resource is not None and self.problems.sound(path := (*self.path, "resource")):
            self.problems.parse(path, parse_resource, self.rule.resource)

    def match(self) -> Sequence[str] | None:
        """Validate `match`; return the template's variables, None when they cannot be known."""
        match, path, problems = self.rule.match, (*self.path, "match"), self.problems
        if problems.sound(methods := (*path, "methods")) and not match.methods:
            problems.add(methods, 'names no method; write methods = ["POST"]')
        for method in problems.elements(methods, match.methods):
            _method(method, methods, problems)
        host = match.host
        if host is not None and problems.sound(path_of_host := (*path, "host")) and not is_host(host):
            problems.add(
                path_of_host,
                f'{quote(host)} is no host name; write one such as "api.example.com", without port or wildcard',
            )
        if not problems.sound(path_of_template := (*path, "path")):
            return None
        template = problems.parse(path_of_template, parse_template, match.path)
        return template.variables if template else None

    def unique(self, variables: Sequence[str] | None) -> None:
        path, problems, entries = (*self.path, "unique"), self.problems, self.rule.unique
        if not entries and self.rule.key is None and problems.sound(path) and problems.sound((*self.path, "key")):
            problems.add(
                path,
                'has no entry, and the rule has no key; write unique = [{ name = "email", fields = ["body.email"] }], '
                'or key = { header = "Idempotency-Key" }',
            )
        for at, entry in enumerate(entries):
            place = (*path, at)
            name_of(entry.name, (*place, "name"), problems)
            fields, normalize = (*place, "fields"), (*place, "normalize")
            if not entry.fields and problems.sound(fields):
                problems.add(fields, 'names no field; write fields = ["body.email"]')
            self.fields(entry.fields, fields, variables)
            for name in problems.elements(normalize, entry.normalize):
                if name not in NORMALISERS:
                    problems.add(normalize, _unknown_normaliser(name))
        _same_names([entry.name for entry in entries], path, problems)

    def fields(self, texts: Sequence[str], path: Path, variables: Sequence[str] | None) -> None:
        for text in self.problems.elements(path, texts):
            field = self.problems.parse(path, parse_field, text)
            error = _wrong_field(field, variables) if field else None
            if error:
                self.problems.add(path, error)

    def statuses(self) -> None:
        problems, success, refused = self.problems, (*self.path, "success"), (*self.path, "refused")
        if not self.rule.success and problems.sound(success):
            problems.add(success, 'names no status, so nothing would ever count as created; write ["2xx", "303"]')
        created = self.parsed(success, self.rule.success)
        not_done = self.parsed(refused, self.rule.refused) if problems.written(refused) else {}
        for text, named in created.items():
            if named.needs_retry_after:
                problems.add(
                    success, f"{quote(text)} depends on Retry-After, which only refused may; write the status alone"
                )
        # Success is asked first, so "303" may stand beside the wider "3xx"; a refused status that success takes whole
        # would have no effect. What `refused` says by default simply gives way.
        for text, named in not_done.items():
            taken = next((other for other, wider in created.items() if named.codes <= wider.codes), None)
            if taken:
                problems.add(
                    refused,
                    f"{quote(text)} is refused, and created by {quote(taken)} in success; "
                    "keep it in one of the two lists",
                )
            wider = next((other for other, whole in not_done.items() if _makes_needless(whole, named)), None)
            if wider and not taken:
                problems.add(
                    refused,
                    f"{quote(text)} has no effect, because {quote(wider)} is refused with and without Retry-After; "
                    "keep one of the two",
                )

    def parsed(self, path: Path, texts: Sequence[str]) -> dict[str, Statuses]:
        """What those texts name that can be read."""
        found = {text: self.problems.parse(path, parse_statuses, text) for text in self.problems.elements(path, texts)}
        return {text: named for text, named in found.items() if named}

    def numbers(self) -> None:
        problems, rule = self.problems, self.rule
        for key, value in (("keep", rule.keep), ("unknown_hold", rule.unknown_hold)):
            if value is not None and value <= 0 and problems.sound(path := (*self.path, key)):
                problems.add(path, 'must be longer than nothing; write a time such as "24h", or "forever"')
        if rule.body_limit <= 0 and problems.sound(path := (*self.path, "body_limit")):
            problems.add(path, 'must be larger than nothing; write a size such as "1MiB"')

    def headers(self) -> None:
        path = (*self.path, "method_override")
        for name in self.problems.elements(path, self.rule.method_override):
            if not is_token(name):
                self.problems.add(
                    path, f'{quote(name)} is no name of a header; write one such as "X-HTTP-Method-Override"'
                )


def _makes_needless(whole: Statuses, named: Statuses) -> bool:
    """Whether `named` waits for a Retry-After that `whole` does without."""
    return named.needs_retry_after and not whole.needs_retry_after and named.codes <= whole.codes


def _same_names(names: Sequence[str], path: Path, problems: Problems) -> None:
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if not problems.sound(place := (*path, at, "name")):
            continue
        if name in first:
            problems.add(place, f"{quote(name)} is the name of {path[-1]}[{first[name]}] already; write another one")
        first.setdefault(name, at)


def _method(method: str, path: Path, problems: Problems) -> None:
    if method.upper() in _EVERY_METHOD:
        problems.add(path, f'{quote(method)} is no method, and no word means all; write each, as in ["POST", "PUT"]')
    elif "|" in method or not is_token(method):
        problems.add(path, f'{quote(method)} is no method; write one such as "POST", and several as ["POST", "PUT"]')
    elif not _METHOD.fullmatch(method):
        problems.add(path, f'{quote(method)} is no method but a pattern; write one such as "POST"')
    elif method not in _STANDARD_METHODS and method.upper() in _STANDARD_METHODS:
        problems.add(path, f'methods are case-sensitive; write "{method.upper()}" instead of {quote(method)}')


def _unknown_normaliser(name: str) -> str:
    meant = nearest(name, NORMALISERS)
    hint = f'; did you mean "{meant}"?' if meant else ""
    return f"unknown normaliser {quote(name)}; known are {', '.join(NORMALISERS)}{hint}"


def _wrong_field(field: Field, variables: Sequence[str] | None) -> str | None:
    if field.source is Source.HEADER and not is_token(field.name):
        return f'{quote(field.text)} names no header; write one such as "header.X-Tenant"'
    if field.source is Source.PATH and variables is not None and field.name not in variables:
        known = f"its variables are {', '.join(variables)}" if variables else "it has no variables"
        return f'{quote(field.text)} is not in match.path; {known}, and "{{{field.name}}}" as a segment adds one'
    return None


def _shared_namespaces(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Rules that share a namespace must be able to make the same identity, or sharing it guards nothing."""
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for at, rule in enumerate(rules):
        path = ("rules", at)
        if not problems.sound((*path, "name"), (*path, "namespace"), (*path, "scope")):
            continue
        for place, entry in enumerate(rule.unique):
            if not problems.sound((*path, "unique", place)):
                continue
            namespace = rule.namespace or rule.name
            there = first.setdefault((namespace, entry.name), (at, place))
            for key, difference in _disagreements(rule, entry, rules[there[0]], rules[there[0]].unique[there[1]]):
                wrong = (*path, "scope") if key == "scope" else (*path, "unique", place, key)
                if not problems.sound(wrong):  # a scope is the same for all of a rule's entries
                    continue
                problems.add(
                    wrong,
                    f"{difference} in {problems.rule(('rules', there[0]))}, which shares namespace {quote(namespace)} "
                    f"and entry {quote(entry.name)}: the two could never agree; write both alike, "
                    "or give the rule a namespace of its own",
                )


def _disagreements(
    rule: RuleConfig, entry: UniqueConfig, other: RuleConfig, entry_there: UniqueConfig
) -> list[tuple[str, str]]:
    """The keys in which two entries differ so that no request of one can equal one of the other."""
    found = []
    if len(rule.scope) != len(other.scope):
        found.append(("scope", f"{_fields(rule.scope)} here, {_fields(other.scope)}"))
    if len(entry.fields) != len(entry_there.fields):
        found.append(("fields", f"{_fields(entry.fields)} here, {_fields(entry_there.fields)}"))
    if entry.normalize != entry_there.normalize:
        found.append(("normalize", f"{_listed(entry.normalize)} here, {_listed(entry_there.normalize)}"))
    return found


def _fields(fields: Sequence[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields) or 'no'} fields"


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join([quote(name) for name in names])}]"


def _never_matched(rules: Sequence[RuleConfig], problems: Problems) -> None:
    places = {id(rule): at for at, rule in enumerate(rules) if problems.sound(("rules", at, "match"))}
    for later, earlier in unreachable([rule for rule in rules if id(rule) in places]):
        taker = problems.rule(("rules", places[id(earlier)]))
        problems.add(
            ("rules", places[id(later)], "match"),
            f"can never match, because {taker} stands earlier and takes every request that this one would; "
            "move this rule above it, narrow that one, or remove one of the two",
        )
