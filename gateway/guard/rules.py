# Rules, compiled, and which of them a request meets. Pure.

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.guard.rule import Rule
from gateway.guard.template_tree import Found, Suffixed, TemplateTree, without_suffix
from gateway.guard.unusual import find_unusual
from gateway.http.headers import Headers
from gateway.http.paths import Reading, Target, named_hosts, read_path, split_path

METHOD_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
"""Headers by which widespread frameworks let a client change the method."""
_LONGEST_KEPT = 256
"""Characters of a path that is kept for the next request."""
_OVERRIDABLE = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Match(msgspec.Struct, frozen=True):
    """The rule that guards a request, and its template's variables. Its `action` says what the request does."""

    rule: Rule
    variables: dict[str, str]
    others: tuple["Match", ...] = ()
    """The rules behind it that guard the request, in their order, where the conditions of this one do not hold."""
    is_open: bool = False
    """Whether it has conditions that are still to be asked (see gateway.guard.when)."""


class Refusal(msgspec.Struct, frozen=True):
    """A request that must not pass, because it could be a create that slips by. The slug is the answer's."""

    slug: str
    detail: str
    rule: Rule | None = None
    """The rule for which it must not; None for no rule."""


class _Lookup(NamedTuple):
    """What is known of a path before the rest of a request."""

    reading: Reading
    rules: list[Rule]
    """Those that match, in their order; none where the path can be read in more than one way."""
    matches: list[Match]
    """The same, each with its variables."""
    suffixed: list[Suffixed[Rule]]
    has_hosts: bool
    """Whether any of the rules is for one host alone."""
    releases: list[Match]
    """Those that match, and look on while something is deleted: they refuse nothing. The others are without them."""


class Rules:
    """All rules, in the order of the file: the first that matches guards."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._tree: TemplateTree[Rule] = TemplateTree()
        self._all: list[Rule] = []
        overrides = set(METHOD_OVERRIDES)
        for rule in rules:
            self._tree.add(rule.template, rule.extensions, rule)
            self._all.append(rule)
            overrides |= rule.method_override
        self._overrides = frozenset(overrides)
        self._find = lru_cache(maxsize=1024)(self._read)  # most requests go to few paths

    def __repr__(self) -> str:
        return f"Rules({len(self._all)})"

    @property
    def names(self) -> list[str]:
        """The names of all rules, in their order."""
        return [rule.name for rule in self._all if rule.action is None]

    def named(self, name: str) -> Rule | None:
        """The rule of a name, for creates; None when there is none."""
        return next((rule for rule in self._all if rule.name == name and rule.action is None), None)

    def match(self, method: str, target: Target, headers: Headers) -> Match | Refusal | None:
        """Find the rules that may guard a request, by all but their conditions; None when it may pass untouched."""
        lookup = self._find(target.path) if len(target.path) < _LONGEST_KEPT else self._read(target.path)
        if lookup is None:
            return None
        reading = lookup.reading
        if reading.is_open or (reading.others and not reading.keeps_encoded):
            return self._match_odd(method, reading, target, headers, ())
        found = self._match_plain(method, lookup, target, headers)
        if lookup.releases and found is None:
            found = self._match_release(method, lookup, target, headers)
        if not reading.others or isinstance(found, Refusal):
            return found
        met = () if found is None else (found, *found.others)
        return self._match_odd(method, reading, target, headers, met) or found

    def _match_release(self, method: str, lookup: _Lookup, target: Target, headers: Headers) -> Match | None:
        """Find the rule for a request that deletes; None where that is in doubt: then nothing is freed."""
        matches = lookup.releases
        rules = _on_host([match.rule for match in matches], target, headers)
        matches = [match for match in matches if match.rule in rules and _is_only_reading(match, lookup, target)]
        if not matches or self._hidden(rules, headers) is not None:
            return None
        methods = self._methods(method, rules, headers)
        found = None if isinstance(methods, Refusal) else next((m for m in matches if methods <= m.rule.methods), None)
        return None if found is None or find_unusual(method, target.query, headers) else found

    def _match_plain(self, method: str, lookup: _Lookup, target: Target, headers: Headers) -> Match | Refusal | None:
        """Find the rules that may guard a path in the one way in which it is read."""
        _, rules, matches, suffixed, has_hosts, _ = lookup
        if has_hosts:
            rules = _on_host(rules, target, headers)
            matches = [match for match in matches if match.rule in rules]
        if suffixed and (refusal := self._match_suffixed(method, rules, suffixed, target, headers)):
            return refusal
        if not rules:
            return None
        hidden = self._hidden(rules, headers)
        if hidden is not None:
            return hidden
        methods = self._methods(method, rules, headers)
        if isinstance(methods, Refusal):
            return methods
        found = _in_turn(matches, methods)
        if found is None:
            return None
        if len(methods) > 1 and any(each.rule.action and not methods <= each.rule.methods for each in _all_of(found)):
            return _NOT_ONE_METHOD  # it may be no change, and then nothing may be freed for it
        unusual = find_unusual(method, target.query, headers)
        return found if unusual is None else Refusal("unusual-request", unusual, found.rule)

    def _methods(self, method: str, rules: list[Rule], headers: Headers) -> set[str] | Refusal:
        """The methods that a request on the path of these rules may have for the API."""
        methods = {method.upper()}  # some frameworks take "post" for POST
        if self._overrides.isdisjoint(headers.name_set):
            return methods
        asked = _asked_method(rules, headers)
        if isinstance(asked, Refusal) or not asked:
            return asked or methods
        # most believe it of POST only; of any other, either may be what is done
        return {asked} if methods == {"POST"} else methods | {asked}

    def _read(self, path: str) -> _Lookup | None:
        """Read a path, and find the rules that guard it; None when none can, whatever else the request says."""
        reading = read_path(path)
        if reading.is_open or (reading.others and not reading.keeps_encoded):
            return _Lookup(reading, [], [], [], has_hosts=False, releases=[])
        found, matches, releases = self._tree.find(reading.segments), list[Match](), list[Match]()
        if not found.values and not found.suffixed and not reading.others:
            return None
        for rule in found.values:
            segments = without_suffix(reading.segments) if rule in found.shortened else reading.segments
            variables = rule.template.read(rule.template.fold(segments))
            kind = releases if _is_release(rule) else matches
            kind.append(Match(rule, variables, is_open=rule.when is not None))
        rules = [match.rule for match in matches]
        suffixed = [each for each in found.suffixed if not _is_release(each.value)]
        return _Lookup(reading, rules, matches, suffixed, any(rule.host for rule in rules), releases)

    def _hidden(self, rules: list[Rule], headers: Headers) -> Refusal | None:
        """Refuse to let a field that decides here reach the API otherwise, or under two names."""
        names_options, look_alikes = b"connection" in headers.name_set, headers.look_alikes()
        if not names_options and not look_alikes:  # nearly always
            return None
        decide = self._overrides.union(*[rule.headers for rule in rules])
        if names_options:
            for name in headers.options(b"connection") & decide:
                detail = f"Connection names {name.decode('latin-1')}, which decides here."
                return Refusal("hidden-field", detail, rules[0])
        for name, plain in look_alikes:
            if plain in decide:
                return Refusal(
                    "hidden-field",
                    f"{name.decode('latin-1')} could be read as {plain.decode('latin-1')}, which decides here.",
                    rules[0],
                )
        return None

    def _match_odd(
        self, method: str, reading: Reading, target: Target, headers: Headers, met: Sequence[Match]
    ) -> Refusal | None:
        """Refuse a path that meets a rule as it may be read otherwise, unless that is what it has `met` already."""
        overridden = not self._overrides.isdisjoint(headers.name_set)
        if reading.is_open:
            for rule in _on_host(self._all, target, headers):
                if not _is_release(rule) and (overridden or method.upper() in rule.methods):
                    return Refusal("ambiguous-path", _TOO_MANY_READINGS, rule)
        for segments in reading.others:
            found = self._tree.find(segments)
            meant = [*found.values, *[suffixed.value for suffixed in found.suffixed]]
            for rule in _on_host(meant, target, headers):
                if any(rule is each.rule and _reads_alike(each, segments, target, found) for each in met):
                    continue
                if _is_release(rule):
                    continue
                if overridden or method.upper() in rule.methods:
                    return Refusal(
                        "ambiguous-path",
                        f'The path could be read as one that rule "{rule.name}" guards. Send it without empty or dot '
                        "segments, parameters, backslashes, and encoded slashes or percent signs.",
                        rule,
                    )
        return None

    def _match_suffixed(
        self, method: str, rules: list[Rule], suffixed: list[Suffixed[Rule]], target: Target, headers: Headers
    ) -> Refusal | None:
        """Refuse what an API would take for a create of another path, unless the first of `rules` knows the suffix."""
        overridden = not self._overrides.isdisjoint(headers.name_set)
        for each in suffixed:
            rule = each.value
            if not _on_host([rule], target, headers):
                continue
            for asked in rule.methods if overridden else rule.methods & {method.upper()}:
                first = next((match for match in rules if asked in match.methods), None)
                if first is None or first not in each.unless:
                    return Refusal(
                        "ambiguous-path",
                        f'The path could be read as one that rule "{rule.name}" guards with a suffix behind it, as in '
                        '"/users.json", and the rule\'s extensions do not list the suffix. Send the path without it.',
                        rule,
                    )
        return None


def _is_release(rule: Rule) -> bool:
    return rule.action is not None and rule.action.kind == "release"


def _is_only_reading(match: Match, lookup: _Lookup, target: Target) -> bool:
    """Whether each reading of a path that a release matches is one that decodes nothing, or has the same values."""
    template, others = match.rule.template, lookup.reading.others
    if template.has_tail:
        return not others
    as_sent = split_path(target.path)
    return all(
        segments == as_sent or not template.takes(segments) or template.read(segments) == match.variables
        for segments in others
    )


def _all_of(match: Match) -> tuple[Match, ...]:
    return (match, *match.others)


def _in_turn(matches: list[Match], methods: set[str]) -> Match | None:
    """Those of the matches that are for one of the methods, up to the first that has no conditions."""
    found: list[Match] = []
    for match in matches:
        if not methods.isdisjoint(match.rule.methods):
            found.append(match)
            if not match.is_open:
                break
    if len(found) < 2:  # nearly always
        return found[0] if found else None
    return msgspec.structs.replace(found[0], others=tuple(found[1:]))


def _reads_alike(met: Match, segments: tuple[str, ...], target: Target, found: Found[Rule]) -> bool:
    """Whether another reading of a path gives the same values. One that decodes nothing tells apart no less."""
    if met.rule.template.has_tail:
        return False
    if segments == split_path(target.path):
        return True
    read = without_suffix(segments) if met.rule in found.shortened else segments
    return met.rule.template.read(read) == met.variables


_TOO_MANY_READINGS = (
    "The path is longer than 1 KiB and can be read in too many ways to say whether a rule guards it. Send it without "
    "empty or dot segments, parameters, backslashes, and encoded slashes or percent signs."
)


_NOT_ONE_METHOD = Refusal(
    "method-override", "A header asks for another method, and either may be what is done. Send the method itself."
)


def _asked_method(rules: list[Rule], headers: Headers) -> str | Refusal | None:
    """The method that a header asks for on a guarded route, or why it may not."""
    accepted = frozenset().union(*[rule.method_override for rule in rules])
    asked = [name for name in headers.names if name in METHOD_OVERRIDES or name in accepted]
    if not asked:
        return None
    if len(asked) > 1 or asked[0] not in accepted:
        return Refusal(
            "method-override",
            f'The route of rule "{rules[0].name}" does not take a method from the header '
            f"{asked[0].decode('latin-1')}. Send the method itself.",
            rules[0],
        )
    method = headers.values(asked[0])[0].decode("latin-1").strip().upper()
    if method and method not in _OVERRIDABLE:
        return Refusal(  # an API that does not know the method would take the request for what it was sent as
            "method-override",
            f"The header {asked[0].decode('latin-1')} names no method that is known here. "
            f"Known are {', '.join(sorted(_OVERRIDABLE))}.",
            rules[0],
        )
    return method


def _on_host(rules: list[Rule], target: Target, headers: Headers) -> list[Rule]:
    if not any([rule.host for rule in rules]):  # noqa: C419 - a list is faster for a few
        return rules
    hosts = named_hosts(target, headers)
    return [rule for rule in rules if rule.host is None or rule.host in hosts]
