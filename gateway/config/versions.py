# Identity versions: numbers that tell which claims an entry of `unique` can meet, now and before a change. Pure.
#
# A claim remembers the version of what it was made by. Whatever gives the same values another fingerprint makes another
# version; what does not (a pattern, types, `missing`, the name of a rule that has a namespace) makes none.

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Literal

import msgspec

from gateway.config.schema import Config
from gateway.config.schema_rule import JsonType, RuleConfig, ScopeConfig, UniqueConfig
from gateway.config.validate_batch import parse_list
from gateway.guard.field import WHOLE, Field, Source, parse_alternatives, parse_field
from gateway.guard.fingerprint import VERSION, encode
from gateway.guard.template import parse_template
from gateway.model import Json

BESIDE = 1
"""The bit that tells the claim of an earlier identity, made beside that of the present one by the same create."""
_MOST_ALIKE = 256
"""Versions that are alike, at most: each field with alternatives multiplies them."""


class IdentityConfig(msgspec.Struct, frozen=True):
    """What an entry of `unique` makes identities of, with all that it takes from its rule."""

    namespace: str
    name: str
    scope: tuple[ScopeConfig, ...]
    fields: tuple[str, ...]
    normalize: tuple[str, ...]
    types: tuple[JsonType, ...]
    empty: Literal["value", "missing"]


def present(rule: RuleConfig, entry: UniqueConfig) -> IdentityConfig:
    """What an entry is."""
    return IdentityConfig(
        rule.namespace or rule.name,
        entry.name,
        rule.scope_items,
        entry.fields,
        entry.normalize,
        entry.types,
        entry.empty,
    )


def earlier(rule: RuleConfig, entry: UniqueConfig) -> IdentityConfig | None:
    """What an entry was, as its `previous` says; None without one."""
    before, now = entry.previous, present(rule, entry)
    if before is None:
        return None
    return IdentityConfig(
        before.namespace or now.namespace,
        before.name or now.name,
        now.scope if before.scope_items is None else before.scope_items,
        before.fields,
        before.normalize,
        before.types or now.types,
        before.empty or now.empty,
    )


def version(rule: RuleConfig, identity: IdentityConfig) -> int:
    """The version of an identity that requests to a rule have: 31 bits, of which BESIDE is not set."""
    return _version(rule, identity, _scope(identity), _fields(identity))


def versions_alike(rule: RuleConfig, identity: IdentityConfig) -> frozenset[int]:
    """The versions whose claims an identity can all meet: its own, and those that lack alternatives at the end.

    Such an alternative is read only where all others are absent, which without it had no identity.
    """
    scope, fields = _scope(identity), _fields(identity)
    shorter = product(*[_beginnings(field) for field in (*scope, *fields)])
    return frozenset(
        [_version(rule, identity, parts[: len(scope)], parts[len(scope) :]) for parts in islice(shorter, _MOST_ALIKE)]
    )


def _beginnings(field: Sequence[Field]) -> Iterator[Sequence[Field]]:
    """The alternatives of a field, all of them first, then ever fewer from the end."""
    return (field[:count] for count in range(len(field), 0, -1))


def _scope(identity: IdentityConfig) -> list[Sequence[Field]]:
    return [parse_alternatives(item.field).each for item in identity.scope]


def _fields(identity: IdentityConfig) -> list[Sequence[Field]]:
    return [parse_alternatives(text).each for text in identity.fields]


def _version(
    rule: RuleConfig, identity: IdentityConfig, scope: Sequence[Sequence[Field]], fields: Sequence[Sequence[Field]]
) -> int:
    # What is empty only decides where it makes the next alternative count.
    skips_empty = identity.empty == "missing" and any(len(field) > 1 for field in fields)
    is_whole = all(each.source in WHOLE for field in fields for each in field)  # which no normaliser applies to
    written: Json = [
        identity.namespace,
        identity.name,
        [[_places(rule, field), [*item.normalize]] for item, field in zip(identity.scope, scope, strict=True)],
        [_places(rule, field) for field in fields],
        [] if is_whole else [*identity.normalize],
        skips_empty,
    ]
    digest = hashlib.blake2b(VERSION + encode(written), digest_size=4, person=b"version").digest()
    return int.from_bytes(digest, "big") >> 1 & ~BESIDE


def _places(rule: RuleConfig, field: Sequence[Field]) -> Json:
    return [_place(rule, each) for each in field]


def _place(rule: RuleConfig, field: Field) -> Json:
    """Where a field reads: alike for fields that read the same values, however they are written."""
    match field.source:
        case Source.HEADER | Source.HOST:
            return [Source.HEADER.value, field.header.decode()]
        case Source.ITEM:
            return [Source.BODY.value, *parse_list(rule.each or "body"), *field.keys]
        case Source.JSON | Source.BYTES:
            return [field.source.value]
        case Source.PATH:
            return [Source.PATH.value, *_variable(rule, field.name)]
        case _:
            return [field.source.value, *field.keys]


def _variable(rule: RuleConfig, name: str) -> list[Json]:
    """Which variable of the path it is, whatever it is called; and what is cut off behind it, where it is the last."""
    template = parse_template(rule.match.path)
    at = template.variables.index(name)
    is_last = template.has_tail or template.names[at][0] == len(template.segments) - 1  # a tail may be empty
    suffixes = sorted({extension.lower() for extension in rule.match.extensions}) if is_last else []
    return [at, *suffixes]


class KnownEntry(msgspec.Struct, frozen=True):
    """An entry of a rules file, and the versions of the claims that its creates can meet."""

    rule: str
    name: str
    now: IdentityConfig
    alike: frozenset[int]
    previous: frozenset[int]
    """The same of what it was before; empty without `previous`."""

    def meets(self, number: int) -> bool:
        """Whether claims of a version stop its creates."""
        return number in self.alike or number in self.previous


def known_entries(config: Config) -> list[KnownEntry]:
    """All entries of a configuration that was found free of problems."""
    found = []
    for rule in config.rules:
        for entry in rule.unique:
            now, before = present(rule, entry), earlier(rule, entry)
            previous = frozenset[int]() if before is None else versions_alike(rule, before)
            found.append(KnownEntry(rule.name, entry.name, now, versions_alike(rule, now), previous))
    return found


class Lost(msgspec.Struct, frozen=True):
    """An entry, or a rule's key, whose claims stop no create any more, once another configuration is applied."""

    rule: str
    entry: str
    """The name of the `unique` entry, or of the key's header."""
    removed: bool
    """Whether the rule has no such entry or key any more, or is not there; not that it has changed."""


def lost_entries(before: Config, after: Config) -> tuple[Lost, ...]:
    """The entries and keys of a configuration whose claims nothing of another one meets."""
    kept, lost = known_entries(after), []
    names = {(entry.rule, entry.name) for entry in kept}
    rules = {rule.name: rule for rule in after.rules}
    for rule in before.rules:
        for entry in rule.unique:
            number = version(rule, present(rule, entry))
            if not any(known.meets(number) for known in kept):
                lost.append(Lost(rule.name, entry.name, (rule.name, entry.name) not in names))
        other = rules.get(rule.name)
        has_key = other is not None and other.key is not None
        if rule.key is not None and not (has_key and other is not None and _callers(rule) == _callers(other)):
            lost.append(Lost(rule.name, rule.key.header, not has_key))
    return tuple(lost)


def _callers(rule: RuleConfig) -> list[Json]:
    """By what a rule tells callers, whose keys are each their own."""
    return [_place(rule, parse_field(text)) for text in rule.caller]
