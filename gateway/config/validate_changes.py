# What a rule says of requests that delete or change what it creates: whether it makes sense. Pure.

from collections.abc import Iterator, Sequence

from gateway.config.changes_of import movable, unreadable
from gateway.config.problems import Path, Problems, quote
from gateway.config.reachability import takes_all
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_match import check_methods
from gateway.guard.field import parse_alternatives
from gateway.guard.following import RESOURCE
from gateway.guard.statuses import parse_statuses
from gateway.guard.template import parse_template
from gateway.http.paths import plain_host

_Change = ReleaseConfig | UpdateConfig
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_GONE = frozenset({404, 410})
_DONE = frozenset(range(200, 400))


def validate_changes(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's `release` and `update`; `path` leads to the rule."""
    for key, entries in _keys(rule):
        for at, change in enumerate(entries):
            _change(change, (*path, key, at), problems)
        if entries:
            _needs(rule, path, key, problems)
    for at, update in enumerate(rule.update):
        if problems.sound(place := (*path, "update", at), (*path, "unique"), (*path, "scope")):
            _fields(rule, update, place, problems)
    if rule.update and rule.duplicate == "upsert" and problems.sound(place := (*path, "duplicate"), (*path, "update")):
        problems.add(
            place,
            '"upsert" changes what exists beside the changes that update watches, and neither would know of the other; '
            'write duplicate = "reject", or leave update out',
        )


def _keys(rule: RuleConfig) -> tuple[tuple[str, Sequence[_Change]], ...]:
    return ("release", rule.release), ("update", rule.update)


def _needs(rule: RuleConfig, path: Path, key: str, problems: Problems) -> None:
    """What such a key has no effect without."""
    place = (*path, key)
    if rule.resource is None and problems.sound((*path, "resource"), place):
        problems.add(
            place,
            'has to know where the created thing lives; write resource = "header.Location", or a template such as '
            'resource = "/users/{body.id}"',
        )
    if not rule.unique and problems.sound((*path, "unique"), place):
        problems.add(place, "has no effect without unique: it is about identities, and a key stays that of its create")
    if rule.each is not None and key == "update" and problems.sound((*path, "each"), place):
        problems.add(
            place,
            "changes one thing, and the fields of this rule are those of items; write a rule for the create of one "
            "thing with the same namespace, and this key there",
        )


def _change(change: _Change, path: Path, problems: Problems) -> None:
    """One entry, by itself."""
    methods, right = (*path, "methods"), "DELETE" if isinstance(change, ReleaseConfig) else "PUT"
    check_methods(change.methods, methods, problems, right)
    for method in problems.elements(methods, change.methods):
        if method in _SAFE:
            problems.add(methods, f"{quote(method)} changes nothing; write one such as {quote(right)}")
    if problems.sound(place := (*path, "path")):
        template = problems.parse(place, parse_template, change.path)
        if template is not None and not template.names:
            problems.add(
                place,
                f"{quote(change.path)} has no variable, so it is the path of one thing alone; write that of the link "
                'to what is created, such as "/users/{id}"',
            )
    _statuses(change, (*path, "statuses"), problems)


def _statuses(change: _Change, path: Path, problems: Problems) -> None:
    written = f"statuses = {list(type(change)(path='/').statuses)}".replace("'", '"')
    if not change.statuses and problems.sound(path):
        problems.add(path, f"names no status, so nothing would ever count as done; write {written}")
    may_be = _DONE | _GONE if isinstance(change, ReleaseConfig) else _DONE
    for text in problems.elements(path, change.statuses):
        named = problems.parse(path, parse_statuses, text)
        if named is None:
            continue
        if named.needs_retry_after:
            problems.add(path, f"{quote(text)} depends on Retry-After, which only refused may; write the status alone")
        elif not named.codes <= may_be:
            problems.add(
                path, f"{quote(text)} is no status by which an API says that it has done something; write {written}"
            )


def _fields(rule: RuleConfig, update: UpdateConfig, path: Path, problems: Problems) -> None:
    """Whether a change can have the values of any identity."""
    variables = parse_template(update.path).variables
    missing = [item.field for item in rule.scope_items if unreadable(parse_alternatives(item.field), variables)]
    if missing:
        problems.add(
            (*path, "path"),
            f"{quote(missing[0])} of scope is a field that cannot exist for what this matches; write a path that has "
            "it as a variable, or leave it out of scope",
        )
    elif rule.unique and rule.each is None and not movable(rule, update):
        texts = [text for entry in rule.unique for text in entry.fields]
        missing = [text for text in texts if unreadable(parse_alternatives(text), variables)]
        why = (
            f"{quote(missing[0])} is a field that cannot exist for what this matches"
            if missing
            else "no entry of unique has a field in a body"
        )
        problems.add(path, f"{why}, so no identity can change there; leave this out")


def validate_change_paths(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Note each change whose requests are creates, or changes of another rule, and names that it cannot go with."""
    seen: list[tuple[RuleConfig, Path, _Change]] = []
    for rule, path, change in _sound(rules, problems):
        _beside_creates(rules, rule, path, change, problems)
        _beside_changes(rule, path, change, seen, problems)
        seen.append((rule, path, change))
    followed = {_namespace(rule) for rule, _, _ in seen}
    for at, rule in enumerate(rules):
        if _namespace(rule) not in followed or not problems.sound(("rules", at, "name"), ("rules", at, "namespace")):
            continue
        names = [entry.name for entry in rule.unique]
        for number, name in enumerate(names):
            if name == RESOURCE and problems.sound(place := ("rules", at, "unique", number, "name")):
                problems.add(place, f'"{RESOURCE}" is the name of what changes hold; write another one')
        taken = rule.key is not None and rule.key.header in {*names, RESOURCE}
        if taken and problems.sound(header := ("rules", at, "key", "header")):
            problems.add(header, "is the name of an entry, too, and release could not tell one from the other")


def _sound(rules: Sequence[RuleConfig], problems: Problems) -> Iterator[tuple[RuleConfig, Path, _Change]]:
    """All changes that can be compared, each with its rule and the way to it."""
    for at, rule in enumerate(rules):
        for key, entries in _keys(rule):
            for number, change in enumerate(entries):
                path = ("rules", at, key, number)
                if problems.sound((*path, "path"), (*path, "methods"), ("rules", at, "match", "host")):
                    yield rule, path, change


def _beside_creates(
    rules: Sequence[RuleConfig], rule: RuleConfig, path: Path, change: _Change, problems: Problems
) -> None:
    template = parse_template(change.path)
    for at, other in enumerate(rules):
        if not problems.sound(("rules", at, "match")):
            continue
        methods = [method for method in change.methods if method in other.match.methods]
        if methods and _may_share_host(rule, other) and takes_all(parse_template(other.match.path), template):
            problems.add(
                path,
                f"{methods[0]} {change.path} is a create under {problems.rule(('rules', at))}, and cannot be both; "
                "write the path of what exists, or narrow that rule",
            )
            return


def _beside_changes(
    rule: RuleConfig, path: Path, change: _Change, seen: Sequence[tuple[RuleConfig, Path, _Change]], problems: Problems
) -> None:
    template = parse_template(change.path)
    for other, place, before in seen:
        wide = parse_template(before.path)
        methods = [method for method in change.methods if method in before.methods]
        if not methods or not _may_share_host(rule, other):
            continue
        if takes_all(wide, template) or takes_all(template, wide):
            whose = "another entry of the rule" if other is rule else problems.rule(place)
            remedy = (
                "leave it out of one of them"
                if _namespace(rule) == _namespace(other)
                else "a request is one change: give both rules one namespace, and write it in one of them"
            )
            problems.add(path, f"{methods[0]} {change.path} is watched by {whose} already; {remedy}")
            return


def _may_share_host(one: RuleConfig, other: RuleConfig) -> bool:
    hosts = {plain_host(rule.match.host) for rule in (one, other) if rule.match.host is not None}
    return len(hosts) < 2


def _namespace(rule: RuleConfig) -> str:
    return rule.namespace or rule.name
