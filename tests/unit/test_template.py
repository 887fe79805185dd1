# Path templates: how they are read, and what one with a tail matches.

import pytest

from gateway.guard.rules import Match
from gateway.guard.template import parse_template
from tests.support.unit import ask, compiled, met, rule_config


class TestTemplate:
    def test_a_template_is_read(self) -> None:
        template = parse_template("/Tenants/{tenant}/users/{id}/")
        assert template.segments == ("tenants", None, "users", None)
        assert template.names == ((1, "tenant"), (3, "id"))
        assert template.variables == ("tenant", "id")
        assert not template.has_tail
        assert parse_template("/").segments == ()

    @pytest.mark.parametrize("path", ["/Files/{kind}/{rest*}", "/Files/{kind}/{rest*}/"])
    def test_a_template_may_end_with_any_number_of_segments(self, path: str) -> None:
        template = parse_template(path)
        assert template.segments == ("files", None)
        assert template.names == ((1, "kind"), (2, "rest"))
        assert template.has_tail

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("", 'does not start with "/"; write it as in "/tenants/{tenant}/users"'),
            ("users", 'does not start with "/"'),
            ("http://x/users", 'does not start with "/"'),
            ("/users?x", "has a query"),
            ("/users/{id", 'has a brace in "{id"; a variable is a name in braces, as in "/users/{id}" and'),
            ("/users/{}", "has a brace"),
            ("/users/{1a}", "has a brace"),
            ("/users/{a-b}", 'write "{a_b}"'),
            ("/users/{é}", "has a brace"),
            ("/{a}/{a}", "has two variables of one name"),
            ("/{a}/{a*}", "has two variables of one name"),
            ("/{a*}/b", '"{a*}" takes all segments that follow, so it must be the last one'),
            ("/{a*}/{b*}", '"{a*}" takes all segments that follow'),
            ("/users/x{a*}", 'has a brace in "x{a*}"'),
            ("/users//{a*}", "can be read in more than one way"),
            ("//users", "can be read in more than one way"),
            ("/users//", "can be read in more than one way"),
            ("/a/../users", "can be read in more than one way"),
            ("/users;v=1", "can be read in more than one way"),
            ("/users#x", "can be read in more than one way"),
            ("/a\\users", "can be read in more than one way"),
            ("/%75sers", "can be read in more than one way"),
            ("/users%2F", "can be read in more than one way"),
            ("/users\n", "can be read in more than one way"),
        ],
    )
    def test_what_is_no_template_is_refused_with_what_would_be_right(self, path: str, says: str) -> None:
        with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared below
            parse_template(path)
        assert says in str(raised.value)


class TestTail:
    rules = compiled(rule_config("/Index.php/{rest*}"))

    @pytest.mark.parametrize(
        ("target", "rest"),
        [
            ("/index.php", ""),
            ("/INDEX.php/", ""),
            ("/index.php/users", "users"),
            ("/index.php/Users/", "Users"),
            ("/index.php/a/b/c/d", "a/b/c/d"),
            ("/index.php/a%20b/%C3%A9?c/d", "a b/é"),
            ("/index.php/" + "a/" * 1000 + "b", "a/" * 1000 + "b"),
        ],
    )
    def test_a_tail_takes_any_number_of_segments_and_none(self, target: str, rest: str) -> None:
        found = ask(self.rules, target)
        assert isinstance(found, Match)
        assert found.variables == {"rest": rest}

    @pytest.mark.parametrize("target", ["/", "/index", "/index.phpx", "/x/index.php", "/x/index.php/a", "/users"])
    def test_it_takes_nothing_else(self, target: str) -> None:
        assert ask(self.rules, target) is None

    @pytest.mark.parametrize(
        "target",
        [
            "/index.php/a%2Fb",
            "/index.php//a",
            "/index.php/a/../b",
            "/index.php/../users",
            "/x/../index.php/a",
            "/index.php;a/b",
        ],
    )
    def test_what_can_be_read_in_two_ways_is_refused_in_a_tail_too(self, target: str) -> None:
        assert met(ask(self.rules, target)) == "!ambiguous-path"
        assert ask(self.rules, target, "GET") is None

    def test_variables_may_stand_before_it(self) -> None:
        found = ask(compiled(rule_config("/{tenant}/files/{rest*}")), "/a/files/b/c")
        assert isinstance(found, Match)
        assert found.variables == {"tenant": "a", "rest": "b/c"}

    def test_alone_it_takes_every_path(self) -> None:
        rules = compiled(rule_config("/{rest*}"))
        for target, rest in (("/", ""), ("/a", "a"), ("/a/b/", "a/b")):
            found = ask(rules, target)
            assert isinstance(found, Match)
            assert found.variables == {"rest": rest}

    def test_the_first_rule_in_the_file_wins_beside_it_too(self) -> None:
        tail, plain = rule_config("/a/{rest*}", name="tail"), rule_config("/a/{x}", name="plain")
        wide = rule_config("/{rest*}", name="wide")
        targets = ("/a", "/a/b", "/a/b/c", "/b")
        assert [met(ask(compiled(plain, tail, wide), target)) for target in targets] == [
            "tail",
            "plain",
            "tail",
            "wide",
        ]
        assert [met(ask(compiled(wide, tail, plain), target)) for target in targets] == ["wide"] * 4
        assert [met(ask(compiled(tail, plain), target)) for target in targets] == ["tail"] * 3 + [None]
