# Which API a request goes to, by host and by what its path starts with. Pure.
#
# Segments are compared without regard to case, as rules compare them: a create has one identity however its path is
# spelt, so one API must be the one that answers it, or "/Users" could be created where "/users" was never asked.

from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

import msgspec

from gateway.guard.dialects import explain_dialect
from gateway.guard.rules import Refusal
from gateway.http.headers import Headers
from gateway.http.paths import Target, named_hosts, plain_host, read_path

_T = TypeVar("_T")
_AMBIGUOUS = Refusal(
    "ambiguous-path",
    "The request could be read as one for either of two APIs. Send the path without empty or dot segments, "
    "parameters, backslashes, and encoded slashes or percent signs, and name one host.",
)

_TOO_MANY_READINGS = Refusal(
    "ambiguous-path",
    "The path is longer than 1 KiB and can be read in too many ways to say which API it is for. Send it without "
    "empty or dot segments, parameters, backslashes, and encoded slashes or percent signs.",
)


class Route(msgspec.Struct, frozen=True):
    """What a request must name to take this route."""

    host: str | None
    """As `plain_host` gives it; any host when None."""
    segments: tuple[str, ...]
    """What the path starts with, decoded and case-folded; none for every path."""


class Routes(Generic[_T]):
    """Finds where a request goes: a route with a host before one without, then the longest; at last `default`."""

    def __init__(self, routes: Iterable[tuple[Route, _T]], default: _T | None) -> None:
        self._by_host: dict[str | None, dict[tuple[str, ...], _T]] = {None: {}}
        for route, goal in routes:
            self._by_host.setdefault(route.host, {})[route.segments] = goal
        anywhere = self._by_host[None]
        if default is not None:
            anywhere.setdefault((), default)
        self._longest = max([len(segments) for paths in self._by_host.values() for segments in paths], default=0)
        self._has_hosts = len(self._by_host) > 1
        goals = [goal for paths in self._by_host.values() for goal in paths.values()]
        catches_all = () in anywhere and all(goal is goals[0] for goal in goals)
        self._only = goals[0] if catches_all else None

    def __repr__(self) -> str:
        return f"Routes({sum(len(paths) for paths in self._by_host.values())})"

    def find(self, target: Target, headers: Headers) -> _T | Refusal | None:
        """Where a request goes; None when no route takes it, a Refusal when its parts can be read as going to two."""
        if self._only is not None:
            return self._only
        reading = read_path(target.path)
        if reading.is_open:
            return _TOO_MANY_READINGS
        hosts: Collection[str | None] = named_hosts(target, headers) if self._has_hosts else ()
        if not reading.others and len(hosts) < 2:  # nearly always
            return self._at(next(iter(hosts), None), reading.segments)
        found = [self._at(host, path) for host in hosts or (None,) for path in reading.others or (reading.segments,)]
        return found[0] if all(goal is found[0] for goal in found) else _AMBIGUOUS

    def _at(self, host: str | None, segments: tuple[str, ...]) -> _T | None:
        path = tuple([segment.casefold() for segment in segments[: self._longest]])
        for known in (host, None) if host is not None else (None,):
            prefixes = self._by_host.get(known, {})
            for length in range(len(path), -1, -1):
                goal = prefixes.get(path[:length])
                if goal is not None:
                    return goal
        return None


def parse_route(host: str | None, path: str) -> Route:
    """Read a route's host and path. Raises ValueError with a text that says what would be right."""
    if not path.startswith("/"):
        raise ValueError(f'"{path}" does not start with "/"; write it as in "/api/users"')
    if "{" in path or "}" in path:
        raise ValueError(f'"{path}" has a brace; a route has no variables, write what the path starts with')
    if "*" in path:
        raise ValueError(f'"{path}" has a "*"; a route takes whatever starts with its path, write only that')
    if explain_dialect(path) is not None:
        raise ValueError(f'"{path}" is a pattern of another program; a route has none, write what the path starts with')
    if "?" in path or "%" in path or read_path(path).others:
        raise ValueError(
            f'"{path}" can be read in more than one way; write it decoded, without a query, "//", ".", ".." or ";"'
        )
    segments = tuple([segment.casefold() for segment in read_path(path).segments])
    return Route(None if host is None else plain_host(host), segments)
