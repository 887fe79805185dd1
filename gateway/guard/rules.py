# Rules, compiled, and which of them a request meets. Pure.

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from gateway.guard.answer_shapes import AnswerShape
from gateway.guard.body import Wanted
from gateway.guard.field import Field
from gateway.guard.key import Key
from gateway.guard.resource import Resource
from gateway.guard.template import Template
from gateway.guard.unusual import find_unusual
from gateway.http.headers import Headers
from gateway.http.paths import Reading, Target, named_hosts, read_path

METHOD_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
"""Headers by which widespread frameworks let a client change the method."""
_LONGEST_KEPT = 256
"""Characters of a path that is kept for the next request."""
_AS_THEY_ARE: Mapping[str, AnswerShape] = {}
_OVERRIDABLE = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Entry(msgspec.Struct, frozen=True):
    """One `unique` entry."""

    name: str
    fields: tuple[Field, ...]
    normalisers: tuple[Callable[[str], str], ...]


class Rule(msgspec.Struct, frozen=True):
    """One rule, ready to be matched. Lengths of time in milliseconds."""

    name: str
    namespace: str
    methods: frozenset[str]
    host: str | None
    template: Template
    scope: tuple[Field, ...]
    entries: tuple[Entry, ...]
    body: Wanted | None
    """What is read from a body; None when nothing is."""
    forwards_missing: bool
    keep: int
    unknown_hold: int
    success: frozenset[int]
    refused: frozenset[int]
    refused_with_retry_after: frozenset[int]
    """Statuses that refuse only beside a well-formed Retry-After."""
    failed_is_free: bool
    body_limit: int
    method_override: frozenset[bytes]
    resource: Resource | None
    headers: frozenset[bytes] = frozenset()
    """Names, in lower case, of the header fields that decide: of scope, entries and key, and of a caller's retries."""
    caller: tuple[Field, ...] = ()
    needs_caller: bool = False
    """Whether it matters who sends a create."""
    key: Key | None = None
    retry_window: int = 0
    """For how long the same bytes of the same caller are a retry without a key; 0 for never."""
    replay_limit: int = 0
    """Bytes of an answer that are stored for retries; 0 where none is."""
    wait_timeout: float = 0.0
    """Seconds for which a create waits for the one in flight that holds its claims; 0 where it does not."""
    max_waiting_clients: int = 0
    link: Literal["caller", "anyone", "nobody"] = "caller"
    """Who may see the link to the created thing."""
    answers: Mapping[str, AnswerShape] = _AS_THEY_ARE
    """The answers of the gateway's own that are shaped, by slug."""

    @property
    def tells_retries(self) -> bool:
        """Whether a retry is told from a duplicate, for which requests are compared."""
        return self.key is not None or self.retry_window > 0

    @property
    def needs_body(self) -> bool:
        """Whether a body must be read before the claims are known."""
        return self.body is not None or self.tells_retries


class Match(msgspec.Struct, frozen=True):
    """The rule that guards a request, and its template's variables."""

    rule: Rule
    variables: dict[str, str]


class Refusal(msgspec.Struct, frozen=True):
    """A request that must not pass, because it could be a create that slips by. The slug is the answer's."""

    slug: str
    detail: str


class _Node:
    """One segment of all templates: children by literal segment, one for any segment, the rules that end here.

    Mutable while rules are added, then only read.
    """

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.rules: list[tuple[int, Rule]] = []

    def child(self, segment: str | None) -> "_Node":
        if segment is not None:
            return self.children.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any


class Rules:
    """All rules, in the order of the file: the first that matches guards."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._root = _Node()
        self._all: list[Rule] = []
        overrides = set(METHOD_OVERRIDES)
        for rule in rules:
            node = self._root
            for segment in rule.template.segments:
                node = node.child(segment)
            node.rules.append((len(self._all), rule))
            self._all.append(rule)
            overrides |= rule.method_override
        self._overrides = frozenset(overrides)
        self._find = lru_cache(maxsize=1024)(self._read)  # most requests go to few paths

    def __repr__(self) -> str:
        return f"Rules({len(self._all)})"

    def match(self, method: str, target: Target, headers: Headers) -> Match | Refusal | None:
        """Find the rule that guards a request; None when it may pass untouched."""
        reading, rules = self._find(target.path) if len(target.path) < _LONGEST_KEPT else self._read(target.path)
        if reading.others or reading.is_open:
            return self._match_odd(method, reading, target, headers)
        if rules:
            rules = _on_host(rules, target, headers)
        if not rules:
            return None
        hidden = self._hidden(rules, headers)
        if hidden is not None:
            return hidden
        methods = {method.upper()}  # some frameworks take "post" for POST
        if not self._overrides.isdisjoint(headers.names):
            asked = _asked_method(rules, headers)
            if isinstance(asked, Refusal):
                return asked
            if asked:  # most believe it of POST only; of any other, either may be what is done
                methods = {asked} if methods == {"POST"} else methods | {asked}
        for rule in rules:
            if not methods.isdisjoint(rule.methods):
                unusual = find_unusual(method, target.query, headers)
                if unusual is not None:
                    return Refusal("unusual-request", unusual)
                return Match(rule, {name: reading.segments[at] for at, name in rule.template.names})
        return None

    def _read(self, path: str) -> tuple[Reading, list[Rule]]:
        """Read a path, and find the rules that guard it, if it can be read in one way."""
        reading = read_path(path)
        return reading, [] if reading.others else self._at(reading.segments)

    def _hidden(self, rules: list[Rule], headers: Headers) -> Refusal | None:
        """Refuse to let a field that decides here reach the API otherwise, or under two names."""
        decide = self._overrides.union(*[rule.headers for rule in rules])
        if b"connection" in headers.names:
            for name in headers.options(b"connection") & decide:
                return Refusal("hidden-field", f"Connection names {name.decode('latin-1')}, which decides here.")
        for name, plain in headers.look_alikes():
            if plain in decide:
                return Refusal(
                    "hidden-field",
                    f"{name.decode('latin-1')} could be read as {plain.decode('latin-1')}, which decides here.",
                )
        return None

    def _match_odd(self, method: str, reading: Reading, target: Target, headers: Headers) -> Refusal | None:
        overridden = not self._overrides.isdisjoint(headers.names)
        if reading.is_open:
            for rule in _on_host(self._all, target, headers):
                if overridden or method.upper() in rule.methods:
                    return _TOO_MANY_READINGS
        for segments in reading.others:
            for rule in _on_host(self._at(segments), target, headers):
                if overridden or method.upper() in rule.methods:
                    return Refusal(
                        "ambiguous-path",
                        f'The path could be read as one that rule "{rule.name}" guards. Send it without empty or dot '
                        "segments, parameters, backslashes, and encoded slashes or percent signs.",
                    )
        return None

    def _at(self, segments: tuple[str, ...]) -> list[Rule]:
        nodes = [self._root]
        for segment in segments:
            literal = segment.lower()
            below = [node.children[literal] for node in nodes if literal in node.children]
            if segment:
                below += [node.any for node in nodes if node.any is not None]
            if not below:
                return []
            nodes = below
        found = [found for node in nodes for found in node.rules]
        if len(found) > 1:
            found.sort(key=lambda numbered: numbered[0])
        return [rule for _, rule in found]


_TOO_MANY_READINGS = Refusal(
    "ambiguous-path",
    "The path is longer than 1 KiB and can be read in too many ways to say whether a rule guards it. Send it without "
    "empty or dot segments, parameters, backslashes, and encoded slashes or percent signs.",
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
        )
    method = headers.values(asked[0])[0].decode("latin-1").strip().upper()
    if method and method not in _OVERRIDABLE:
        return Refusal(  # an API that does not know the method would take the request for what it was sent as
            "method-override",
            f"The header {asked[0].decode('latin-1')} names no method that is known here. "
            f"Known are {', '.join(sorted(_OVERRIDABLE))}.",
        )
    return method


def _on_host(rules: list[Rule], target: Target, headers: Headers) -> list[Rule]:
    if not any(rule.host for rule in rules):
        return rules
    hosts = named_hosts(target, headers)
    return [rule for rule in rules if rule.host is None or rule.host in hosts]
