# What the tests of the pure packages share: requests and rules in the fewest words, and values to make them of.

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from hypothesis import strategies as st

from gateway.config.compile import compile_rules
from gateway.config.schema import Config
from gateway.config.schema_rule import JsonType, MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule
from gateway.guard.rules import Match, Refusal, Rules
from gateway.http.headers import Headers
from gateway.http.paths import split_target
from gateway.model import Json
from tests.support.tally import PATIENCE

JSON = ("Content-Type", "application/json")
ANY_TYPE: tuple[JsonType, ...] = ("string", "number", "boolean", "null", "array", "object")
"""All that JSON has."""
EMAIL = UniqueConfig(name="email", fields=("body.email",))

scalars: st.SearchStrategy[Json] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
"""JSON values as a parser returns them."""


def headers(*lines: tuple[str, str] | tuple[str, bytes]) -> Headers:
    """Header lines as they came from the wire."""
    return Headers.of([(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in lines])


def rule_config(
    path: str = "/users", *, methods: tuple[str, ...] = ("POST",), host: str | None = None, **changes: Any
) -> RuleConfig:
    """A rule that guards POST /users by `body.email`, with `changes` laid over it."""
    match = MatchConfig(path=path, methods=methods, host=host)
    return RuleConfig(**{"name": "create-user", "match": match, "unique": (EMAIL,), **changes})


def compiled(*rules: RuleConfig) -> Rules:
    """Rules ready to be matched."""
    return compile_rules(Config(upstream=UpstreamConfig(url="http://127.0.0.1:9000"), rules=rules))


def rule(**changes: Any) -> Rule:
    """One compiled rule."""
    config = rule_config(**changes)
    found = ask(compiled(config), config.match.path.replace("{", "").replace("}", ""))
    assert isinstance(found, Match)
    return found.rule


def ask(rules: Rules, target: str = "/users", method: str = "POST", *lines: tuple[str, str]) -> Match | Refusal | None:
    """What a request meets."""
    return rules.match(method, split_target(target), headers(*lines))


def met(found: Match | Refusal | None) -> str | None:
    """The name of the rule that was met, "!" and the slug of a refusal, or None."""
    match found:
        case Match():
            return found.rule.name
        case Refusal():
            return f"!{found.slug}"
        case None:
            return None


def request(
    body: str | bytes = b"", *lines: tuple[str, str] | tuple[str, bytes], query: str = "", **variables: str
) -> RequestView:
    """The parts of a request that fields can name. A body is JSON unless a line says what it is."""
    data = body.encode() if isinstance(body, str) else body
    kind = [] if not data or any(name.lower() == "content-type" for name, _ in lines) else [JSON]
    return RequestView(headers(*kind, *lines), query, variables, data)


def untyped(body: str) -> RequestView:
    """A request whose body has no Content-Type."""
    return RequestView(headers(), "", {}, body.encode())


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """End a test that would run for ever; none depends on the figure."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"it did not end within {PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(PATIENCE))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
