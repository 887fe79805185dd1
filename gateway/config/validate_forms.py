# What a rule says of fields in forms, and of files in them: whether it makes sense. Pure.

from collections.abc import Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema import RuleConfig
from gateway.config.validate_values import is_in_body, is_in_form
from gateway.guard.field import Field, Source, parse_field

_HARMLESS = frozenset({"trim", "casefold", "nfc", "nfkc", "collapse_space", "visible", "text"})
_OF_SIZES = frozenset({"digits", "integer", "decimal"})


def validate_forms(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of `scope`, `unique` and `caller` that only forms have; `path` leads to the rule."""
    unique, scope, caller = (*path, "unique"), (*path, "scope"), (*path, "caller")
    in_scope = [item.field for item in rule.scope_items] if problems.sound(scope) else []
    for text in in_scope:
        field = _parsed(text)
        if field is not None and field.source is Source.FILE:
            problems.add(
                scope,
                f"{quote(text)} is of a file, and creates of different files would never be duplicates; "
                "name it in fields of an entry of unique",
            )
    if problems.sound(scope) and _both(in_scope):
        problems.add(scope, _never(in_scope))
    for at, entry in enumerate(rule.unique):
        if not problems.sound(fields := (*unique, at, "fields")):
            continue
        texts = [*entry.fields, *in_scope]
        if _both(texts) and not _both(in_scope):
            problems.add(fields, _never(texts))
        files = [field for field in map(_parsed, entry.fields) if field is not None and field.source is Source.FILE]
        if problems.sound(normalize := (*unique, at, "normalize")):
            _normalisers(entry.normalize, files, normalize, problems)
    alone = [[*entry.fields, *in_scope] for entry in rule.unique]
    if problems.sound(unique, scope) and _both(rule.fields_read) and not any(map(_both, alone)):
        problems.add(
            unique,
            "has entries with fields in JSON and entries with fields in a form, and a create must have all of them; "
            "write entries for one of the two",
        )
    for text in problems.elements(caller, rule.caller):
        if is_in_form(text) and _parsed(text) is not None:
            problems.add(
                caller,
                f"{quote(text)} is in a form, which is no place for who sends a create; "
                'write caller = ["header.Authorization"]',
            )


def _parsed(text: str) -> Field | None:
    try:
        return parse_field(text)
    except ValueError:  # which is a problem already
        return None


def _both(texts: Sequence[str]) -> bool:
    """Whether some of these fields are in JSON, and others in a form."""
    return any(is_in_body(text) for text in texts) and any(is_in_form(text) for text in texts)


def _never(texts: Sequence[str]) -> str:
    in_json = next(text for text in texts if is_in_body(text))
    in_form = next(text for text in texts if is_in_form(text))
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
