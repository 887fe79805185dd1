# What a rule says of batches: whether it makes sense. Pure.

import re
from collections.abc import Iterator, Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import MAX_ITEMS, RuleConfig, ScopeConfig
from gateway.guard.batch import MAX_CLAIMS, MAX_INDEX
from gateway.guard.field import Field, Source, parse_alternatives, parse_field
from gateway.guard.other_body import KINDS, OTHER_KINDS

_OF_ITEM = re.compile(r"(?:^|\|) *item *(?:$|[.\[|])")
_EACH = 'each = "body.items", or each = "body" where the body is the list'


def is_of_item(text: str) -> bool:
    """Whether the text of a field, or of an alternative of it, is read from an item of a batch."""
    return bool(_OF_ITEM.search(text))


def parse_list(text: str) -> tuple[str | int, ...]:
    """The way down in a body to a list, or through it; none for the body itself. Raises ValueError."""
    field = parse_field(text)
    if field.source not in {Source.BODY, Source.BYTES}:
        raise ValueError(f'{quote(text)} is no list in a JSON body; write one such as "body.items"')
    keys = field.keys if field.source is Source.BODY else ()
    for key in keys:
        if isinstance(key, int) and key > MAX_INDEX:
            raise ValueError(f"{quote(text)} is not read that far into a list; write an index up to {MAX_INDEX}")
    return keys


def validate_batch(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's `each` and of what belongs to it; `path` leads to the rule."""
    each = (*path, "each")
    if rule.each is None:
        if problems.sound(each):
            _without(rule, path, problems)
        return
    keys = problems.parse(each, parse_list, rule.each) if problems.sound(each) else None
    if rule.item_status is not None and problems.sound(status := (*path, "item_status")):
        if rule.item_status.startswith("answer."):
            right = quote(rule.item_status.removeprefix("answer."))
            problems.add(status, f"is always of the answer, and does not say so; write {right}")
        else:
            problems.parse(status, parse_list, rule.item_status)
    _identity(rule, path, problems, is_whole=keys == ())
    _counts(rule, path, problems)
    _others(rule, path, problems)


def _without(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """A rule without `each`: nothing of it can be about items."""
    for key, has_effect in (("item_status", rule.item_status is not None), ("max_items", rule.max_items != MAX_ITEMS)):
        if has_effect and problems.sound(place := (*path, key)):
            problems.add(place, f"has no effect without each; write {_EACH}, or leave this out")
    for scope, items in _scopes(rule, path):
        for text in [item.field for item in items if is_of_item(item.field)] if problems.sound(scope) else ():
            problems.add(scope, _no_items(text))
    for fields, texts in _fields_of_entries(rule, path):
        for text in problems.elements(fields, texts):
            if is_of_item(text):
                problems.add(fields, _no_items(text))


def _fields_of_entries(rule: RuleConfig, path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """The fields of all entries, and those that they had before, each with the way to them."""
    for at, entry in enumerate(rule.unique):
        place = (*path, "unique", at)
        yield (*place, "fields"), entry.fields
        if entry.previous is not None:
            yield (*place, "previous", "fields"), entry.previous.fields


def _scopes(rule: RuleConfig, path: Path) -> Iterator[tuple[Path, Sequence[ScopeConfig]]]:
    """The scope, and those that there were before, each with the way to it."""
    yield (*path, "scope"), rule.scope_items
    for at, entry in enumerate(rule.unique):
        if entry.previous is not None and entry.previous.scope_items is not None:
            yield (*path, "unique", at, "previous", "scope"), entry.previous.scope_items


def _no_items(text: str) -> str:
    return f"{quote(text)} is in an item, and the rule has none; write {_EACH}"


def _identity(rule: RuleConfig, path: Path, problems: Problems, *, is_whole: bool) -> None:
    """`is_whole` says that the body itself is the list."""
    unique = (*path, "unique")
    if not rule.unique and problems.sound(unique, each := (*path, "each")):
        problems.add(each, 'has no effect without unique; write unique = [{ name = "email", fields = ["item.email"] }]')
    for fields, named in _fields_of_entries(rule, path):
        texts = list(problems.elements(fields, named))
        if texts and problems.sound(fields) and not any(map(is_of_item, texts)):
            problems.add(
                fields,
                "has no field of an item, so that all items would have the same identity; write one such as "
                '"item.email"',
            )
        _fields(texts, fields, problems, is_whole=is_whole)
    for scope, items in _scopes(rule, path):
        if problems.sound(scope):
            _fields([item.field for item in items], scope, problems, is_whole=is_whole)


def _fields(texts: Sequence[str], path: Path, problems: Problems, *, is_whole: bool) -> None:
    for text in texts:
        sources = {field.source for field in _alternatives(text)}
        others = sorted({KINDS[source] for source in sources if KINDS.get(source) in OTHER_KINDS})
        if others:
            problems.add(
                path, f"{quote(text)} is in {others[0]}, and a list of items is in JSON; write a field such as item.id"
            )
        elif is_whole and Source.BODY in sources:
            problems.add(path, f'{quote(text)} is in a body that is a list itself, with each = "body"; write item.NAME')


def _alternatives(text: str) -> Sequence[Field]:
    try:
        return parse_alternatives(text).each
    except ValueError:  # which is a problem already
        return ()


def _counts(rule: RuleConfig, path: Path, problems: Problems) -> None:
    if not problems.sound(place := (*path, "max_items"), (*path, "unique")):
        return
    count = len(rule.unique) + sum(entry.previous is not None for entry in rule.unique)
    most = MAX_CLAIMS // max(1, count)
    if not 1 <= rule.max_items <= most:
        claims = f"each item has up to {count} claims" if count > 1 else ""
        why = f", because {claims}, and a create takes at most {MAX_CLAIMS}" if claims else ""
        problems.add(place, f"must be from 1 to {most}{why}; write max_items = {min(100, most)}")


def _others(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Keys that are about one thing."""
    if rule.verify is not None and problems.sound(verify := (*path, "verify")):
        problems.add(verify, "asks about one thing, and a batch creates many; leave it out, or each")
    if rule.duplicate in {"redirect", "upsert"} and problems.sound(kind := (*path, "duplicate")):
        problems.add(
            kind, f'"{rule.duplicate}" leads to one thing, and a batch creates many; write "reject", or "accept"'
        )
    if rule.exists and rule.item_status is None and problems.sound(exists := (*path, "exists"), (*path, "item_status")):
        problems.add(
            exists,
            'says of a batch only that some item exists; write item_status = "body.results.status" for the statuses '
            "of items, or leave this out",
        )
