# Where rules have created things live that are followed, and the rules for requests that delete and change them. Pure.

from collections.abc import Iterable, Sequence

import msgspec

from gateway.config.schema_rule import RuleConfig
from gateway.guard.changes import versions_before
from gateway.guard.following import Action, Followed
from gateway.guard.rule import Entry, Rule
from gateway.guard.template import parse_template


def followed_by(rules: Sequence[RuleConfig]) -> dict[str, tuple[Followed, ...]]:
    """By namespace, where that is followed which any rule of it creates."""
    found: dict[str, list[Followed]] = {}
    for rule in rules:
        extensions = frozenset(extension.lower() for extension in rule.match.extensions)
        paths = [*[release.path for release in rule.release], *[update.path for update in rule.update]]
        for path in paths:
            each = Followed(parse_template(path), extensions)
            found.setdefault(rule.namespace or rule.name, []).append(each)
    return {namespace: tuple(dict.fromkeys(each)) for namespace, each in found.items()}


def entries_of(rules: Sequence[RuleConfig], namespace: str) -> frozenset[str]:
    """The names of all entries of `unique` in a namespace."""
    return frozenset(
        [entry.name for rule in rules if (rule.namespace or rule.name) == namespace for entry in rule.unique]
    )


def for_changes(rule: Rule, action: Action, creating: Iterable[Entry], identities: frozenset[str]) -> Rule:
    """Make a rule one for changes: its entries have the versions of those of creates, whose claims they make and meet.

    `identities` are the names of all entries of its namespace.
    """
    named = {entry.name: entry for entry in creating}
    entries, unreadable = [], frozenset[int]()
    for entry in rule.entries:
        now, before = named[entry.name], entry.previous
        if now.previous is not None and before is None:
            unreadable |= versions_before(now.previous)
        elif now.previous is not None and before is not None:
            before = msgspec.structs.replace(before, version=now.previous.version)
        entries.append(msgspec.structs.replace(entry, version=now.version, previous=before))
    return msgspec.structs.replace(
        rule, action=action, identities=identities, entries=tuple(entries), unreadable=unreadable
    )
