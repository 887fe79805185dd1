# What a rule says of fields in forms, and of files in them: whether it makes sense. Pure.

from collections.abc import Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema import RuleConfig
from gateway.config.validate_values import is_in_body, is_in_form
from gateway.guard.field import Field, Source, parse_field

_HARMLESS = frozenset({"trim", "casefold", "nfc", "nfkc", "collapse_space", "visible", "text"})
_OF_SIZES = frozenset({"digits", "integer", "decimal"})


def validate_forms(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of `scope`, `unique`, `caller` and `match.when` that only forms have, for a rule."""
    _scope(rule, (*path, "scope"), problems)
    in_scope = [item.field for item in rule.scope_items] if problems.sound((*path, "scope")) else []
    _unique(rule, in_scope, (*path, "unique"), problems)
    if any(is_in_form(text) for text in rule.fields_read) and not any(is_in_body(text) for text in rule.fields_read):
        _when(rule, (*path, "match", "when"), problems)
    for text in problems.elements(caller := (*path, "caller"), rule.caller):
        if is_in_form(text) and _parsed(text) is not None:
            problems.add(
                caller,
                f"{quote(text)} is in a form, which is no place for who sends a create; "
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
    if _both(texts):
        problems.add(path, _never(texts))


def _unique(rule: RuleConfig, in_scope: Sequence[str], path: Path, problems: Problems) -> None:
    each = [[*entry.fields, *in_scope] for entry in rule.unique]
    for at, (entry, texts) in enumerate(zip(rule.unique, each, strict=True)):
        if not problems.sound(fields := (*path, at, "fields")):
            continue
        if _both(texts) and not _both(in_scope):
            problems.add(fields, _never(texts))
        files = [field for field in map(_parsed, entry.fields) if field is not None and field.source is Source.FILE]
        if problems.sound(normalize := (*path, at, "normalize")):
            _normalisers(entry.normalize, files, normalize, problems)
    needed = [texts for entry, texts in zip(rule.unique, each, strict=True) if entry.missing != "skip"]
    if problems.sound(path) and _both([text for texts in needed for text in texts]) and not any(map(_both, each)):
        problems.add(
            path,
            "has entries with fields in JSON and entries with fields in a form, and a create must have all of them; "
            "write entries for one of the two",
        )


def _when(rule: RuleConfig, path: Path, problems: Problems) -> None:
    for at, condition in enumerate(rule.match.when):
        if is_in_body(condition.field) and problems.sound(place := (*path, at, "field")):
            problems.add(
                place,
                f"{quote(condition.field)} is in JSON, and the rule reads a form, so no create could have an identity; "
                "choose by something else than the body",
            )


def _parsed(text: str) -> Field | None:
    try:
        return parse_field(text)
    except ValueError:  # which is a problem already
        return None


def _both(texts: Sequence[str]) -> bool:
    """Whether some of these fields are in JSON alone, and others in a form alone."""
    in_json = any(is_in_body(text) and not is_in_form(text) for text in texts)
    return in_json and any(is_in_form(text) and not is_in_body(text) for text in texts)


def _never(texts: Sequence[str]) -> str:
    in_json = next(text for text in texts if is_in_body(text) and not is_in_form(text))
    in_form = next(text for text in texts if is_in_form(text) and not is_in_body(text))
    return (
        f"{quote(in_json)} is in JSON and {quote(in_form)} in a form, and no body is both, so no create could have "
        "this identity; name fields of one of the two"
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
