# Where a created thing lives: read from the answer, or not at all.

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.resource import MAX_ANSWER, MAX_LINK, locate, parse_resource
from tests.support.unit import headers, values

JSON = ("Content-Type", "application/json")


def link(resource: str, body: str | bytes = b"", *lines: tuple[str, str]) -> str | None:
    return locate(parse_resource(resource), headers(*lines), body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize(
    ("text", "reads_body"),
    [
        ("header.Location", False),
        ("/users/{body.id}", True),
        ("/users/{header.X-Id}", False),
        ("https://api.example.com/{header.X-Id}/{body.user.id}", True),
        ("http://api.example.com/all", False),
        ('/users/{body."odd.key"}', True),
    ],
)
def test_a_resource_is_read_and_says_whether_it_needs_the_body(text: str, reads_body: bool) -> None:
    assert parse_resource(text).reads_body is reads_body


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("body.id", 'is no link; write "header.Location", or a template such as "/users/{body.id}"'),
        ("users/{body.id}", "is no link"),
        ("{body.id}", "is no link"),
        ("ftp://x/{body.id}", "is no link"),
        ("", "is no link"),
        ("/users/{body.id", "has a brace without its partner; write {body.id}"),
        ("/users/body.id}", "has a brace without its partner"),
        ("/users/{{body.id}}", "has a brace without its partner"),
        ("/users/{}", "no known source"),
        ("/users/{id}", "no known source"),
        ("/users/{query.id}", "is not in an answer; only header and body fields are"),
        ("/users/{path.id}", "is not in an answer"),
        ("header.X.Y", "goes too deep"),
    ],
)
def test_what_is_no_resource_is_refused_with_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared below
        parse_resource(text)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("resource", "body", "found"),
    [
        ("/users/{body.id}", '{"id": 7}', "/users/7"),
        ("/users/{body.id}", '{"id": "a/b ?#é"}', "/users/a%2Fb%20%3F%23%C3%A9"),
        ("/t/{body.tenant}/users/{body.user.ids[1]}", '{"tenant": "x", "user": {"ids": [1, -2]}}', "/t/x/users/-2"),
        ("/users/{body.id}.json", '{"id": 9007199254740993}', "/users/9007199254740993.json"),
        ("/about", "not JSON", "/about"),
    ],
)
def test_a_template_is_filled_from_the_answer(resource: str, body: str, found: str) -> None:
    assert link(resource, body, JSON) == found


def test_a_header_alone_is_the_link_as_it_stands() -> None:
    assert link("header.location", b"", ("LOCATION", "https://x/users/1?a=b#c")) == "https://x/users/1?a=b#c"


def test_a_header_in_a_template_is_one_segment() -> None:
    assert link("/users/{header.X-Id}", b"", ("x-id", "a/b")) == "/users/a%2Fb"


def test_of_a_repeated_header_the_last_counts() -> None:
    assert link("header.Location", b"", ("Location", "/1"), ("Location", "/2")) == "/2"


def test_a_compressed_answer_is_inflated() -> None:
    body = gzip.compress(b'{"id": 7}')
    assert link("/users/{body.id}", body, JSON, ("Content-Encoding", "gzip")) == "/users/7"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "null",
        "[7]",
        '{"id": null}',
        '{"id": true}',
        '{"id": ""}',
        '{"id": "."}',
        '{"id": ".."}',
        '{"id": 1.5}',
        '{"id": [7]}',
        '{"id": {"a": 7}}',
        '{"id": 7, "id": 8}',
        '{"id": "\\ud800"}',
        '{"id": 7',
        b'\xff{"id": 7}',
    ],
)
def test_an_answer_that_does_not_say_it_plainly_has_no_link(body: str | bytes) -> None:
    assert link("/users/{body.id}", body, JSON) is None


def test_an_answer_of_another_type_or_coding_has_no_link() -> None:
    assert link("/users/{body.id}", '{"id": 7}', ("Content-Type", "text/html")) is None
    assert link("/users/{body.id}", '{"id": 7}', JSON, ("Content-Encoding", "br")) is None
    assert link("/users/{body.id}", gzip.compress(bytes(10**6)), JSON, ("Content-Encoding", "gzip")) is None


@pytest.mark.parametrize("value", ["", "/users/1\x0bX: y", "/users/\x00", "/users/\u2028", "\x7f"])
def test_a_header_that_is_empty_or_cannot_be_shown_is_no_link(value: str) -> None:
    assert link("header.Location", b"", ("Location", value)) is None


def test_a_missing_header_is_no_link() -> None:
    assert link("header.Location") is None


def test_a_link_is_kept_up_to_its_limit() -> None:
    assert link("header.Location", b"", ("Location", "/" * MAX_LINK)) == "/" * MAX_LINK
    assert link("header.Location", b"", ("Location", "/" * (MAX_LINK + 1))) is None


@given(values, st.text())
def test_whatever_an_answer_holds_a_link_is_one_line_of_its_template(value: object, location: str) -> None:
    found = link("/users/{body.id}", json.dumps({"id": value}), JSON)
    assert found is None or (found.startswith("/users/") and found.count("/") == 2 and found.isprintable())
    found = link("header.Location", b"", ("Location", location))
    assert found is None or found.isprintable()


def test_an_answer_larger_than_is_read_has_no_link_even_when_all_of_it_came() -> None:
    resource = parse_resource("/users/{body.id}")
    fits = b'{"id": 7}'.ljust(MAX_ANSWER)
    assert locate(resource, headers(), fits) == "/users/7"
    assert locate(resource, headers(), fits + b" ") is None
