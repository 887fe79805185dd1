# Collects the problems of one rules file, named by rule and key, in the order of the file. Pure.

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Path = tuple[str | int, ...]
"""The path from the root of the file to a value: table keys and list indexes."""

_T = TypeVar("_T")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORTEST_SECRET = 4
"""Characters; shorter values of the environment are not secrets, and hiding them would garble the texts."""


class Problems:
    """Everything wrong with one file. Mutable: it grows while the file is read, then while it is validated."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._found: list[tuple[Path, str]] = []
        self._replaced: list[tuple[Path, str, str]] = []

    def __repr__(self) -> str:
        return f"Problems({self.lines()})"

    def add(self, path: Path, text: str) -> None:
        """Note what is wrong at `path`, and what would be valid."""
        self._found.append((path, text))

    def hide(self, path: Path, value: str, variable: str) -> None:
        """Replace the value of an environment variable in problems at `path` by its name: it may be secret."""
        if len(value) >= _SHORTEST_SECRET:
            self._replaced.append((path, value, f"${{{variable}}}"))

    def sound(self, *paths: Path) -> bool:
        """Whether there is no problem at any of the paths, above it or below it, so that the values can be checked."""
        return not any(_related(path, found) for path in paths for found, _ in self._found)

    def elements(self, path: Path, values: Sequence[str]) -> list[str]:
        """The values of a list that can be checked."""
        return [value for at, value in enumerate(values) if self.sound((*path, at))]

    def parse(self, path: Path, parser: Callable[[str], _T], text: str) -> _T | None:
        """Parse a text; note the text of the parser's ValueError as a problem."""
        try:
            return parser(text)
        except ValueError as error:
            self.add(path, str(error))
            return None

    def written(self, path: Path) -> bool:
        """Whether the file has a value at `path`."""
        here: Any = self.document
        try:
            for step in path:
                here = here[step]
        except (KeyError, IndexError, TypeError):
            return False
        return True

    def lines(self) -> list[str]:
        """Every problem as one line, in the order of the keys in the file."""
        ordered = sorted(self._found, key=lambda found: self._position(found[0]))
        return [self._line(path, text) for path, text in ordered]

    def _line(self, path: Path, text: str) -> str:
        for place, value, variable in self._replaced:
            if _related(place, path):
                text = text.replace(value, variable)
        return one_line(f"{self._where(path)}: {text}")

    def _where(self, path: Path) -> str:
        if path[0] == "rules" and len(path) > 1:
            within = _dotted(path[2:])
            return f"{self.rule(path)}, {within}" if within else self.rule(path)
        return _dotted(path)

    def rule(self, path: Path) -> str:
        """Identify a rule by its name; also by its index when the name is not unique; only by its index without one."""
        rules = self.document.get("rules")
        if not isinstance(rules, list):
            return _dotted(path[:2])
        names = [rule.get("name") if isinstance(rule, dict) else None for rule in rules]
        name = names[int(path[1])]
        if not isinstance(name, str) or not name:
            return _dotted(path[:2])
        return f"rule {quote(name)}" if names.count(name) == 1 else f"rule {quote(name)} ({_dotted(path[:2])})"

    def _position(self, path: Path) -> list[int]:
        """The position of a path in the file; missing keys sort after the existing keys of their table."""
        position: list[int] = []
        here: Any = self.document
        for step in path:
            if isinstance(here, dict):
                keys = list(here)
                position.append(keys.index(step) if step in here else len(keys))
                here = here.get(step)
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                position.append(step)
                here = here[step]
            else:
                break
        return position


def quote(value: str) -> str:
    """Quote a string of the file, on one line."""
    return json.dumps(value, ensure_ascii=False)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most similar."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return close[0] if close else None


def one_line(text: str) -> str:
    """Escape what would break a line or a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def key_text(key: str) -> str:
    """A key as TOML writes it."""
    return key if _BARE_KEY.fullmatch(key) else quote(key)


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{key_text(step)}" if text else key_text(step)
    return text


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
