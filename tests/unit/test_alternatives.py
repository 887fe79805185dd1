# The grammar of "body.email | body.contact.email", and what the file may not say with it.

import pytest

from gateway.config.schema_rule import ScopeConfig, UniqueConfig
from gateway.guard.field import Source, parse_alternatives, parse_field
from gateway.guard.question import foreign, lines_along, missing, parse_question, place
from tests.support.unit import rule


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("body.a", ["body.a"]),
        ("body.a | body.b", ["body.a", "body.b"]),
        ("body.a|query.b  |  host", ["body.a", "query.b", "host"]),
        ("body.\"a|b\" | query.'c | d'", ['body."a|b"', "query.'c | d'"]),
        ('body."a\\"|b" | query.x', ['body."a\\"|b"', "query.x"]),
    ],
)
def test_alternatives_stand_between_bars(text: str, parts: list[str]) -> None:
    field = parse_alternatives(text)
    assert field.text == text
    assert [each.text for each in field.each] == parts
    assert (field.source, field.keys) == (field.each[0].source, field.each[0].keys)
    assert [each.alternatives for each in field.each] == [()] * len(parts)


@pytest.mark.parametrize("text", ["body.a |", "| body.a", "body.a || body.b", "|", " | "])
def test_none_may_be_left_out(text: str) -> None:
    with pytest.raises(ValueError, match=r'lacks a field beside "\|"; write "body\.email \| body\.contact\.email"'):
        parse_alternatives(text)


@pytest.mark.parametrize("text", ["", "body.a | email", "body.a | body.b.", "body.'a | body.b"])
def test_each_is_a_field(text: str) -> None:
    with pytest.raises(ValueError, match=r"no known source|cannot be read"):
        parse_alternatives(text)


def test_a_field_alone_has_no_bar() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        parse_field("body.a | body.b")


def test_a_rule_knows_the_headers_and_the_body_of_all() -> None:
    unique = (
        UniqueConfig(
            name="it",
            fields=("query.a | header.X-A | body.a", "host | body.b.c"),
        ),
    )
    compiled = rule(unique=unique, scope=(ScopeConfig(field="query.s | header.X-S"),))
    assert compiled.headers == {b"x-a", b"host", b"x-s"}
    assert compiled.body is not None
    assert compiled.body.paths == (("a",), ("b", "c"))


def test_a_question_names_all_alternatives_or_is_about_something_else() -> None:
    either, one = parse_alternatives("body.a | header.X-A"), parse_field("body.a")
    question = parse_question("/users?a={body.a|header.x-a}")
    assert question.fields[0].each[1].source is Source.HEADER
    assert (missing(question, (), [either]), foreign(question, (), [either])) == ([], [])
    assert missing(question, (), [one]) == [one]
    assert place(either) != place(one)


def test_a_scope_with_alternatives_is_not_sent_along() -> None:
    """The question has no place for it where it stood: it must be named."""
    scope = parse_alternatives("header.X-A | header.X-B")
    assert missing(parse_question("/users?a={body.a}"), [scope], [parse_field("body.a")]) == [scope]
    assert lines_along([scope], {place(scope): "x"}) == (b"", frozenset())
