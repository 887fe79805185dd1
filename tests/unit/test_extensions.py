# Suffixes that a rule lists: its paths with one of them are its paths without.

from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.reachability import unreachable
from gateway.config.schema_rule import MatchConfig, RuleConfig
from gateway.guard.rules import Match, Refusal
from tests.support.unit import ask, compiled, met, rule_config


def listing(path: str, *extensions: str, methods: tuple[str, ...] = ("POST",), name: str = "listing") -> RuleConfig:
    return rule_config(match=MatchConfig(path=path, methods=methods, extensions=extensions or ("json",)), name=name)


class TestExtensions:
    @pytest.mark.parametrize(
        "target",
        [
            "/users",
            "/users.json",
            "/users.JSON",
            "/Users.Json/",
            "/users%2ejson",
            "/users.%4aSON",
            "/users.problem+JSON",
        ],
    )
    def test_a_listed_suffix_is_the_path_without_it(self, target: str) -> None:
        assert met(ask(compiled(listing("/users", "Json", "problem+json")), target)) == "listing"

    @pytest.mark.parametrize(
        "target", ["/users.xml", "/users.", "/users.json.", "/users..json", "/users.json.json", "/users/.json"]
    )
    def test_any_other_is_refused_as_before(self, target: str) -> None:
        assert met(ask(compiled(listing("/users")), target)) == "!ambiguous-path"

    @pytest.mark.parametrize("target", ["/users.json//", "/x/../users.json", "/users.json;a"])
    def test_a_listed_suffix_is_refused_in_a_path_that_can_be_read_in_two_ways(self, target: str) -> None:
        assert met(ask(compiled(listing("/users")), target)) == "!ambiguous-path"

    @pytest.mark.parametrize(
        ("path", "target", "variables"),
        [
            ("/tenants/{tenant}", "/tenants/a.json", {"tenant": "a"}),
            ("/tenants/{tenant}", "/tenants/A.b.JSON", {"tenant": "A.b"}),
            ("/tenants/{tenant}", "/tenants/a.json.json", {"tenant": "a.json"}),
            ("/tenants/{tenant}", "/tenants/a.xml", {"tenant": "a.xml"}),
            ("/tenants/{tenant}", "/tenants/.json", {"tenant": ".json"}),
            ("/tenants/{tenant}/users", "/tenants/a.json/users.json", {"tenant": "a.json"}),
            ("/files/{path*}", "/files/a.json/b.json", {"path": "a.json/b"}),
            ("/files/{path*}", "/files.json", {"path": ""}),
            ("/files/{path*}", "/files/.json", {"path": ".json"}),
            ("/{kind}/{path*}", "/users.json", {"kind": "users", "path": ""}),
            ("/{rest*}", "/a.json", {"rest": "a"}),
            ("/{rest*}", "/", {"rest": ""}),
        ],
    )
    def test_it_is_taken_off_the_value_of_a_variable(self, path: str, target: str, variables: dict[str, str]) -> None:
        found = ask(compiled(listing(path)), target)
        assert isinstance(found, Match)
        assert found.variables == variables

    def test_a_literal_with_a_dot_may_have_one_behind_it(self) -> None:
        rules = compiled(listing("/v1.users"))
        assert met(ask(rules, "/v1.users.json")) == met(ask(rules, "/v1.users")) == "listing"
        assert ask(rules, "/v1.json") is None

    def test_the_first_rule_in_the_file_wins_among_those_that_match(self) -> None:
        own, wide = rule_config("/users.json", name="own"), rule_config("/{kind}", name="wide")
        assert met(ask(compiled(listing("/users"), own), "/users.json")) == "listing"
        assert met(ask(compiled(own, listing("/users")), "/users.json")) == "own"
        assert met(ask(compiled(listing("/users"), wide), "/users.json")) == "listing"
        assert met(ask(compiled(wide, listing("/users")), "/users.json")) == "wide"

    def test_it_counts_only_where_the_path_without_it_meets_the_same_rule(self) -> None:
        """Else /users and /users.json would be guarded by two rules, and one thing created by each."""
        other = rule_config("/users", name="other")
        assert met(ask(compiled(listing("/users"), other), "/users.json")) == "listing"
        assert met(ask(compiled(other, listing("/users")), "/users.json")) == "!ambiguous-path"
        assert met(ask(compiled(listing("/{kind}"), other), "/users.json")) == "listing"
        assert met(ask(compiled(other, listing("/{kind}")), "/users.json")) == "!ambiguous-path"
        assert met(ask(compiled(other, listing("/{kind}")), "/orders.json")) == "listing"

    def test_what_the_path_without_it_may_be_is_refused_with_it_too(self) -> None:
        """/users.v1 has a rule of its own, or is refused; and so /users.v1.json."""
        users = rule_config("/users", name="users")
        assert met(ask(compiled(users, listing("/users.v1")), "/users.v1.json")) == "listing"
        assert met(ask(compiled(listing("/users.v1"), users), "/users.v1.json")) == "listing"
        assert met(ask(compiled(listing("/{kind}"), users), "/users.v1.json")) == "!ambiguous-path"
        assert met(ask(compiled(listing("/{kind}"), users), "/users.v1")) == "!ambiguous-path"

    def test_each_method_has_the_rule_of_its_own(self) -> None:
        rules = compiled(listing("/users", methods=("PUT",)), rule_config("/users", name="create"))
        assert met(ask(rules, "/users.json", "PUT")) == "listing"
        assert met(ask(rules, "/users.json", "POST")) == "!ambiguous-path"


segments = st.sampled_from(["a", "b", "a.x", "a.x.y", "{v}"])
templates = st.builds(
    lambda parts, tail: "/" + "/".join([part.replace("v", f"v{at}") for at, part in enumerate(parts)] + tail),
    st.lists(segments, min_size=1, max_size=2),
    st.sampled_from([[], [], ["{rest*}"]]),
)
configs = st.lists(
    st.builds(
        lambda path, extensions, methods: MatchConfig(path=path, extensions=tuple(extensions), methods=methods),
        templates,
        st.lists(st.sampled_from(["x", "y"]), unique=True, max_size=2),
        st.sampled_from([("POST",), ("PUT",), ("POST", "PUT")]),
    ),
    min_size=1,
    max_size=4,
).map(lambda matches: [rule_config(match=match, name=f"{at}") for at, match in zip(count(), matches, strict=False)])
paths = st.lists(st.sampled_from(["a", "b", "a.x", "b.y", "a.x.y", "a.x.x", ".x", "a.z"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)


@given(configs, paths, st.sampled_from(["POST", "PUT"]))
@example([rule_config("/a", name="0"), listing("/{v}", "x", name="1")], "/a", "POST")
def test_no_suffix_leads_past_the_rule_that_guards_the_path_without_it(
    rules: list[RuleConfig], path: str, method: str
) -> None:
    ready = compiled(*rules)
    plain, listed, unlisted = (ask(ready, f"{path}{suffix}", method) for suffix in ("", ".x", ".unlisted"))
    if ends_literally(plain, path):
        assert isinstance(unlisted, Refusal)
    if path.endswith((".x", ".y")):
        return  # only one suffix is taken off
    if isinstance(listed, Match) and "x" in listed.rule.extensions and not ends_literally(listed, f"{path}.x"):
        assert isinstance(plain, Match)
        assert (plain.rule, plain.variables) == (listed.rule, listed.variables)


def ends_literally(found: Match | Refusal | None, path: str) -> bool:
    """Whether a rule was met whose template has the path's last segment as it is."""
    parts = path.split("/")[1:]
    return isinstance(found, Match) and found.rule.template.segments[len(parts) - 1 :] == (parts[-1],)


@given(configs, paths, st.sampled_from(["POST", "PUT"]))
def test_a_rule_that_is_said_to_be_unreachable_never_matches(rules: list[RuleConfig], path: str, method: str) -> None:
    found = ask(compiled(*rules), path, method)
    assert met(found) not in [later.name for later, _ in unreachable(rules)]
