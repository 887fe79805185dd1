# What makes sense beyond the types: `match`, and rules that can never match. Pure.

import re
from collections.abc import Sequence

from gateway.config.endpoints import is_host
from gateway.config.problems import Path, Problems, quote
from gateway.config.reachability import unreachable
from gateway.config.schema_rule import MatchConfig, RuleConfig
from gateway.config.validate_values import is_token
from gateway.guard.template import parse_template

_STANDARD_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"}
_EVERY_METHOD = {"*", "**", "ANY", "ALL", ".*"}
"""How other programs write any method. Here they would match no request, and creates would pass unguarded."""
_EXTENSION = re.compile(r"[A-Za-z0-9+_-]+")
_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""Every method that is registered, and any that is likely to be made up; a token (RFC 9110 9.1) may hold more."""


def validate_match(match: MatchConfig, path: Path, problems: Problems) -> Sequence[str] | None:
    """Note every problem of `match`; return the template's variables, None when they cannot be known."""
    check_methods(match.methods, (*path, "methods"), problems)
    host = match.host
    if host is not None and problems.sound(path_of_host := (*path, "host")) and not is_host(host):
        problems.add(
            path_of_host,
            f'{quote(host)} is no host name; write one such as "api.example.com", without port or wildcard',
        )
    _extensions(match.extensions, (*path, "extensions"), problems)
    if not problems.sound(path_of_template := (*path, "path")):
        return None
    template = problems.parse(path_of_template, parse_template, match.path)
    if template and not template.segments and not template.has_tail and match.extensions:
        problems.add(
            (*path, "extensions"), f"{quote(match.path)} has no segment that a suffix could be on; leave it out"
        )
    return template.variables if template else None


def never_matched(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Note each rule that an earlier one leaves nothing for. One in shadow takes nothing, and breaks nothing."""
    enforced = [(at, rule) for at, rule in enumerate(rules) if rule.mode == "enforce"]
    places = {id(rule): at for at, rule in enforced if problems.sound(("rules", at, "match"))}
    for later, earlier in unreachable([rule for rule in rules if id(rule) in places]):
        taker = problems.rule(("rules", places[id(earlier)]))
        problems.add(
            ("rules", places[id(later)], "match"),
            f"can never match, because {taker} stands earlier and takes every request that this one would; "
            "move this rule above it, narrow that one, or remove one of the two",
        )


def check_methods(methods: Sequence[str], path: Path, problems: Problems, right: str = "POST") -> None:
    """Note every problem of a list of methods, of which `right` is one that makes sense."""
    if problems.sound(path) and not methods:
        problems.add(path, f'names no method; write methods = ["{right}"]')
    for method in problems.elements(path, methods):
        _method(method, path, problems)


def _method(method: str, path: Path, problems: Problems) -> None:
    if method.upper() in _EVERY_METHOD:
        problems.add(path, f'{quote(method)} is no method, and no word means all; write each, as in ["POST", "PUT"]')
    elif "|" in method or not is_token(method):
        problems.add(path, f'{quote(method)} is no method; write one such as "POST", and several as ["POST", "PUT"]')
    elif not _METHOD.fullmatch(method):
        problems.add(path, f'{quote(method)} is no method but a pattern; write one such as "POST"')
    elif method not in _STANDARD_METHODS and method.upper() in _STANDARD_METHODS:
        problems.add(path, f'methods are case-sensitive; write "{method.upper()}" instead of {quote(method)}')


def _extensions(extensions: Sequence[str], path: Path, problems: Problems) -> None:
    known: dict[str, str] = {}
    for extension in problems.elements(path, extensions):
        bare = extension.lstrip(".")
        if bare != extension and _EXTENSION.fullmatch(bare):
            problems.add(path, f"{quote(extension)} begins with a dot; write {quote(bare)}")
        elif not _EXTENSION.fullmatch(extension):
            problems.add(
                path,
                f'{quote(extension)} is no suffix; write one such as "json", of letters, digits, "+", "_" and "-", '
                "because only what is behind a path's last dot is taken off",
            )
        elif extension.lower() in known:
            problems.add(
                path, f"{quote(extension)} stands there already as {quote(known[extension.lower()])}; keep one"
            )
        known.setdefault(extension.lower(), extension)
