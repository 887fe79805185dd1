# Variables that are a part of a segment: "/instances/{id}:undelete", "/Customers({key})/Orders".

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.rules import Match
from gateway.guard.template import Partial, parse_template
from tests.support.unit import ask, compiled, met, rule_config


@pytest.mark.parametrize(
    ("path", "target", "values"),
    [
        ("/v1/instances/{id}:undelete", "/v1/instances/a:undelete", {"id": "a"}),
        ("/v1/instances/{id}:undelete", "/V1/Instances/A%20b:UnDelete/", {"id": "A b"}),
        ("/v1/instances/{id}:undelete", "/v1/instances/a:undelete:undelete", {"id": "a:undelete"}),
        ("/odata/Customers({key})/Orders", "/odata/customers('ALFKI')/orders", {"key": "'ALFKI'"}),
        ("/odata/Customers({key})/Orders", "/odata/Customers%28%27A%27%29/Orders", {"key": "'A'"}),
        ("/orders/{id}.json", "/orders/7.JSON", {"id": "7"}),
        ("/orders/{id}.json", "/orders/7.5.json", {"id": "7.5"}),
        ("/v{version}/users", "/v2/users", {"version": "2"}),
        ("/straße-{number}", "/STRASSE-7", {"number": "7"}),
        ("/{a}-x/{b}", "/1-x/2", {"a": "1", "b": "2"}),
        ("/{a}-x/{rest*}", "/1-x/2/3", {"a": "1", "rest": "2/3"}),
    ],
)
def test_a_variable_is_what_the_literal_text_leaves(path: str, target: str, values: dict[str, str]) -> None:
    found = ask(compiled(rule_config(path)), target)
    assert isinstance(found, Match)
    assert found.variables == values


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v1/instances/{id}:undelete", "/v1/instances/:undelete"),
        ("/v1/instances/{id}:undelete", "/v1/instances/a:delete"),
        ("/v1/instances/{id}:undelete", "/v1/instances/a"),
        ("/Customers({key})", "/Customers()"),
        ("/Customers({key})", "/Customers"),
        ("/aa{x}aa", "/aaa"),
        ("/v{version}/users", "/v/users"),
    ],
)
def test_it_takes_nothing_else_and_no_empty_value(path: str, target: str) -> None:
    assert ask(compiled(rule_config(path)), target) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/{a}-{b}", 'has several variables in "{a}-{b}", which can be parted in several ways'),
        ("/x{a*}", 'has a brace in "x{a*}"; a variable is a name in braces, as in "/users/{id}" and'),
        ("/{a}}", 'has a brace in "{a}}"'),
        ("/{a}:x/{a}", "has two variables of one name"),
        ("/{id:int}", 'write "{id}"'),
    ],
)
def test_what_is_no_template_is_refused_with_what_would_be_right(path: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared below
        parse_template(path)
    assert says in str(raised.value)


def test_the_first_rule_in_the_file_wins() -> None:
    whole, part = rule_config("/x/{id}", name="whole"), rule_config("/x/{id}:undo", name="part")
    literal = rule_config("/x/a:undo", name="literal")
    targets = ("/x/a", "/x/b:undo", "/x/a:undo")
    assert [met(ask(compiled(literal, part, whole), target)) for target in targets] == ["whole", "part", "literal"]
    assert [met(ask(compiled(whole, part, literal), target)) for target in targets] == ["whole"] * 3


def test_a_suffix_behind_literal_text_is_ambiguous_and_a_part_of_a_variable() -> None:
    undelete = rule_config("/x/{id}:undelete")
    assert met(ask(compiled(undelete), "/x/a:undelete.json")) == "!ambiguous-path"
    assert met(ask(compiled(undelete), "/x/a.b:undelete.json.bak")) == "!ambiguous-path"
    found = ask(compiled(rule_config("/v{version}")), "/v2.json")
    assert isinstance(found, Match)
    assert found.variables == {"version": "2.json"}


@given(st.text("aß:(İﬀ\u0345", max_size=4), st.text("aß:)İﬀ\u0345", max_size=4), st.text("aß:()İ", max_size=5))
def test_what_is_put_between_the_texts_is_found_there(prefix: str, suffix: str, value: str) -> None:
    part = Partial(prefix.casefold(), suffix.casefold())
    assert part.value(f"{prefix}{value}{suffix}") == (value or None)
