# What a rule says of fields in JSON, in forms, in files of these and in XML: whether one body can have them. Pure.

from collections.abc import Iterable, Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import RuleConfig
from gateway.guard.field import Field, Source, parse_alternatives, parse_field
from gateway.guard.other_body import KINDS, OTHER_KINDS

_HARMLESS = frozenset({"trim", "casefold", "nfc", "nfkc", "collapse_space", "visible", "text"})
_OF_SIZES = frozenset({"digits", "integer", "decimal"})


def validate_forms(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of `scope`, `unique`, `caller` and `match.when` that comes of what bodies are written in."""
    _scope(rule, (*path, "scope"), problems)
    in_scope = [item.field for item in rule.scope_items] if problems.sound((*path, "scope")) else []
    _unique(rule, in_scope, (*path, "unique"), problems)
    _when(rule, (*path, "match", "when"), problems)
    for text in problems.elements(caller := (*path, "caller"), rule.caller):
        for kind in sorted(_kinds(text) & OTHER_KINDS):
            problems.add(
                caller,
                f"{quote(text)} is in {kind}, which is no place for who sends a create; "
                'write caller = ["header.Authorization"]',
            )


def _scope(rule: RuleConfig, path: Path, problems: Problems) -> None:
    if not problems.sound(path):
        return
    texts = [item.field for item in rule.scope_items]
    for field in map(_parsed, texts):
        if field is not None and field.source is Source.FILE:
            problems.add(
                path,
                f"{quote(field.text)} is of a file, and creates of different files would never be duplicates; "
                "name it in fields of an entry of unique",
            )
    if (apart := _apart(texts)) is not None:
        problems.add(path, _never(apart))


def _unique(rule: RuleConfig, in_scope: Sequence[str], path: Path, problems: Problems) -> None:
    each = [[*entry.fields, *in_scope] for entry in rule.unique]
    for at, (entry, texts) in enumerate(zip(rule.unique, each, strict=True)):
        if not problems.sound(fields := (*path, at, "fields")):
            continue
        if (apart := _apart(texts)) is not None and _apart(in_scope) is None:
            problems.add(fields, _never(apart))
        if entry.previous is not None and problems.sound(before := (*path, at, "previous", "fields")):
            scope = entry.previous.scope_items
            beside = in_scope if scope is None else [item.field for item in scope]
            if (apart := _apart([*entry.previous.fields, *beside])) is not None:
                problems.add(before, _never(apart))
        files = [field for field in map(_parsed, entry.fields) if field is not None and field.source is Source.FILE]
        if problems.sound(normalize := (*path, at, "normalize")):
            _normalisers(entry.normalize, files, normalize, problems)
    needed = [texts for entry, texts in zip(rule.unique, each, strict=True) if entry.missing != "skip"]
    apart = _apart([text for texts in needed for text in texts])
    if problems.sound(path) and apart is not None and not any(map(_apart, each)):
        one, other = map(_named, apart)
        problems.add(
            path,
            f"has entries with fields in {one} and entries with fields in {other}, and a create must have all of them; "
            "write entries for one of the two",
        )


def _when(rule: RuleConfig, path: Path, problems: Problems) -> None:
    read = frozenset().union(*map(_kinds, rule.fields_read))
    first: str | None = None
    for at, condition in enumerate(rule.match.when):
        kinds = _kinds(condition.field)
        if not kinds or not problems.sound(place := (*path, at, "field")):
            continue
        if read and not kinds & read:
            problems.add(
                place,
                f"{quote(condition.field)} is in {_listed(kinds)}, and the rule reads {_listed(read)}, so no create "
                "could have an identity; choose by something else than the body",
            )
        elif first is not None and not kinds & _kinds(first):
            problems.add(
                place,
                f"{quote(condition.field)} is in {_listed(kinds)} and {quote(first)} in {_named(first)}, and no body "
                "is both, so the rule would guard nothing; write a rule for each",
            )
        first = first or condition.field


def _parsed(text: str) -> Field | None:
    try:
        return parse_field(text)
    except ValueError:  # which is a problem already
        return None


def _kinds(text: str) -> frozenset[str]:
    """What a body may be in which a field is; nothing for a field that is in no body, or in one of any type."""
    try:
        found = [KINDS.get(each.source) for each in parse_alternatives(text).each]
    except ValueError:
        return frozenset()
    return frozenset([kind for kind in found if kind is not None])


def _apart(texts: Iterable[str]) -> tuple[str, str] | None:
    """Two of these fields of which no body can have both; None where one body can have all of them."""
    met: list[str] = []
    left: frozenset[str] = frozenset()
    for text in texts:
        kinds = _kinds(text)
        if not kinds:
            continue
        if met and not left & kinds:
            other = next((before for before in met if not _kinds(before) & kinds), met[0])
            one, two = sorted([other, text], key=_named)
            return one, two
        left = left & kinds if met else kinds
        met.append(text)
    return None


def _named(text: str) -> str:
    return _listed(_kinds(text))


def _listed(kinds: Iterable[str]) -> str:
    return " or ".join(sorted(kinds))


def _never(apart: tuple[str, str]) -> str:
    one, other = apart
    return (
        f"{quote(one)} is in {_named(one)} and {quote(other)} in {_named(other)}, and no body is both, so no create "
        "could have this identity; name fields of one of the two"
    )


def _normalisers(names: Sequence[str], files: Sequence[Field], path: Path, problems: Problems) -> None:
    for field in files:
        kept = _HARMLESS | _OF_SIZES if field.keys[1] == "size" else _HARMLESS
        for name in [name for name in dict.fromkeys(names) if name not in kept]:
            problems.add(
                path,
                f"{quote(name)} makes no sense for {quote(field.text)}; leave it out, or give the file an entry of its "
                "own",
            )
