# What a rules file does to the claims that a store holds: which of them still stop creates. Pure.

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.config.problems import quote
from gateway.config.schema import Config
from gateway.config.schema_rule import ScopeConfig
from gateway.config.versions import BESIDE, IdentityConfig, KnownEntry, known_entries, version
from gateway.guard.following import RESOURCE

MadeBy = Literal["this", "previous", "beside", "another", "renamed", "earlier release", "key", "change", "removed"]


class HeldClaims(msgspec.Struct, frozen=True):
    """How many held claims one identity of an entry has made."""

    rule: str
    entry: str
    version: int | None
    count: int
    until: str | None
    """When the last of them expires; None where one never does, or all are in flight."""
    forever: bool = False
    """Whether one of them never expires."""


class Judged(msgspec.Struct, frozen=True):
    """The same, and what the file makes of them."""

    rule: str
    entry: str
    """As the file calls it, where it still has it."""
    made_by: MadeBy
    """ "this" identity, or the `previous` one; a claim "beside" that of another identity, which counts for its create;
    "another" identity; this one, before it was "renamed"; an "earlier release", which noted none; a "key"; a "change"
    of a thing that is under way; or an entry, or key, that is "removed"."""
    version: int | None
    count: int
    until: str | None
    forever: bool


class Verdict(msgspec.Struct, frozen=True):
    """What a rules file does to a store."""

    claims: list[Judged]
    problems: list[str]
    """Claims that stop no create any more, although the file has their entry."""
    hints: list[str]


def judge(config: Config, held: Iterable[HeldClaims], in_force: Mapping[int, IdentityConfig]) -> Verdict:
    """Say what becomes of held claims with a configuration that was found free of problems.

    `in_force` are identities of another configuration by their versions, as far as they are known.
    """
    judging = _Judging(config, in_force)
    for claims in sorted(held, key=lambda each: (each.rule, each.entry, each.version or 0)):
        judging.judge(claims)
    return Verdict(judging.claims, judging.problems, judging.hints)


class _Judging:
    """Mutable state: what is judged so far."""

    def __init__(self, config: Config, in_force: Mapping[int, IdentityConfig]) -> None:
        self._rules = {rule.name: rule for rule in config.rules}
        self._known = known_entries(config)
        self._in_force = in_force
        self.claims: list[Judged] = []
        self.problems: list[str] = []
        self.hints: list[str] = []

    def judge(self, held: HeldClaims) -> None:
        number = held.version
        if number is None:
            self._unversioned(held)
        elif number & BESIDE:
            self._add(held, "beside", self._named(held))
        elif entry := self._find(held, lambda entry: number in entry.alike):
            self._add(held, "this", entry)
        elif entry := self._find(held, lambda entry: number in entry.previous):
            self._add(held, "previous", entry)
            self._hint(entry, f"{_made(held)} by the identity in previous, which is needed {_until(held)}")
        elif entry := self._find(held, lambda entry: self._was(entry, held)):
            self._renamed(held, entry)
        elif entry := self._named(held):
            self._another(held, entry)
        else:
            self._removed(held)

    def _find(self, held: HeldClaims, takes: Callable[[KnownEntry], bool]) -> KnownEntry | None:
        """An entry that takes the claims; of several, the one of their name."""
        found = [entry for entry in self._known if takes(entry)]
        found.sort(key=lambda entry: (entry.rule, entry.name) != (held.rule, held.entry))
        return found[0] if found else None

    def _named(self, held: HeldClaims) -> KnownEntry | None:
        return self._find(held, lambda entry: (entry.rule, entry.name) == (held.rule, held.entry))

    def _was(self, entry: KnownEntry, held: HeldClaims) -> bool:
        """Whether an entry would have made the claims with their names, in a rule without a namespace."""
        return version(self._rules[entry.rule], _with_names_of(held, entry)) == held.version

    def _unversioned(self, held: HeldClaims) -> None:
        rule = self._rules.get(held.rule)
        if entry := self._named(held):
            self._add(held, "earlier release", entry)
            text = "by a release that noted no identities; if the entry has changed since, they stop no create any more"
            self._hint(entry, f"{_made(held)} {text}")
        elif rule is not None and rule.key is not None and rule.key.header == held.entry:
            self._add(held, "key")
        elif rule is not None and held.entry == RESOURCE and (rule.release or rule.update):
            self._add(held, "change")
        else:
            self._removed(held)

    def _renamed(self, held: HeldClaims, entry: KnownEntry) -> None:
        self._add(held, "renamed", entry)
        before, were, back = _with_names_of(held, entry), [], []
        if entry.now.namespace != before.namespace:
            were.append(f"the namespace {quote(before.namespace)}")
            back.append(f"namespace = {quote(before.namespace)} in the rule")
        if entry.now.name != before.name:
            were.append(f"the name {quote(before.name)}")
            back.append(f"name = {quote(before.name)} in the entry")
        cure = f"write {' and '.join(back)}, or add {_previous(before, entry.now)}"
        self._problem(entry, f"{_made(held)} with {' and '.join(were)}", cure)

    def _another(self, held: HeldClaims, entry: KnownEntry) -> None:
        self._add(held, "another", entry)
        before = self._in_force.get(held.version or 0)
        cure = "previous = { fields = [...], normalize = [...] }, with what the entry was"
        if before is not None:
            cure = _previous(before, entry.now)
        self._problem(entry, f"{_made(held)} by another identity", f"add {cure}")

    def _removed(self, held: HeldClaims) -> None:
        self._add(held, "removed")
        text = f"{_made(held)} by what the file does not have, so nothing in it is known to meet them"
        self.hints.append(f"rule {quote(held.rule)}, entry {quote(held.entry)}: {text}")

    def _problem(self, entry: KnownEntry, what: str, cure: str) -> None:
        lost = "so they stop no create any more, and each of their things can be created once more"
        self.problems.append(f"{_where(entry)}: {what}, {lost}; {cure}")

    def _hint(self, entry: KnownEntry, text: str) -> None:
        self.hints.append(f"{_where(entry)}: {text}")

    def _add(self, held: HeldClaims, made_by: MadeBy, entry: KnownEntry | None = None) -> None:
        rule, name = (held.rule, held.entry) if entry is None else (entry.rule, entry.name)
        self.claims.append(Judged(rule, name, made_by, held.version, held.count, held.until, held.forever))


def _with_names_of(held: HeldClaims, entry: KnownEntry) -> IdentityConfig:
    return msgspec.structs.replace(entry.now, namespace=held.rule, name=held.entry)


def _where(entry: KnownEntry) -> str:
    return f"rule {quote(entry.rule)}, entry {quote(entry.name)}"


def _made(held: HeldClaims) -> str:
    claims = "1 claim in the store was" if held.count == 1 else f"{held.count:,} claims in the store were"
    if held.forever:
        return f"{claims} made, some of them to be held for ever,"
    return f"{claims} made" if held.until is None else f"{claims} made, the last of them to be held until {held.until},"


def _until(held: HeldClaims) -> str:
    return "for ever" if held.forever else "until they have settled" if held.until is None else f"until {held.until}"


def _previous(before: IdentityConfig, now: IdentityConfig) -> str:
    """What to write in the rules file: all that must be there, and what else was otherwise."""
    keys = [f"fields = {_list(before.fields)}", f"normalize = {_list(before.normalize)}"]
    if before.types != now.types:
        keys.append(f"types = {_list(before.types)}")
    if before.empty != now.empty:
        keys.append(f"empty = {quote(before.empty)}")
    if before.name != now.name:
        keys.append(f"name = {quote(before.name)}")
    if before.scope != now.scope:
        keys.append(f"scope = [{', '.join(map(_scope, before.scope))}]")
    if before.namespace != now.namespace:
        keys.append(f"namespace = {quote(before.namespace)}")
    return f"previous = {{ {', '.join(keys)} }}"


def _scope(item: ScopeConfig) -> str:
    if not item.normalize:
        return quote(item.field)
    return f"{{ field = {quote(item.field)}, normalize = {_list(item.normalize)} }}"


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(quote, names))}]"
