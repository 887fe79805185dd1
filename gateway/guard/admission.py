# Which way a request takes, before anything of its body is read. Pure.
#
# The handler and `gateway explain` both ask here, so that what is explained is what happens.

from typing import Generic, TypeVar

import msgspec

from gateway.guard.routes import Routes
from gateway.guard.rules import Match, Refusal, Rules
from gateway.guard.when import narrow
from gateway.http.headers import Headers
from gateway.http.paths import Target, split_target

T = TypeVar("T")

_CONNECT = Refusal("not-supported", "CONNECT is not supported.")
_NO_PATH = Refusal("bad-request", "The request target is neither a path nor a URL with a host.")
_FRAGMENT = Refusal("bad-request", "The request target has a fragment (#), which belongs to the client alone.")
_NO_ROUTE = Refusal("no-route", "No route takes the request.")


class Admitted(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A request that is forwarded, if its claims are free."""

    upstream: T
    target: Target
    match: Match | None
    """The rule that guards it, or those that may, where its body says which; None when it passes untouched."""
    shadow: Match | Refusal | None = None
    """What rules in shadow would do with it, if no other guards it."""


class Admission(Generic[T]):
    """Rules and routes together."""

    def __init__(self, rules: Rules, routes: Routes[T], shadow: Rules | None = None) -> None:
        """`shadow` are the rules in shadow, which see only what `rules` leave; None for none."""
        self.rules = rules
        self.shadow = shadow
        self._routes = routes

    def __repr__(self) -> str:
        return f"Admission({self.rules!r}, {self._routes!r})"

    def admit(self, method: str, target: str, headers: Headers) -> Admitted[T] | Refusal:
        """Say where a request goes and which rule guards it, or why it is refused."""
        if method == "CONNECT":
            return _CONNECT
        if "#" in target:  # RFC 9112 3.2 has none in a target; servers cut it off, or take it for a part of the path
            return _FRAGMENT
        parts = split_target(target)
        if target[:1] != "/" and not parts.authority and (target != "*" or method != "OPTIONS"):
            return _NO_PATH
        upstream = self._routes.find(parts, headers)
        match = self.rules.match(method, parts, headers)
        if isinstance(match, Refusal):
            return match
        if match is not None and match.is_open:
            match = narrow(match, parts.query, headers)
        if isinstance(upstream, Refusal):
            return upstream
        if upstream is None:
            return _NO_ROUTE
        shadow = None
        if self.shadow is not None and (match is None or match.is_open):
            shadow = self.shadow.match(method, parts, headers)
            if isinstance(shadow, Match) and shadow.is_open:
                shadow = narrow(shadow, parts.query, headers)
        return Admitted(upstream, parts, match, shadow)
