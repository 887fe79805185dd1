# Paths: whatever a server makes of one, it must not be a guarded path, or another one, that the gateway does not see.

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from urllib.parse import unquote_to_bytes

from campaigns.fuzz.common import ACCEPTED, Broken, repeated
from gateway.guard.rules import Match, Refusal, Rules
from gateway.http.paths import read_path, split_target
from tests.support.unit import ask, compiled, rule_config

ROUTES = {"user": "/users", "tenant": "/tenants/{tenant}/users", "file": "/files/{name}", "tail": "/tail/{rest*}"}
RULES = compiled(*[rule_config(path, name=name) for name, path in ROUTES.items()])
Met = tuple[str, tuple[str, ...]]
"""The name of a route, and the values of its variables."""


def _decode(path: str) -> str:
    return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _resolve(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


STEPS: dict[str, Callable[[str], str]] = {
    "params": lambda path: re.sub(r";[^/]*", "", path),
    "slashes": lambda path: re.sub(r"/{2,}", "/", path),
    "dots": _resolve,
    "backslashes": lambda path: path.replace("\\", "/"),
    "NUL": lambda path: path.partition("\0")[0],
    "controls": lambda path: re.sub(r"[\x00-\x1f\x7f]", "", path),
    "query": lambda path: re.split("[?#]", path)[0],
    "host": lambda path: re.sub(r"^//+[^/]*", "", path),
}
"""What servers do with a path beside decoding it, in one order or another."""


def _servers() -> Iterator[tuple[str, ...]]:
    """The orders that are tried: decoding once among up to two steps, or twice around one; those of known servers."""
    for count in range(3):
        for steps in itertools.permutations(STEPS, count):
            for at in range(count + 1):
                yield (*steps[:at], "decode", *steps[at:])
    for step in STEPS:
        yield from [("decode", "decode", step), ("decode", step, "decode"), (step, "decode", "decode")]
    yield from [
        ("params", "decode", "backslashes", "slashes", "dots"),  # Tomcat
        ("dots", "params", "decode", "slashes"),  # Jetty
        ("backslashes", "dots", "decode", "slashes"),  # WHATWG URL, then a router
        ("decode", "slashes", "dots", "decode"),  # a proxy that decodes before the API does
        ("decode", "backslashes", "slashes", "dots"),  # IIS
    ]


SERVERS = tuple(dict.fromkeys(_servers()))


def served(path: str, steps: Sequence[str]) -> str:
    """The path as a server that takes these steps routes it."""
    for step in steps:
        path = _decode(path) if step == "decode" else STEPS[step](path)
    return path


def route(path: str) -> Met | None:
    """The route that a path meets, as simply as it can be told."""
    segments = path.removesuffix("/").split("/")[1:]
    for name, template in ROUTES.items():
        wanted = template.split("/")[1:]
        if wanted[-1].endswith("*}"):
            literal = wanted[:-1]
            if [segment.lower() for segment in segments[: len(literal)]] == literal:
                return name, ("/".join(segments[len(literal) :]),)
        elif len(segments) == len(wanted):
            pairs = list(zip(wanted, segments, strict=True))
            if all(part if want[0] == "{" else part.lower() == want for want, part in pairs):
                return name, tuple(part for want, part in pairs if want[0] == "{")
    return None


class Paths:
    """read_path and the templates of rules."""

    name: str = "paths"
    tokens: Sequence[bytes] = (
        *(b"/", b"//", b"/.", b"/..", b"/../", b"./", b";", b";a=b", b"\\", b"%2f", b"%5c", b"%2e", b"%252f", b"%3b"),
        *(b"%25", b"%00", b"%0a", b"%23", b"%3f", b"%", b"#", b".json", b"users", b"Users", b"%75sers", b"/users"),
        *(
            b"/tenants/",
            b"/files/",
            b"/tail/",
            b"a",
            b"%61",
            b"%2561",
            b"%e9",
            b"%c3%a9",
            b"\xc3\xa9",
            b"~",
            b":",
            b"+",
        ),
    )
    largest = 8 * 1024
    most_memory = 128.0  # gateway.http.paths.MAX_READ bounds it, whatever the size

    def __init__(self, rules: Rules = RULES) -> None:
        self._rules = rules

    def make(self, random: Random) -> bytes:
        return random.choice(
            (
                b"/users",
                b"/tenants/a/users",
                b"/files/a",
                b"/files/a%20b",
                b"/tail/a/b",
                b"/a",
                b"/a/users",
                b"/%75sers",
            )
        )

    def read(self, data: bytes) -> Match | Refusal | None:
        return ask(self._rules, data.decode("utf-8", "surrogateescape"))

    def check(self, data: bytes) -> str:
        path = split_target("/" + data.decode("utf-8", "surrogateescape").removeprefix("/")).path
        found = ask(self._rules, path)
        if len(path) <= 1024 and read_path(path).is_open:
            raise Broken("a path of 1 KiB has too many readings")
        if isinstance(found, Refusal):
            return found.slug
        met = None if found is None else (found.rule.name, tuple(found.variables.values()))
        for steps in SERVERS:
            other = route(served(path, steps))
            if other not in {None, met}:
                kind = "a guarded path passes" if met is None else "a path is read as another one"
                raise Broken(kind, f"{met} here, {other} to a server that does this: {', '.join(steps)}")
        if met is not None and path.isascii() and "%" not in path:
            escaped = "/".join("".join(f"%{ord(sign):02x}" for sign in part) for part in path.split("/"))
            again = ask(self._rules, escaped)
            if not isinstance(again, Match | Refusal) or (
                isinstance(again, Match) and (again.rule.name, tuple(again.variables.values())) != met
            ):
                raise Broken("an encoded path is read as another one", f"{met}, and {again}")
        return "no rule" if met is None else ACCEPTED

    def enlarge(self, data: bytes, random: Random) -> Callable[[int], bytes]:
        return repeated(data, self.tokens, random)
