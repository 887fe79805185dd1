# The form of the gateway's own answers: what Accept asks for, and the page for people.

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.cors import Cors
from gateway.http.headers import Headers
from gateway.http.html_page import html_page, is_page_address
from gateway.http.negotiation import negotiate, prefers_html
from gateway.http.problem import TYPE, Problem, problem, reply
from tests.support import wire

NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PAGE_TYPE = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (NAVIGATION, True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/*", True),
        ("text/html;charset=utf-8", True),
        ('text/html; charset="UTF-8"', True),
        ("text/html;q=0.2, */*;q=0.1", True),
        ("text/html, application/json;q=0.9", True),
        ("text/vnd.turbo-stream.html, text/html, application/xhtml+xml", True),
        ("*/*, application/json;q=0.5, application/problem+json;q=0.5", True),
        ("*/*, application/*;q=0", True),
        ("", False),
        ("*/*", False),
        ("text/html, */*", False),
        ("text/html;q=0.8, */*;q=0.8", False),
        ("text/html, application/json", False),
        ("text/html, application/problem+json", False),
        ("text/html;q=0.9, application/json;charset=utf-8", False),
        ("application/json, text/plain, */*", False),
        ("application/json, text/html;q=0.9", False),
        ("application/*, text/html;q=0.99", False),
        ("text/html;q=0", False),
        ("text/html;q=0, text/*", False),
        ("text/html;level=1", False),
        ("text/html;q=high", False),
        ("text/html;q=1.5", False),
        ("text/html;q=", False),
        ("text/htmlx", False),
        ("*;q=1", False),
    ],
)
def test_html_is_preferred_where_its_weight_is_above_that_of_json(accept: str, is_html: bool) -> None:
    assert prefers_html(accept.encode()) is is_html


@pytest.mark.parametrize("fields", [b"", b"Accept: */*\r\n", b"Accept:\r\n", b"X: y\r\nACCEPT: Text/HTML\r\n"])
def test_the_field_is_found_in_a_head_however_it_is_written(fields: bytes) -> None:
    made, _ = negotiate(problem("no-route", "None."), Headers(fields), None)
    assert (PAGE_TYPE.encode() in made.head) is (b"HTML" in fields)


def test_several_lines_of_accept_are_one_list() -> None:
    lines = Headers(b"Accept: text/html\r\nAccept: application/json\r\n")
    assert b"problem+json" in negotiate(problem("no-route", "None."), lines, None)[0].head


@given(st.binary(max_size=60))
def test_any_accept_is_read(accept: bytes) -> None:
    assert prefers_html(accept) in {True, False}


class Page(HTMLParser):
    """A page, read as browsers read one."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    @property
    def links(self) -> list[str | None]:
        return [attributes.get("href") for tag, attributes in self.tags if tag == "a"]


def told(text: str, link: str | None = None) -> Problem:
    return Problem(
        type=TYPE + "duplicate",
        title=text,
        status=409,
        detail=text,
        existing_resource_link=link,
        suggested_next_step=text,
    )


def page_of(document: Problem) -> Page:
    return Page(html_page(reply(document, "http_request_denied"), document).body)


HARMLESS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "a", "small"}


@given(st.text(max_size=80) | st.sampled_from(["</style><script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;"]))
def test_whatever_a_problem_says_is_text_on_the_page(text: str) -> None:
    page = page_of(told(text, "/users/1"))
    assert {tag for tag, _ in page.tags} <= HARMLESS
    assert {name for _, attributes in page.tags for name in attributes} == {
        "lang",
        "charset",
        "name",
        "content",
        "href",
    }
    assert page.links == ["/users/1"]
    assert page.texts.get("h1", "") == text
    assert "duplicate" in page.texts["small"]


def test_the_page_says_what_the_problem_says_in_english() -> None:
    document = told("Already created", "/users/1?a=1&b=2")
    page = page_of(document)
    assert page.tags[0] == ("html", {"lang": "en"})
    assert page.links == ["/users/1?a=1&b=2"]
    assert page.texts["title"] == page.texts["h1"] == "Already created"
    assert page.texts["small"] == "409 duplicate"


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    document = told("x")
    page = html_page(reply(document, "http_request_denied", 7, closes=True), document)
    _, headers = wire.parse_head(page.head + b"\r\n")
    assert wire.values(headers, "Content-Type") == [PAGE_TYPE]
    assert wire.values(headers, "Retry-After") == ["7"]
    assert wire.values(headers, "Cache-Control") == ["no-store"]
    assert len(wire.values(headers, "Proxy-Status")) == 1
    assert page.closes
    (policy,) = wire.values(headers, "Content-Security-Policy")
    style = re.search(r"<style>(.*)</style>", page.body.decode(), re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize(
    ("link", "is_followed"),
    [
        ("/users/1", True),
        ("https://api.example.com/users/1", True),
        ("HTTP://api.example.com/users/1", True),
        ("users/1", True),
        ("?id=a:b", True),
        ("/users/a:b", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        ("java\tscript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("\x01javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("urn:uuid:1", False),
        ("\\\\evil.example", False),
        ("", False),
    ],
)
def test_only_the_address_of_a_page_becomes_a_link(link: str, is_followed: bool) -> None:
    assert is_page_address(link) is is_followed
    assert page_of(told("x", link)).links == ([link] if is_followed else [])


@pytest.mark.parametrize("cors", [None, Cors(["https://a.example"], [])])
def test_a_problem_says_by_what_it_varies(cors: Cors | None) -> None:
    made = problem("no-route", "None.")
    _, fields = negotiate(made, Headers(b""), cors)
    assert fields == (b"Vary: Accept\r\n" if cors is None else b"Vary: Accept, Origin\r\n")
    bare = made.in_form(204, "text/plain", b"", document=made.document)
    assert negotiate(bare, Headers(b"Accept: text/html\r\n"), cors)[0] is bare, "what has no body has no other one"
    assert b"Accept" not in negotiate(bare, Headers(b""), cors)[1]
    fixed = made.in_form(409, "text/plain", b"x")
    assert negotiate(fixed, Headers(b"Accept: text/html\r\n"), cors)[0] is fixed
    assert b"Accept" not in negotiate(fixed, Headers(b""), cors)[1]
