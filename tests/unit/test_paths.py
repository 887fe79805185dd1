# Ambiguous paths: whatever some server could read as a guarded path never passes unguarded.

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.guard.rules import Match, Refusal
from gateway.http.paths import Target, read_path, split_target
from tests.support.unit import ask, compiled, rule_config

RULES = compiled(rule_config("/users"), rule_config("/tenants/{tenant}/users", name="tenant-user"))
ELSEWHERE = compiled(rule_config("/orders"), rule_config("/tenants/{tenant}/orders", name="tenant-order"))

AMBIGUOUS = [
    "//users",
    "/users//",
    "///users///",
    "/./users",
    "/users/.",
    "/x/../users",
    "/users/x/..",
    "/../users",
    "/users/x/../",
    "/%2e/users",
    "/x/%2e%2e/users",
    "/x/.%2E/users",
    "/x/%2E./users",
    "/x%2F..%2Fusers",
    "/%2fusers",
    "/%2Fusers",
    "/users%2f",
    "/users%2F%2f",
    "/x/..%2fusers",
    "/users;",
    "/users;v=1",
    "/users;jsessionid=x/",
    "/;/users",
    "/x/..;/users",
    "/users%3bv=1",
    "/users%3B",
    "/users\\",
    "\\users",
    "/x\\..\\users",
    "/users%5c",
    "/%5Cusers",
    "/x/..%5c/users",
    "/%252fusers",
    "/%252Fusers",
    "/%25252fusers",
    "/users%252f",
    "/x/%252e%252e/users",
    "/%2575sers",
    "/%75sers;a%2fb",
    "//host%2fx/%75sers",
    "/a%2fb/../%75sers",
    "/users%253bx",
    "/users%00",
    "/users%00.html",
    "/us%00ers",
    "/users%0a",
    "/users%0D%0A",
    "/%09users",
    "/users%7f",
    "/us\ters",
    "/users\x00",
    "/users#",
    "/users#x",
    "/users#/x",
    "/users%23x",
    "/users%3f",
    "/users%3Fx=1",
    "/users%253Fx=1",
    "//evil.example/users",
    "///evil.example/users",
    "/\\evil.example/users",
    "/%2fevil.example/users",
    "http://api.example//users",
    "http://api.example/x/../users",
    "http://api.example/users;x",
    "http://api.example/users%2f",
    "/tenants//users/users",
    "/tenants/a%2F/users",
    "/tenants/%2Fa/users",
    "/tenants/a%252Fb/users",
    "/tenants/b%2F..%2Fa/users",
    "/tenants/a%00/users",
    "/tenants/a;b/users",
    "/tenants/%zz/users",
    "/tenants/%/users",
    "/tenants/%u0061/users",
    "/tenants/%ff/users",
    "/tenants/%c0%af/users",
    "/tenants/%ed%a0%80/users",
    "/tenants/\udcff/users",
    "/tenants/a/b/../users",
    "/tenants/./users/users",
    "/tenants/./users",
    "/x//../users",
    "/tenants///../a/users",
]


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_a_path_that_some_server_reads_as_guarded_is_refused(target: str) -> None:
    found = ask(RULES, target)
    assert isinstance(found, Refusal)
    assert found.slug == "ambiguous-path"
    assert 'rule "' in found.detail


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_the_same_spelling_passes_where_nothing_is_guarded(target: str) -> None:
    """It may mean something to the API, and is no create."""
    assert ask(ELSEWHERE, target) is None
    assert ask(RULES, target, "GET") is None


@pytest.mark.parametrize(
    "target",
    ["//x", "/a%2Fb", "/users/..", "/users/%2e%2e", "/x;/y", "/%zz", "/%ff", "/users/../x", "/tenants//users"],
)
def test_a_path_that_leads_away_from_what_is_guarded_passes(target: str) -> None:
    assert ask(RULES, target) is None


def test_a_refusal_names_the_rule_and_not_the_path() -> None:
    found = ask(RULES, "//tenants/canary-7b1f/users")
    assert isinstance(found, Refusal)
    assert '"tenant-user"' in found.detail
    assert "canary" not in found.detail


DETOURS = ["//", "/./", "/x/../", "/;v=1/", "/\t", "/\n", "/\x7f"]
"""What may stand for a slash before a segment, or before the end."""
TAILS = ["", "/", "//", "/.", "/x/..", ";", ";v=1", "#", "#/x", "\x00", "\x00.html"]


@st.composite
def obfuscated(draw: st.DrawFn) -> str:
    """The guarded path, spelt in a way that leads some server back to it."""
    detours = st.lists(st.sampled_from(DETOURS), max_size=2).map("".join)
    path = (
        "/"
        + draw(detours | st.sampled_from(["/evil.example/", "//evil.example/"]))
        + "users"
        + draw(st.sampled_from([*TAILS, "?", "?x=1"]))
    )
    spelt = [draw(st.sampled_from(spellings(character))) for character in path[1:]]
    return draw(st.sampled_from(["/", "http://api.example/"])) + "".join(spelt)


def spellings(character: str) -> list[str]:
    """One character as it is, escaped once, twice and three times, and otherwise."""
    escaped = f"%{ord(character):02x}"
    found = [escaped, escaped.replace("%", "%25"), escaped.replace("%", "%2525")]
    if character == "/":
        return ["/", "/", "/", *found, "\\", "%5C"]
    return found if character == "?" else [character, character, character.upper(), *found]


@given(obfuscated())
@example("/%2fusers")
def test_no_spelling_of_a_guarded_path_passes_unguarded(target: str) -> None:
    assert ask(RULES, target) is not None


@given(st.text("/users.;\\%2fFeE5cC0#?", max_size=14).map(lambda tail: "/" + tail) | st.text())
def test_any_target_is_answered_and_a_match_is_one_that_all_servers_agree_on(target: str) -> None:
    found = ask(RULES, target)
    if isinstance(found, Match) and found.rule.name == "create-user":
        path = split_target(target).path
        assert not set(path) & set(";\\#")
        assert "//" not in path


ODDEST = "/a%252f%5c;b//%2e%25253b"
"""What can be read in more ways than anything else that is as long."""


@pytest.mark.parametrize("part", [ODDEST, "/%2e", ";", "//", "/a%2fb", "\\", "%25", "/a%00b", "%252525252f", "/%ff"])
def test_any_path_of_1_kib_is_read_in_all_ways(part: str) -> None:
    reading = read_path((part * 1024)[:1024])
    assert reading.others
    assert not reading.is_open


def test_a_longer_path_is_refused_if_it_can_be_read_in_too_many_ways() -> None:
    target = "/" + ODDEST * 300
    assert read_path(target).is_open
    found = ask(RULES, target)
    assert isinstance(found, Refusal)
    assert found.slug == "ambiguous-path"
    assert "longer than 1 KiB" in found.detail
    assert ODDEST not in found.detail
    assert isinstance(ask(RULES, target, "GET", ("X-HTTP-Method-Override", "POST")), Refusal)


def test_it_passes_where_no_rule_could_guard_it() -> None:
    target = "/" + ODDEST * 300
    assert ask(RULES, target, "GET") is None
    assert ask(compiled(), target) is None
    elsewhere = compiled(rule_config("/users", host="other.example"))
    assert ask(elsewhere, target, "POST", ("Host", "api.example")) is None
    assert isinstance(ask(elsewhere, target, "POST", ("Host", "other.example")), Refusal)


@pytest.mark.parametrize("part", ["/segment", "a", "/a%20b", "/%C3%A9", "/resize/https%3A%2F%2Fexample.com%2Fa%2Fb"])
def test_an_ordinary_path_of_8_kib_passes(part: str) -> None:
    assert ask(RULES, "/q" + part * (8000 // len(part))) is None


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/users", ("users",)),
        ("/users/", ("users",)),
        ("/", ()),
        ("", ()),
        ("/a/b", ("a", "b")),
        ("/a%20b/%C3%A9", ("a b", "é")),
        ("/é", ("é",)),
        ("/a+b", ("a+b",)),
        ("/a:b@c,d=e!$&'()*~", ("a:b@c,d=e!$&'()*~",)),
        ("/.well-known/x", (".well-known", "x")),
        ("/...", ("...",)),
        ("/a.b/..c", ("a.b", "..c")),
    ],
)
def test_a_plain_path_has_one_reading(path: str, segments: tuple[str, ...]) -> None:
    reading = read_path(path)
    assert reading.segments == segments
    assert reading.others == ()


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a?b=c", Target("/a", "b=c", None)),
        ("/a", Target("/a", "", None)),
        ("/a?b?c", Target("/a", "b?c", None)),
        ("/a://b", Target("/a://b", "", None)),
        ("//a/b", Target("//a/b", "", None)),
        ("http://h:80/a?b", Target("/a", "b", "h:80")),
        ("http://h", Target("/", "", "h")),
        ("http://h?b", Target("/", "b", "h")),
        ("HTTPS://u@h/a//b", Target("/a//b", "", "u@h")),
        ("*", Target("*", "", None)),
        ("h:80", Target("h:80", "", None)),
    ],
)
def test_a_target_is_taken_apart(target: str, parts: Target) -> None:
    assert split_target(target) == parts


def test_a_path_of_many_names_between_two_slashes_each_is_not_open() -> None:
    path = "/" + "/F/" * 300
    found = read_path(path + "users")
    assert not found.is_open
    assert ("users",) not in found.others, "only the first of them can be a host"
