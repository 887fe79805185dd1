# The link to a created thing: as a URI, and as the target at the API that made it.

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.link import own_target
from gateway.http.uri import as_uri

HOSTS = {"api.example", "10.0.0.7"}


@pytest.mark.parametrize(
    ("link", "uri"),
    [
        ("/users/7?a=b&c=%C3%A9#d", "/users/7?a=b&c=%C3%A9#d"),
        ("http://[::1]:8080/users/a;b=1,2", "http://[::1]:8080/users/a;b=1,2"),
        ('/users/a b>"<', "/users/a%20b%3E%22%3C"),
        ("/users/\u00c3\u00a9", "/users/%C3%A9"),  # a header's bytes, each of them a character
        ("/users/\u00e9", "/users/%C3%A9"),
        ("/\u30e6\u30fc\u30b6\u30fc", "/%E3%83%A6%E3%83%BC%E3%82%B6%E3%83%BC"),
        ("\\users", "%5Cusers"),
    ],
)
def test_what_may_not_stand_in_a_uri_is_escaped_and_nothing_else(link: str, uri: str) -> None:
    assert as_uri(link) == uri


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("/users/7", "/users/7"),
        ("/users/7?x=1&y=..#part", "/users/7?x=1&y=.."),
        ("/users/a%2Fb;v=1", "/users/a%2Fb;v=1"),
        ("http://api.example/users/7", "/users/7"),
        ("https://API.example.:8443/users/7", "/users/7"),
        ("http://10.0.0.7:9000/users/7", "/users/7"),
        ("//api.example/users/7", "/users/7"),
        ("7", "/v1/7"),
        ("./7?x=1", "/v1/7?x=1"),
        ("../people/7", "/people/7"),
        ("?id=7", "/v1/users?id=7"),
        ("/users/a b", "/users/a%20b"),
    ],
)
def test_a_link_to_the_same_api_is_a_target_there(link: str, target: str) -> None:
    assert own_target(link, "/v1/users", HOSTS) == target


@pytest.mark.parametrize(
    "link",
    [
        "http://other.example/users/7",
        "//other.example/users/7",
        "http://api.example@other.example/users/7",
        "http://api.example.other.example/users/7",
        "http:///users/7",
        "http:/users/7",
        "http://[::1/users/7",
        "ftp://api.example/users/7",
        "urn:uuid:7",
        "users:7",
        "javascript:alert(7)",
        "http://api.example",
        "http://api.example//other.example/7",
        "//",
        "#part",
        "/users/..",
        "/users/../admin",
        "/users/%2e%2E/admin",
        "/users/..;x/admin",
        "/users/..%2fadmin",
        "/users/..\\admin",
        "/users/.",
    ],
)
def test_a_link_elsewhere_or_to_no_certain_place_is_none(link: str) -> None:
    assert own_target(link, "/v1/users", HOSTS) is None


@given(
    st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40), st.sampled_from(["/", "//", "http://"])
)
def test_whatever_a_link_holds_a_target_is_one_word_that_begins_with_a_path(text: str, start: str) -> None:
    for link in (text, start + text, f"{start}api.example/{text}"):
        target = own_target(link, "/v1/users", HOSTS)
        assert target is None or re.fullmatch(r"/(?!/)[\x21-\x7e]*", target)
