# Which rule a request meets.

from typing import Any

import pytest

from gateway.config.reachability import unreachable
from gateway.config.schema_rule import MatchConfig
from gateway.config.table import Duration
from gateway.guard.rules import Match, Refusal
from tests.support.unit import ask, compiled, met, rule, rule_config


class TestPath:
    rules = compiled(rule_config("/users"), rule_config("/tenants/{tenant}/Users", name="tenant-user"))

    @pytest.mark.parametrize(
        "target",
        [
            "/users",
            "/users/",
            "/Users",
            "/USERS/",
            "/%75sers",
            "/%75%73%65%72%73",
            "/%55sers/",
            "/users?x=//;/../",
            "/users?",
            "http://api.example/users",
            "HTTP://api.example:80/users/",
        ],
    )
    def test_a_path_is_guarded_however_it_is_plainly_spelt(self, target: str) -> None:
        assert met(ask(self.rules, target)) == "create-user"

    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "",
            "/user",
            "/userss",
            "/users/1",
            "/users/1/",
            "/x/users",
            "/tenants/users",
            "/.users",
            "*",
            "/tenants/a/users/1",
            "/tenants/a/b/users",
            "/?/users",
            "http://users/",
            "http://x",
            "/users-",
        ],
    )
    def test_another_path_is_not(self, target: str) -> None:
        assert met(ask(self.rules, target)) is None

    @pytest.mark.parametrize(
        ("target", "tenant"),
        [
            ("/tenants/acme/users", "acme"),
            ("/TENANTS/Acme/users/", "Acme"),
            ("/tenants/%41cme/users", "Acme"),
            ("/tenants/a%20b%C3%A9/users", "a bé"),
            ("/tenants/a+b/users", "a+b"),
            ("/tenants/.well-known/users", ".well-known"),
            ("/tenants/.../users", "..."),
            ("/tenants/users/users", "users"),
        ],
    )
    def test_a_variable_is_decoded_and_keeps_its_case(self, target: str, tenant: str) -> None:
        found = ask(self.rules, target)
        assert isinstance(found, Match)
        assert (found.rule.name, found.variables) == ("tenant-user", {"tenant": tenant})

    def test_a_rule_on_the_root_takes_the_root_alone(self) -> None:
        rules = compiled(rule_config("/"))
        assert [met(ask(rules, target)) for target in ("/", "", "/x", "/?a")] == ["create-user"] * 2 + [
            None,
            "create-user",
        ]

    def test_a_template_in_other_scripts_is_matched_decoded(self) -> None:
        rules = compiled(rule_config("/Größen und so"))
        assert met(ask(rules, "/gr%C3%B6%C3%9Fen%20und%20so")) == "create-user"

    def test_without_rules_everything_passes(self) -> None:
        assert ask(compiled(), "/users") is None
        assert ask(compiled(), "//users/../%2f") is None


class TestOrder:
    def test_the_first_rule_that_matches_guards(self) -> None:
        wide, narrow = rule_config("/{kind}", name="wide"), rule_config("/users", name="narrow")
        assert met(ask(compiled(wide, narrow))) == "wide"
        assert met(ask(compiled(narrow, wide))) == "narrow"
        assert met(ask(compiled(narrow, wide), "/orders")) == "wide"

    def test_variables_and_literals_mix_in_the_files_order(self) -> None:
        rules = compiled(
            rule_config("/a/{y}/c", name="1"),
            rule_config("/{x}/b/c", name="2"),
            rule_config("/{x}/{y}/{z}", name="3"),
            rule_config("/a/b/c", name="4"),
        )
        targets = ("/a/b/c", "/a/x/c", "/x/b/c", "/x/y/c", "/a/b/x")
        assert [met(ask(rules, target)) for target in targets] == ["1", "1", "2", "3", "3"]

    def test_a_rule_that_does_not_take_the_method_gives_way_to_a_later_one(self) -> None:
        rules = compiled(rule_config(methods=("PUT",), name="put"), rule_config("/{x}", name="post"))
        assert [met(ask(rules, "/users", method)) for method in ("PUT", "POST", "GET")] == ["put", "post", None]

    def test_a_method_in_another_case_is_guarded_too(self) -> None:
        """RFC 9110 9.1 tells them apart; an API that does not would create."""
        assert met(ask(compiled(rule_config()), "/users", "post")) == "!unusual-request"
        assert met(ask(compiled(rule_config()), "/users", "get")) is None


class TestHost:
    rules = compiled(rule_config(host="API.Example.com.", name="api"), rule_config(host="other.example", name="other"))

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("api.example.com", "api"),
            ("API.EXAMPLE.COM", "api"),
            ("api.example.com:8080", "api"),
            ("api.example.com:", "api"),
            ("api.example.com.", "api"),
            ("api.example.com.:443", "api"),
            ("other.example", "other"),
            ("example.com", None),
            ("api.example.com.evil", None),
            ("xapi.example.com", None),
            ("", None),
        ],
    )
    def test_the_host_header_decides_without_its_port_and_case(self, host: str, name: str | None) -> None:
        assert met(ask(self.rules, "/users", "POST", ("hOsT", host))) == name

    def test_without_a_host_no_rule_for_a_host_matches(self) -> None:
        assert met(ask(self.rules)) is None

    @pytest.mark.parametrize("authority", ["api.example.com", "user:pw@API.example.com:80", "api.example.com."])
    def test_an_absolute_target_names_the_host(self, authority: str) -> None:
        assert met(ask(self.rules, f"http://{authority}/users", "POST", ("Host", "unknown.example"))) == "api"

    def test_an_api_may_go_by_the_host_header_of_an_absolute_target(self) -> None:
        """Servers should not (RFC 9112 3.2.2), and do; a create must not slip by those."""
        assert met(ask(self.rules, "http://unknown.example/users", "POST", ("Host", "api.example.com"))) == "api"

    def test_a_rule_without_a_host_takes_any(self) -> None:
        rules = compiled(rule_config(host="api.example.com", name="api"), rule_config(name="any"))
        assert met(ask(rules, "/users", "POST", ("Host", "api.example.com"))) == "api"
        assert met(ask(rules, "/users", "POST", ("Host", "x"))) == met(ask(rules)) == "any"


class TestMethodOverride:
    plain = compiled(rule_config())
    accepting = compiled(rule_config(method_override=("X-HTTP-Method-Override", "X-Verb")))

    @pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X-METHOD-OVERRIDE"])
    @pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
    def test_a_header_that_changes_the_method_is_refused_on_a_guarded_path(self, name: str, method: str) -> None:
        found = ask(self.plain, "/users", method, (name, "POST"))
        assert isinstance(found, Refusal)
        assert found.slug == "method-override"
        assert name.lower() in found.detail

    def test_it_passes_elsewhere(self) -> None:
        assert ask(self.plain, "/orders", "POST", ("X-HTTP-Method-Override", "POST")) is None
        assert met(ask(self.plain, "/users", "POST", ("X-Verb", "GET"))) == "create-user", "no known override"

    @pytest.mark.parametrize(("asked", "name"), [("POST", "create-user"), (" post ", "create-user"), ("PUT", None)])
    def test_a_header_that_the_rule_lists_is_the_method(self, asked: str, name: str | None) -> None:
        assert met(ask(self.accepting, "/users", "GET", ("x-http-method-override", asked))) == name
        assert met(ask(self.accepting, "/users", "GET", ("X-VERB", asked))) == name

    def test_an_empty_one_changes_nothing(self) -> None:
        assert met(ask(self.accepting, "/users", "POST", ("X-Verb", ""))) == "create-user"

    @pytest.mark.parametrize(
        "lines",
        [
            [("X-Verb", "GET"), ("X-Verb", "POST")],
            [("X-Verb", "GET"), ("X-HTTP-Method-Override", "POST")],
            [("X-Verb", "GET"), ("X-Method-Override", "POST")],
            [("X-Method-Override", "POST"), ("X-Verb", "GET")],
            [("X-Method-Override", "GET")],
        ],
    )
    def test_more_than_one_or_one_that_is_not_listed_is_refused(self, lines: list[tuple[str, str]]) -> None:
        assert met(ask(self.accepting, "/users", "POST", *lines)) == "!method-override"

    @pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Verb"])
    def test_it_does_not_open_a_way_round_an_ambiguous_path(self, name: str) -> None:
        assert met(ask(self.accepting, "//users", "GET", (name, "POST"))) == "!ambiguous-path"
        assert met(ask(self.accepting, "//users", "GET")) is None


def match(path: str, *methods: str, host: str | None = None, extensions: tuple[str, ...] = ()) -> MatchConfig:
    return MatchConfig(path=path, methods=methods or ("POST",), host=host, extensions=extensions)


class TestUnreachable:
    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            ([match("/users")], match("/users")),
            ([match("/users")], match("/USERS/")),
            ([match("/{x}")], match("/users")),
            ([match("/{x}")], match("/{y}")),
            ([match("/{x}/b")], match("/a/b")),
            ([match("/users")], match("/users", host="api")),
            ([match("/users", host="api")], match("/users", host="api")),
            ([match("/{r*}")], match("/")),
            ([match("/{r*}")], match("/a/{x}/b")),
            ([match("/a/{r*}")], match("/a")),
            ([match("/a/{r*}")], match("/A/{x}")),
            ([match("/a/{r*}")], match("/a/{r*}")),
            ([match("/{x}/{r*}")], match("/a/b/{r*}")),
            ([match("/users")], match("/users", extensions=("json",))),
            ([match("/users", extensions=("json",))], match("/users", extensions=("xml",))),
            ([match("/users", extensions=("JSON",))], match("/Users.json")),
            ([match("/a/{r*}", extensions=("json",))], match("/a.json")),
            ([match("/{x}")], match("/users.json", extensions=("json",))),
            ([match("/users", "PUT", "POST")], match("/users")),
            ([match("/users", "PUT"), match("/{x}", "POST")], match("/users", "POST", "PUT")),
        ],
    )
    def test_a_rule_that_earlier_ones_take_everything_from_is_found(
        self, earlier: list[MatchConfig], later: MatchConfig
    ) -> None:
        configs = [rule_config(match=one) for one in (*earlier, later)]
        ((shadowed, taker),) = unreachable(configs)
        assert shadowed is configs[-1]
        assert taker in configs[:-1]

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            (match("/users"), match("/orders")),
            (match("/users"), match("/users/x")),
            (match("/users"), match("/{x}")),
            (match("/a/{x}"), match("/{x}/b")),
            (match("/a/{r*}"), match("/{r*}")),
            (match("/a/{r*}"), match("/{x}/{r*}")),
            (match("/{x}/{r*}"), match("/{r*}")),
            (match("/{x}/{r*}"), match("/")),
            (match("/a/{x}"), match("/a/{r*}")),
            (match("/a"), match("/a/{r*}")),
            (match("/users"), match("/users.json")),
            (match("/users.json"), match("/users", extensions=("json",))),
            (match("/users", extensions=("json",)), match("/users.xml")),
            (match("/users", extensions=("json",)), match("/users.json.json")),
            (match("/users", extensions=("json",)), match("/users.json", extensions=("xml",))),
            (match("/users", extensions=("json",)), match("/users.json/{r*}")),
            (match("/users", extensions=("json",)), match("/.json")),
            (match("/", extensions=("json",)), match("/.json")),
            (match("/users", extensions=("json",)), match("/")),
            (match("/users", host="api"), match("/users")),
            (match("/users", host="api"), match("/users", host="other")),
            (match("/users", "PUT"), match("/users")),
            (match("/users", "POST"), match("/users", "POST", "PUT")),
            (match("no template"), match("no template")),
        ],
    )
    def test_a_rule_that_something_is_left_for_is_not(self, earlier: MatchConfig, later: MatchConfig) -> None:
        assert unreachable([rule_config(match=earlier), rule_config(match=later)]) == []


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 0.25),
        ({"wait_timeout": Duration(3)}, 0.25),
        ({"reject_after": Duration(0)}, 0),
        ({"in_flight": "wait"}, 10),
        ({"in_flight": "wait", "wait_timeout": Duration(3), "reject_after": Duration(0)}, 3),
    ],
)
def test_how_long_a_create_waits_for_the_one_in_flight(changes: dict[str, Any], seconds: float) -> None:
    assert rule(**changes).wait_timeout == seconds
