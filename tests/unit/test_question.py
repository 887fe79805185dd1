# The question about a create: what it must name, and that no value leaves its place in it.

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_rule import UniqueConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.guard.claims import claims
from gateway.guard.field import parse_field
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import sent_values
from gateway.guard.question import fill, foreign, is_about, lines_along, missing, parse_question, place
from gateway.model import Json
from tests.support.unit import request, rule

IN_QUERY, IN_PATH = parse_question("/users?email={body.email}&kind=a"), parse_question("/users/{body.email}/all")
FINGERPRINTER = Fingerprinter(b"a key that is long enough for a test")
EMAIL = place(parse_field("body.email"))
HARMLESS = ["ada", "ada@example.org", "a b", 'O\'Neil "x"', "a&b=c", "a+b", "é☃", "-._~", "...", "a..b"]
BREAKING = ["a/b", "../..", "a%2Fb", "a\\b", "a;b", "a?b", "a#b", "a\r\nX: y", "a\0b", "a\x7fb"]
"""What would be another path where a server decodes it before it splits the path."""


@pytest.mark.parametrize("value", HARMLESS + BREAKING)
def test_in_a_query_every_value_stays_one_value(value: str) -> None:
    target = fill(IN_QUERY, {EMAIL: value})
    assert target is not None
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    split = urlsplit(target)
    assert split.path == "/users"
    assert parse_qsl(split.query, strict_parsing=True, keep_blank_values=True) == [("email", value), ("kind", "a")]


@pytest.mark.parametrize("value", HARMLESS)
def test_in_a_path_a_value_stays_one_segment(value: str) -> None:
    target = fill(IN_PATH, {EMAIL: value})
    assert target is not None
    assert [unquote(segment) for segment in target.split("/")] == ["", "users", value, "all"]


@pytest.mark.parametrize("value", [*BREAKING, ".", "..", "", " "])
def test_what_could_be_another_path_is_not_asked(value: str) -> None:
    assert fill(IN_PATH, {EMAIL: value}) is None
    assert fill(parse_question("/users/{body.email}"), {EMAIL: value}) is None


@pytest.mark.parametrize("value", ["", " ", "\t", None, [], ["a"], {}, 1.5, "x" * 9000])
def test_what_is_no_text_is_not_asked(value: Json) -> None:
    """An empty condition finds everything, or nothing."""
    assert fill(IN_QUERY, {EMAIL: value}) is None
    assert fill(IN_QUERY, {}) is None


@pytest.mark.parametrize(
    ("value", "written"), [(7, "7"), (-1, "-1"), (1.0, "1"), (True, "true"), (False, "false"), ("1.0", "1.0")]
)
def test_numbers_and_booleans_are_written_as_json_does(value: Json, written: str) -> None:
    assert fill(IN_QUERY, {EMAIL: value}) == f"/users?email={written}&kind=a"


@given(st.text(min_size=1, max_size=20))
def test_whatever_the_value_the_rest_of_the_question_is_as_written(value: str) -> None:
    for question, before, after in ((IN_QUERY, "/users?email=", "&kind=a"), (IN_PATH, "/users/", "/all")):
        try:
            target = fill(question, {EMAIL: value})
        except UnicodeEncodeError:
            continue  # a lone surrogate, which no identity holds
        if target is not None:
            middle = target.removeprefix(before).removesuffix(after)
            assert target == before + middle + after
            assert not set(middle) & set("/?&=#;+ \r\n\\\"'")
            assert unquote(middle) == value


def test_it_is_about_one_entry_when_it_names_all_of_its_fields_and_no_others() -> None:
    question = parse_question("/t/{path.tenant}/users?email={body.email}")
    scope, email, name = (
        [parse_field(text) for text in texts]
        for texts in (["path.tenant", "header.X-Region"], ["body.email"], ["body.name"])
    )
    assert is_about(question, scope, email)
    assert not is_about(question, scope, name)
    assert [field.text for field in foreign(question, scope, name)] == ["body.email"]
    assert [field.text for field in missing(question, scope, [*email, *name])] == ["body.name"]
    assert [field.text for field in missing(question, [*scope, parse_field("query.kind")], email)] == ["query.kind"]
    assert is_about(parse_question('/u/{body."email"}'), [], email), "the same place, written otherwise"
    by_header = [parse_field("header.X-Ref")]
    assert is_about(parse_question("/u/{header.x-ref}"), [], by_header)
    assert not is_about(question, scope, [*email, *by_header]), "only headers of the scope go along"


def test_headers_of_the_scope_go_along_as_they_were_sent() -> None:
    scope = [parse_field(text) for text in ("header.X-Region", "host", "path.tenant")]
    values = {place(scope[0]): "Ü", place(scope[1]): "a.example", place(scope[2]): "t"}
    assert lines_along(scope, values) == ("X-Region: Ü\r\n".encode(), frozenset({b"x-region"}))


def test_values_are_those_that_were_sent_and_their_spelling_tells_creates_apart() -> None:
    """Two spellings of one identity have one fingerprint; only a rule that verifies keeps a hash that differs."""
    unique = (UniqueConfig(name="email", fields=("body.email",), normalize=("trim", "casefold")),)
    plain, asks = (rule(unique=unique, verify=verify) for verify in (None, VerifyConfig(path="/u?e={body.email}")))
    one, other = request('{"email": "Ada@Example.org"}'), request('{"email": "ada@example.org"}')
    assert sent_values(asks, one) == {EMAIL: "Ada@Example.org"}
    assert [claim.payload for claim in claims(plain, one, FINGERPRINTER)] == [None]
    ((claim,), (like,), (unlike,)) = (claims(asks, each, FINGERPRINTER) for each in (one, one, other))
    assert claim == like
    assert claim.fingerprint == unlike.fingerprint
    assert claim.payload is not None
    assert claim.payload != unlike.payload
    windowed = rule(unique=unique, verify=VerifyConfig(path="/u?e={body.email}"), retry_window=600.0)
    assert [claim.payload for claim in claims(windowed, one, FINGERPRINTER)] == [None], "there it tells retries"
