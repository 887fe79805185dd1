# A suffix behind a guarded path: many frameworks serve /users.json as /users, so it never passes unguarded.

import pytest

from gateway.guard.rules import Match, Refusal
from tests.support.unit import ask, compiled, met, rule_config

PLAIN = compiled(rule_config("/users"), rule_config("/tenants/{tenant}/users", name="tenant-user"))
SUFFIXED = [
    *("/users.json", "/users.xml", "/users.anything", "/users.", "/users..", "/users.json.bak", "/users.tar.gz"),
    *("/Users.JSON", "/USERS.json", "/users.json/", "/users./", "/users.a%20b", "/users.%C3%A9", "/users.json?a=b"),
    *("/users%2ejson", "/users%2Ejson", "/%75sers.json", "/users%2e", "/users.%6ason", "/users%2E%2e"),
    *("http://api.example/users.json", "/tenants/a/users.json", "/TENANTS/a/Users.json/", "/tenants/a.b/users.json"),
    *("/users.:batch", "/users.json,x", "/users.json+xml", "/users.~"),
]
BEHIND_A_SLASH = ["/users/.json", "/users/.JSON/", "/users/%2ejson", "/users/...", "/tenants/a/users/.xml"]
"""Spring served these where the mapping ended with a slash."""
IN_OTHER_READINGS = [
    "//users.json",
    "/users.json//",
    "/x/../users.json",
    "/users.json;v=1",
    "/users%252ejson",
    "/users.%00",
]


@pytest.mark.parametrize("target", SUFFIXED + BEHIND_A_SLASH)
def test_a_suffix_behind_a_guarded_path_is_refused(target: str) -> None:
    found = ask(PLAIN, target)
    assert isinstance(found, Refusal)
    assert found.slug == "ambiguous-path"
    assert "extensions" in found.detail
    assert 'rule "create-user"' in found.detail or 'rule "tenant-user"' in found.detail


@pytest.mark.parametrize("target", IN_OTHER_READINGS)
def test_so_is_one_that_only_another_reading_has(target: str) -> None:
    assert met(ask(PLAIN, target)) == "!ambiguous-path"


@pytest.mark.parametrize("target", SUFFIXED + BEHIND_A_SLASH + IN_OTHER_READINGS)
def test_it_passes_with_a_method_that_no_rule_guards(target: str) -> None:
    assert ask(PLAIN, target, "GET") is None
    assert ask(PLAIN, target, "PUT") is None


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method"])
def test_a_method_override_may_mean_the_guarded_one(name: str) -> None:
    assert met(ask(PLAIN, "/users.json", "GET", (name, "POST"))) == "!ambiguous-path"
    listing = compiled(rule_config("/users", method_override=("X-Verb",)))
    assert met(ask(listing, "/users.json", "GET", ("x-verb", "POST"))) == "!ambiguous-path"
    assert ask(PLAIN, "/users.json", "GET", ("x-verb", "POST")) is None


def test_a_method_in_another_case_is_refused_too() -> None:
    assert met(ask(PLAIN, "/users.json", "post")) == "!ambiguous-path"


@pytest.mark.parametrize(
    "target",
    [
        *("/users", "/users/", "/tenants/a.json/users", "/tenants.json/a/users", "/users.json/x", "/x/users.json"),
        *("/.users", "/user.json", "/userss.json", "/json.users", "/users-json", "/users,json", "/users.json/x/.json"),
        "/.json",
    ],
)
def test_dots_elsewhere_make_no_difference(target: str) -> None:
    assert not isinstance(ask(PLAIN, target), Refusal)


def test_only_the_rules_of_the_requests_host_count() -> None:
    rules = compiled(rule_config("/users", host="api.example"))
    assert met(ask(rules, "/users.json", "POST", ("Host", "API.example:80"))) == "!ambiguous-path"
    assert ask(rules, "/users.json", "POST", ("Host", "other.example")) is None


def test_lower_case_is_that_of_the_path_without_the_suffix() -> None:
    """A capital sigma is one letter in lower case at the end of a word, and another one before ".json"."""
    rules = compiled(rule_config("/ΟΔΟΣ"), rule_config("/İ", name="dotted"))
    for target in ("/ΟΔΟΣ.json", "/οδος.JSON", "/ΟΔΟΣ.", "/İ.json", "/i̇.json"):
        assert met(ask(rules, target)) == "!ambiguous-path", target


def test_the_root_has_no_last_segment_but_that_behind_its_slash() -> None:
    rules = compiled(rule_config("/"))
    assert met(ask(rules, "/.json")) == "!ambiguous-path"
    assert ask(rules, "/a.json") is None


class TestLiteralWithADot:
    rules = compiled(rule_config("/index.php"))

    def test_it_matches_as_it_stands(self) -> None:
        assert met(ask(self.rules, "/INDEX.php/")) == "create-user"

    @pytest.mark.parametrize("target", ["/index.php.bak", "/index.php.", "/index.php.php", "/index%2ephp%2ebak"])
    def test_a_suffix_behind_it_is_refused(self, target: str) -> None:
        assert met(ask(self.rules, target)) == "!ambiguous-path"

    @pytest.mark.parametrize("target", ["/index", "/index.", "/index.html", "/index.phpx", "/index.ph"])
    def test_what_only_begins_like_it_passes(self, target: str) -> None:
        assert ask(self.rules, target) is None


class TestRuleOfItsOwn:
    """A rule on the path with its suffix says that it is another thing."""

    @pytest.mark.parametrize("order", [1, -1])
    def test_it_wins_and_others_are_still_refused(self, order: int) -> None:
        configs = [rule_config("/users", name="plain"), rule_config("/users.json", name="json")]
        rules = compiled(*configs[::order])
        for target, name in (("/users", "plain"), ("/users.json", "json"), ("/Users%2eJSON/", "json")):
            assert met(ask(rules, target)) == name
        for target in ("/users.xml", "/users.json.xml", "/users.js"):
            assert met(ask(rules, target)) == "!ambiguous-path"

    def test_it_does_not_for_a_method_or_a_host_that_is_not_its_own(self) -> None:
        methods = ("POST", "PUT")
        rules = compiled(rule_config("/users", methods=methods), rule_config("/users.json", name="json"))
        assert met(ask(rules, "/users.json")) == "json"
        assert met(ask(rules, "/users.json", "PUT")) == "!ambiguous-path"
        assert met(ask(rules, "/users.json", "GET", ("X-HTTP-Method", "PUT"))) == "!ambiguous-path"
        elsewhere = compiled(rule_config("/users"), rule_config("/users.json", host="a.example", name="json"))
        assert met(ask(elsewhere, "/users.json", "POST", ("Host", "a.example"))) == "json"
        assert met(ask(elsewhere, "/users.json", "POST", ("Host", "b.example"))) == "!ambiguous-path"

    @pytest.mark.parametrize("path", ["/{kind}", "/{rest*}"])
    def test_a_variable_is_no_rule_on_the_path_itself(self, path: str) -> None:
        for configs in ((rule_config(path, name="wide"), rule_config("/users")),):
            for rules in (compiled(*configs), compiled(*configs[::-1])):
                assert met(ask(rules, "/users.json")) == "!ambiguous-path"
                assert met(ask(rules, "/orders.json")) == "wide"

    def test_a_rule_with_a_tail_is_one_where_its_tail_is_empty(self) -> None:
        rules = compiled(rule_config("/users"), rule_config("/users.json/{rest*}", name="json"))
        assert met(ask(rules, "/users.json")) == "json"


class TestVariable:
    rules = compiled(rule_config("/tenants/{tenant}"), rule_config("/files/{path*}", name="file"))

    @pytest.mark.parametrize(
        ("target", "variables"),
        [
            ("/tenants/a.json", {"tenant": "a.json"}),
            ("/tenants/a.", {"tenant": "a."}),
            ("/tenants/.json", {"tenant": ".json"}),
            ("/files/a/b.json", {"path": "a/b.json"}),
            ("/files/a.json/", {"path": "a.json"}),
            ("/files/.env", {"path": ".env"}),
            ("/files", {"path": ""}),
        ],
    )
    def test_a_suffix_is_a_part_of_its_value(self, target: str, variables: dict[str, str]) -> None:
        found = ask(self.rules, target)
        assert isinstance(found, Match)
        assert found.variables == variables

    def test_the_literal_before_an_empty_tail_has_suffixes_to_refuse(self) -> None:
        assert met(ask(self.rules, "/files.json")) == "!ambiguous-path"
        assert ask(self.rules, "/files.json/a") is None
        assert ask(self.rules, "/tenants.json/a") is None
