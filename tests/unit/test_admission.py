# Which way a request takes: the rules' refusal first, then the routes', and what no rule and no route can be asked of.

import pytest

from gateway.config.compile import compile_rules
from gateway.config.schema import Config
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.guard.admission import Admission, Admitted
from gateway.guard.routes import Routes, parse_route
from gateway.guard.rules import Refusal
from tests.support.unit import headers, rule_config

CONFIG = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9000"), rules=(rule_config(),))
EVERYWHERE: Routes[str] = Routes([], "api")


def admit(method: str, target: str, routes: Routes[str] = EVERYWHERE) -> Admitted[str] | Refusal:
    return Admission(compile_rules(CONFIG), routes).admit(method, target, headers(("Host", "test")))


def test_a_create_is_guarded_and_anything_else_passes() -> None:
    guarded, other = admit("POST", "/users?a=b"), admit("GET", "/users")
    assert isinstance(guarded, Admitted)
    assert isinstance(other, Admitted)
    assert guarded.match is not None
    assert guarded.match.rule.name == "create-user"
    assert (guarded.upstream, guarded.target.query, other.match) == ("api", "a=b", None)


@pytest.mark.parametrize(
    ("method", "target", "slug"),
    [
        ("CONNECT", "/users", "not-supported"),
        ("CONNECT", "api.example:443", "not-supported"),
        ("POST", "users", "bad-request"),
        ("POST", "", "bad-request"),
        ("GET", "*", "bad-request"),
        ("POST", "http:///users", "bad-request"),
        ("POST", "/x//../users", "ambiguous-path"),
    ],
)
def test_what_is_refused_has_the_slug_of_its_answer(method: str, target: str, slug: str) -> None:
    refused = admit(method, target)
    assert isinstance(refused, Refusal)
    assert refused.slug == slug


@pytest.mark.parametrize("target", ["*", "/", "http://test"])
def test_options_may_mean_the_server_itself(target: str) -> None:
    assert isinstance(admit("OPTIONS", target), Admitted)


def test_what_no_route_takes_is_refused_whether_guarded_or_not() -> None:
    elsewhere = Routes([(parse_route(None, "/other"), "other")], None)
    for method in ("GET", "POST"):
        refused = admit(method, "/users", elsewhere)
        assert isinstance(refused, Refusal)
        assert refused.slug == "no-route"
