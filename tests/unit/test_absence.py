# What is certain not to be there, and what a tolerant server might still find.

import json

import pytest

from gateway.errors import IdentityError
from gateway.guard.absence import require_absent
from gateway.guard.field import parse_alternatives
from gateway.model import Json
from tests.support.unit import headers


def is_absent(text: str, document: Json = None, *cookies: str, query: str = "") -> bool:
    field, *others = parse_alternatives(text).each
    try:
        require_absent(field, others, headers(*[("Cookie", line) for line in cookies]), query, document)
    except IdentityError as error:
        return error.is_absent
    return True


@pytest.mark.parametrize("text", ["{}", "null", "[]", "7", '"a"', '{"a":null}', '{"a":{}}', '{"a":[]}', '{"a":7}'])
def test_nothing_is_below_what_is_empty_or_has_no_parts(text: str) -> None:
    assert is_absent("body.a.b", json.loads(text))


@pytest.mark.parametrize("text", ['[{"a":{"b":1}}]', '{"a":[{"b":1}]}', "[1]"])
def test_some_servers_unwrap_lists(text: str) -> None:
    assert not is_absent("body.a.b", json.loads(text))


def test_some_servers_take_keys_for_indices() -> None:
    assert not is_absent("body.a[0]", {"a": {"0": "x"}})
    assert is_absent("body.a[0]", {"a": []})
    assert is_absent("body.a[1]", {"a": ["x"]})


@pytest.mark.parametrize(
    "query", ["ref=1", "x&REF", "ref[]=1", "r%65f[a]=1", "ref.a=1", "x=1;ref=2", "+ref=1", "[ref]=1", "x&ref%5Ba%5D=1"]
)
def test_some_servers_look_into_the_query_for_what_a_body_lacks(query: str) -> None:
    assert not is_absent("body.ref", {}, query=query)
    assert not is_absent("body.ref.a | query.other", {}, query=query)
    assert is_absent("body.ref | query.ref", {}, query=query), "that is read next, as strictly"
    assert is_absent("body.a.ref", {}, query=query)


@pytest.mark.parametrize("line", ["Ref=1", "x=1, ref_b.c=2", "r%65f=1", '"ref"=1', "x=1,ref=2", "x=1 ref=2"])
def test_a_cookie_under_another_name_or_behind_another_sign_is_not_absent(line: str) -> None:
    field = "cookie.ref_b_c" if "_b" in line else "cookie.ref"
    assert not is_absent(field, None, "x=1", line)


def test_other_cookies_are_no_matter() -> None:
    assert is_absent("cookie.ref", None, "refs=1; x=ref", "y")


@pytest.mark.parametrize("field", ["header.X", "query.x", "path.x", "host"])
def test_any_other_source_is_read_strictly_already(field: str) -> None:
    assert is_absent(field)
