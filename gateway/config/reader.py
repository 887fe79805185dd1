# Converts a TOML document to the structs of the schema, and notes every problem. Pure.
#
# An invalid value is noted and replaced by an empty one, so that everything else can still be validated. Validation
# skips values with a noted problem (Problems.sound).

import re
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from gateway.config.hints import example, unknown_key
from gateway.config.problems import Path, Problems, nearest, quote
from gateway.config.schema import Config
from gateway.config.schema_outcome import Scalar
from gateway.config.table import Duration, Size, Table
from gateway.config.units import parse_duration, parse_size

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNQUOTED: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
}
"""The types of TOML that are taken for each type that has no quotes, and its name."""
_T = TypeVar("_T", bound=Table)


def read(problems: Problems, environ: Mapping[str, str]) -> Config:
    """Build the structs from the document in `problems`, and note all invalid values there."""
    return _Reader(problems, environ).table(Config, problems.document, ())


class _Reader:
    """Walks one document."""

    def __init__(self, problems: Problems, environ: Mapping[str, str]) -> None:
        self.problems = problems
        self.environ = environ

    def table(self, kind: type[_T], found: Mapping[str, Any], path: Path) -> _T:
        fields = msgspec.structs.fields(kind)
        known = {field.encode_name for field in fields}
        for key in found:
            if key not in known:
                self.problems.add((*path, key), unknown_key(kind, key))
        values = {}
        for field in fields:
            key = field.encode_name
            place = (*path, key)
            if key in found:
                values[field.name] = self.value(field.type, found[key], place, example(kind, key))
            elif field.required:
                self.problems.add(place, f"is missing; write {example(kind, key)}")
                values[field.name] = _blank(field.type)
        return kind(**values)

    def value(self, kind: Any, found: Any, path: Path, right: str) -> Any:
        origin = get_origin(kind)
        if origin in {Union, types.UnionType}:
            member = _member(kind, found)
            return self.scalar(found, path, right) if member is None else self.value(member, found, path, right)
        if origin is tuple:
            return self.sequence(get_args(kind)[0], found, path, right)
        if origin is dict:
            return self.named(get_args(kind)[1], found, path, right)
        if origin is Literal:
            return self.choice(get_args(kind), found, path, right)
        if issubclass(kind, Table):
            if isinstance(found, dict):
                return self.table(kind, found, path)
            return self.wrong(kind, found, path, f"a table belongs here; write {right}")
        if issubclass(kind, Duration | Size):
            return self.quantity(kind, found, path, right)
        if kind in _UNQUOTED:
            taken, what = _UNQUOTED[kind]
            if isinstance(found, taken) and isinstance(found, bool) == (kind is bool):
                return kind(found)
            return self.wrong(kind, found, path, f"{what} without quotes belongs here; write {right}")
        text = self.text(found, path, right)
        return _blank(kind) if text is None else text

    def scalar(self, found: Any, path: Path, right: str) -> Scalar:
        if isinstance(found, bool | int | float):
            return found
        if isinstance(found, str):
            return self.text(found, path, right) or ""
        self.problems.add(
            path, f"this is {_type_name(found)}; a string, a number, true or false belongs here; write {right}"
        )
        return ""

    def sequence(self, kind: Any, found: Any, path: Path, right: str) -> Any:
        if not isinstance(found, list):
            return self.wrong(tuple[kind, ...], found, path, f"a list belongs here; write {right}")
        return tuple([self.value(kind, element, (*path, at), right) for at, element in enumerate(found)])

    def named(self, kind: Any, found: Any, path: Path, right: str) -> Any:
        if not isinstance(found, dict):
            what = "values" if kind is str else "tables"
            return self.wrong(dict[str, kind], found, path, f"{what} with names belong here; write {right}")
        return {name: self.value(kind, element, (*path, name), right) for name, element in found.items()}

    def choice(self, choices: tuple[str, ...], found: Any, path: Path, right: str) -> str:
        text = self.text(found, path, right)
        if text is None:
            return choices[0]
        if text not in choices:
            meant = nearest(text, choices)
            hint = f'; did you mean "{meant}"?' if meant else ""
            allowed = ", ".join([f'"{choice}"' for choice in choices])
            self.problems.add(path, f"{quote(text)} is not one of {allowed}{hint}")
            return choices[0]
        return text

    def quantity(self, kind: type[Duration | Size], found: Any, path: Path, right: str) -> Any:
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            reading = f'"{found}s" if seconds' if kind is Duration else f'"{found}B" if bytes'
            self.problems.add(path, f"{found} has no unit; write it in quotes with its unit, {reading} were meant")
            return kind(0)
        text = self.text(found, path, right)
        if text is not None:
            try:
                return parse_duration(text) if kind is Duration else parse_size(text)
            except ValueError as error:
                self.problems.add(path, str(error))
        return kind(0)

    def text(self, found: Any, path: Path, right: str) -> str | None:
        """A string with environment variables substituted; None when a problem was noted."""
        if not isinstance(found, str):
            self.wrong(str, found, path, f"a string in quotes belongs here; write {right}")
            return None
        missing = False

        def replace(placeholder: re.Match[str]) -> str:
            nonlocal missing
            if placeholder[0] == "$${":
                return "${"
            value = self.variable(placeholder, path)
            missing = missing or value is None
            return value or ""

        text = _PLACEHOLDER.sub(replace, found)
        return None if missing else text

    def variable(self, placeholder: re.Match[str], path: Path) -> str | None:
        name, closing = placeholder.groups()
        literal = 'for a literal "${" write "$${"'
        if not closing:
            self.problems.add(path, f'a "${{" has no "}}" after it; write "${{NAME}}", or {literal}')
        elif not _VARIABLE.fullmatch(name):
            self.problems.add(
                path,
                f"{quote(name)} is no name of an environment variable; write letters, digits and "
                f'"_", as in "${{GATEWAY_KEY}}", or {literal}',
            )
        elif name not in self.environ:
            self.problems.add(path, f"the environment variable {name} is not set; set it, or {literal}")
        elif not _is_text(self.environ[name]):
            self.problems.add(path, f"the environment variable {name} is not valid UTF-8; set it to text")
        else:
            self.problems.hide(path, self.environ[name], name)
            return self.environ[name]
        return None

    def wrong(self, kind: Any, found: Any, path: Path, right: str) -> Any:
        self.problems.add(path, f"this is {_type_name(found)}; {right}")
        return _blank(kind)


def _member(union: Any, found: Any) -> Any:
    """The type of a union by which a value is read: its table if it has one and the value is one, else the first.

    None for a union of scalars.
    """
    members = [member for member in get_args(union) if member is not types.NoneType]
    if len(members) > 1 and set(members) <= set(get_args(Scalar)):
        return None
    tables = [member for member in members if isinstance(member, type) and issubclass(member, Table)]
    return tables[0] if tables and isinstance(found, dict) else members[0]


def _blank(kind: Any) -> Any:
    """A placeholder of the type, in place of an invalid value."""
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return None
    if origin in {tuple, dict}:
        return origin()
    if origin is Literal:
        return get_args(kind)[0]
    if issubclass(kind, Table):
        return kind(**{field.name: _blank(field.type) for field in msgspec.structs.fields(kind) if field.required})
    return kind()


def _type_name(found: Any) -> str:
    match found:
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


def _is_text(value: str) -> bool:
    """Whether an environment variable is valid UTF-8: Python decodes other bytes to lone surrogates (PEP 383)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
