# Which upstream a request goes to.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.routes import Routes, parse_route
from gateway.guard.rules import Refusal
from gateway.http.headers import Headers
from gateway.http.paths import split_target
from tests.support.unit import ask, compiled, headers, rule_config

API = "api.example.com"


def routes(*known: tuple[str | None, str, str], default: str | None = None) -> Routes[str]:
    """Routes as (host, path, upstream)."""
    return Routes([(parse_route(host, path), upstream) for host, path, upstream in known], default)


def met(found: Routes[str], target: str, *hosts: str) -> str | None:
    """Where a request goes; "!" and the slug of a refusal."""
    goal = found.find(split_target(target), headers(*[("Host", host) for host in hosts]))
    return f"!{goal.slug}" if isinstance(goal, Refusal) else goal


class TestPath:
    known = routes(
        (None, "/users", "users"), (None, "/users/photos", "photos"), (None, "/a b/é", "odd"), default="rest"
    )

    @pytest.mark.parametrize(
        ("target", "upstream"),
        [
            ("/users", "users"),
            ("/users/", "users"),
            ("/users/7", "users"),
            ("/users?x=/orders", "users"),
            ("/users2", "rest"),
            ("/user", "rest"),
            ("/", "rest"),
            ("/x/users", "rest"),
            ("*", "rest"),
            ("", "rest"),
            ("/users/photos", "photos"),
            ("/users/photos/7/8/9", "photos"),
            ("/users/photos2", "users"),
            ("/%75sers/photos", "photos"),
            ("/a%20b/%C3%A9/x", "odd"),
            ("http://api.example.com/users/7", "users"),
        ],
    )
    def test_the_longest_path_wins_by_whole_segments(self, target: str, upstream: str) -> None:
        assert met(self.known, target) == upstream

    def test_a_path_that_can_be_read_in_too_many_ways_is_refused_where_there_are_several(self) -> None:
        target = "/" + "/a%252f%5c;b//%2e%25253b" * 300
        assert met(self.known, target) == "!ambiguous-path"
        assert met(routes(default="rest"), target) == "rest"

    @pytest.mark.parametrize("target", ["/USERS/7", "/Users", "/%55sers/7", "/u%C5%BFers/7", "/users/"])
    def test_a_path_takes_the_same_route_however_it_is_spelt(self, target: str) -> None:
        """A rule takes them for one create; two APIs must not answer it."""
        assert met(self.known, target) == "users"

    @pytest.mark.parametrize("target", ["//users", "/x/../users", "/users/../x", "/users;x/photos", "/users%2Fphotos"])
    def test_a_path_that_leads_to_two_upstreams_is_refused(self, target: str) -> None:
        assert met(self.known, target) == "!ambiguous-path"

    @pytest.mark.parametrize("target", ["/x//y", "/x/../y", "/users/7//8", "/users/a;b", "/users/7%2F8", "/x%252Fy"])
    def test_an_odd_path_all_of_whose_readings_lead_to_one_upstream_goes_there(self, target: str) -> None:
        assert met(self.known, target) == ("rest" if target.startswith("/x") else "users")

    def test_what_no_route_takes_goes_nowhere_without_a_default(self) -> None:
        known = routes((None, "/users", "users"))
        assert met(known, "/orders") is None
        assert met(known, "/orders//7") is None
        assert met(known, "/orders/../users") == "!ambiguous-path", "nowhere is another reading too"

    def test_a_route_for_every_path_takes_what_others_leave(self) -> None:
        known = routes((None, "/users", "users"), (None, "/", "rest"))
        assert [met(known, target) for target in ("/users/1", "/x", "*")] == ["users", "rest", "rest"]


class TestHost:
    known = routes(
        (API, "/", "api"),
        (API, "/photos", "photos"),
        ("[::1]", "/", "local"),
        (None, "/photos/big", "big"),
        default="rest",
    )

    @pytest.mark.parametrize(
        ("host", "target", "upstream"),
        [
            (API, "/", "api"),
            ("API.Example.COM:8443", "/x", "api"),
            ("api.example.com.", "/x", "api"),
            ("api.example.com.:80", "/photos", "photos"),
            ("[::1]:8080", "/photos", "local"),
            ("other.example.com", "/x", "rest"),
            ("other.example.com", "/photos/big/7", "big"),
            ("x.api.example.com", "/x", "rest"),
            ("", "/x", "rest"),
        ],
    )
    def test_the_host_counts_without_port_case_and_closing_dot(self, host: str, target: str, upstream: str) -> None:
        assert met(self.known, target, host) == upstream

    def test_a_route_with_a_host_goes_before_a_longer_one_without(self) -> None:
        assert met(self.known, "/photos/big", API) == "photos"

    def test_a_request_without_a_host_takes_the_routes_without_one(self) -> None:
        assert met(self.known, "/x") == "rest"

    def test_an_absolute_target_names_the_host(self) -> None:
        assert met(self.known, f"http://{API}/x") == "api"
        assert met(self.known, f"http://{API}:80/x", API) == "api"

    def test_two_hosts_that_lead_to_two_upstreams_are_refused(self) -> None:
        assert met(self.known, f"http://{API}/x", "other.example.com") == "!ambiguous-path"
        assert met(self.known, "http://one.example.com/x", "other.example.com") == "rest"

    def test_a_host_whose_routes_leave_a_path_gives_way_to_the_others(self) -> None:
        known = routes((API, "/photos", "photos"), (None, "/users", "users"), default="rest")
        assert [met(known, target, API) for target in ("/photos/1", "/users/1", "/x")] == ["photos", "users", "rest"]


class Unread:
    """A target nobody may look at."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was looked at")


@pytest.mark.parametrize(
    "known",
    [routes(default="only"), routes((None, "/", "only")), routes((API, "/x", "only"), (None, "/", "only"))],
    ids=["no routes", "one route", "all routes to one"],
)
def test_where_all_go_to_one_upstream_nothing_is_looked_at(known: Routes[str]) -> None:
    assert known.find(Unread(), Headers(b"")) == "only"  # type: ignore[arg-type]


def test_one_upstream_that_takes_only_some_requests_does_not_get_all() -> None:
    assert met(routes((None, "/users", "users")), "/orders") is None
    assert met(routes((API, "/", "users")), "/orders") is None


segments = st.sampled_from(
    ["users", "Users", "USERS", "%75sers", "u%73ers", "a", ".", "..", "", "users;x", "%2e%2E", "x%2Fy"]
)


@given(st.lists(segments, max_size=5))
def test_what_a_rule_guards_goes_where_its_plain_path_goes_or_nowhere(parts: list[str]) -> None:
    """However a guarded path is spelt, one upstream answers its creates."""
    target = "/" + "/".join(parts)
    rules = compiled(rule_config("/a/users"), rule_config("/users", name="short"))
    known = routes((None, "/users", "users"), (None, "/a/users", "users of a"), default="rest")
    found = ask(rules, target)
    if found is None or isinstance(found, Refusal):
        return
    assert met(known, target) == {"create-user": "users of a", "short": "users"}[found.rule.name]


@pytest.mark.parametrize(
    "path", ["", "users", "/a?b", "/%41", "/a//b", "/../a", "/a;b", "/{tenant}", "/a}", "/a/*", "http://x/a", "/a#b"]
)
def test_what_is_no_path_of_a_route_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_route(None, path)
