# Which resource a link, or a request, is about; and the hashes by which its claims are found.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.fingerprint import LINK_SIZE, Fingerprinter, is_origin
from gateway.guard.following import UNFOLLOWED, Followed, link_key, origin_host, resource_path
from gateway.guard.template import parse_template
from gateway.http.headers import Headers

HASHES = Fingerprinter(b"secret")
ORIGIN = HASHES.origin("api.example", ("acme",))


def followed(*paths: str, extensions: frozenset[str] = frozenset()) -> list[Followed]:
    return [Followed(parse_template(path), extensions) for path in paths]


@pytest.mark.parametrize("path", ["/users/7", "/Users/7/", "/users/%37", "/USERS/7.json", "/users/7.JSON"])
def test_one_resource_has_one_path_however_it_is_written(path: str) -> None:
    assert resource_path(followed("/users/{id}", extensions=frozenset({"json"})), path) == ("users", "7")


@pytest.mark.parametrize(
    "path",
    [
        "/users",
        "/users/",
        "/users/7/photo",
        "/user/7",
        "/users//7",
        "/users/../users/7",
        "/users/7;v=1",
        "/users/%00",
        "",
    ],
)
def test_what_is_no_path_of_a_resource_or_can_be_read_in_two_ways_is_none(path: str) -> None:
    assert resource_path(followed("/users/{id}"), path) is None


def test_the_values_of_variables_are_told_apart_in_all_respects() -> None:
    templates = followed("/users/{id}", "/teams/{team}/users/x-{id}")
    paths = [
        "/users/a",
        "/users/A",
        "/users/a.b",
        "/users/a%2Fb",
        "/users/a%20b",
        "/teams/T/users/X-1",
        "/teams/t/users/x-1",
    ]
    found = [resource_path(templates, path) for path in paths]
    assert len(set(found)) == len(paths)
    assert found[3] == ("users", "a/b")
    assert found[5] == ("teams", "T", "users", "x-1")


def test_the_rest_of_a_path_is_one_value_and_not_none() -> None:
    """With no rest, a query might tell things apart."""
    rest = followed("/files/{rest*}")
    assert resource_path(rest, "/files/a/b") == ("files", "a/b")
    assert resource_path(rest, "/files") is None


@given(st.text())
def test_any_text_is_a_link_or_none(link: str) -> None:
    key = link_key(followed("/{a}", "/{a}/{rest*}"), "user", HASHES, ORIGIN, link, "/users", {"api.example"})
    assert key is None or (len(key) == LINK_SIZE and not is_origin(key))


@pytest.mark.parametrize(
    "link", ["/users/7", "https://api.example/users/7?v=1", "users/7", "http://API.example:8080/Users/7#a"]
)
def test_links_of_each_form_are_one(link: str) -> None:
    key = link_key(followed("/users/{id}"), "user", HASHES, ORIGIN, link, "/users", {"api.example"})
    assert key == HASHES.link(ORIGIN, "user", ("users", "7"))


@pytest.mark.parametrize(
    "link", [None, "https://elsewhere.example/users/7", "/users?id=7", "urn:user:7", "/users/..", "http://[/users/7"]
)
def test_what_leads_to_no_resource_of_the_api_has_none(link: str | None) -> None:
    assert link_key(followed("/users/{id}"), "user", HASHES, ORIGIN, link, "/users", {"api.example"}) is None


def test_a_link_is_made_of_an_origin_alone() -> None:
    key = HASHES.link(ORIGIN, "user", ("users", "7"))
    for origin in (None, key, UNFOLLOWED):
        assert link_key(followed("/users/{id}"), "user", HASHES, origin, "/users/7", "/", ()) is None


@given(st.text(max_size=9), st.lists(st.text(max_size=9) | st.integers() | st.none(), max_size=3))
def test_origins_and_links_are_never_equal(host: str, scope: list[str | int | None]) -> None:
    origin = HASHES.origin(host, scope)
    assert is_origin(origin)
    assert not is_origin(HASHES.link(origin, host, [host]))
    assert HASHES.link(origin, "a", ("b", "c")) != HASHES.link(origin, "a", ("b/c",))
    assert HASHES.origin(f"{host}x", scope) != origin != HASHES.origin(host, [*scope, "x"])
    assert HASHES.change(origin, 0) != HASHES.change(origin, 1)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (b"API.example", "api.example"),
        (b"api.example.", "api.example"),
        (b"api.example:80", "api.example"),
        (b"api.example:443", "api.example"),
        (b"api.example:8443", "api.example:8443"),
        (b"[::1]:80", "[::1]"),
    ],
)
def test_a_host_counts_without_a_default_port(host: bytes, found: str) -> None:
    assert origin_host(Headers.of([(b"Host", host)])) == found
    assert origin_host(Headers(b"")) == ""
