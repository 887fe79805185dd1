# Which values are taken, and what makes two of them equal.

import json
from typing import Any

import pytest

from gateway.config.schema_rule import ScopeConfig, UniqueConfig
from gateway.errors import IdentityError
from gateway.guard.identity import identify
from gateway.guard.large_body import LARGE
from tests.support.unit import ANY_TYPE, request, rule
from tests.unit.test_identity import unreadable, value


class TestTypes:
    @pytest.mark.parametrize(
        "text", ["7", "-7", "0", "-0", "null", "true", "false", '""', '"7"', "9007199254740991", "-9007199254740991"]
    )
    def test_strings_safe_integers_booleans_and_null_are_taken(self, text: str) -> None:
        assert value("body.email", request(f'{{"email": {text}}}')) == json.loads(text)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            *((text, "a number with a fraction or an exponent") for text in ("1.5", "1.0", "1e0", "-0.0", "1E2")),
            *((text, "an integer beyond 2^53 - 1") for text in ("9007199254740992", "-9007199254740992", "9" * 400)),
            *((text, "an array") for text in ("[]", '["a"]', "[[]]")),
            *((text, "an object") for text in ("{}", '{"a": 1}')),
        ],
    )
    def test_what_apis_round_or_flatten_is_taken_only_where_the_entry_says_so(self, text: str, found: str) -> None:
        asked = request(f'{{"email": {text}}}')
        taken = "string, integer, boolean, null"
        assert unreadable("body.email", asked) == f"body.email is {found}, and the rule takes only {taken} there"
        named = {"an array": "array", "an object": "object"}.get(found, "number")
        assert value("body.email", asked, types=(named,)) == json.loads(text)
        for other in sorted({*ANY_TYPE, "integer"} - {named}):
            assert unreadable("body.email", asked, types=(other,)).startswith("body.email is ")

    @pytest.mark.parametrize(
        ("text", "types"),
        [("7", ("string",)), ('"7"', ("integer", "null")), ("null", ("string",)), ("true", ("integer", "number"))],
    )
    def test_an_entry_may_take_less(self, text: str, types: tuple[str, ...]) -> None:
        assert "takes only" in unreadable("body.email", request(f'{{"email": {text}}}'), types=types)

    def test_the_types_are_those_of_a_body_and_everything_else_is_a_string(self) -> None:
        asked = request("{}", ("X-Ref", "7"), query="ref=7")
        for field in ("header.X-Ref", "query.ref"):
            assert value(field, asked, types=("integer",)) == "7"

    def test_a_body_field_of_a_scope_takes_the_same(self) -> None:
        scoped = rule(scope=("body.tenant",))
        assert identify(scoped, request('{"email": "a", "tenant": 7}'))[0] == (7,)
        for text in ("1.0", "[7]", "9007199254740992"):
            with pytest.raises(IdentityError, match=r"^body\.tenant is a"):
                identify(scoped, request(f'{{"email": "a", "tenant": {text}}}'))

    def test_a_large_body_is_no_way_around(self) -> None:
        text = json.dumps({"filler": "x" * LARGE, "email": [1]})
        assert unreadable("body.email", request(text)).startswith("body.email is an array")


class TestNormalisers:
    def test_they_are_applied_in_order(self) -> None:
        asked = request(json.dumps({"email": "  A \u00a0 B "}))
        assert value("body.email", asked, "trim", "collapse_space", "casefold") == "a b"
        assert value("body.email", asked, "collapse_space") == " A B "

    @pytest.mark.parametrize("text", ["7", "null", "true", "1.5", '[" A "]', '{"A": " A "}'])
    def test_what_is_no_string_is_left_alone(self, text: str) -> None:
        asked = request(f'{{"email": {text}}}')
        assert value("body.email", asked, "trim", "casefold", "digits", types=ANY_TYPE) == json.loads(text)

    def test_a_scope_is_normalised_only_where_it_says_so(self) -> None:
        folded = ScopeConfig(field="header.Authorization", normalize=("auth_scheme",))
        scoped = rule(scope=("header.X-Tenant", folded))
        for sent in ("Bearer Abc", "bearer   Abc", "BEARER Abc"):
            asked = request('{"email": "a"}', ("X-Tenant", "Acme"), ("Authorization", sent))
            assert identify(scoped, asked)[0] == ("Acme", "bearer Abc")
        assert scoped.headers == {b"x-tenant", b"authorization"}
        with pytest.raises(IdentityError, match=r"^header\.Authorization is no scheme"):
            identify(scoped, request('{"email": "a"}', ("X-Tenant", "Acme"), ("Authorization", "Bearer\tAbc")))


class TestEmpty:
    @pytest.mark.parametrize("text", ["null", '""', '"  "'])
    @pytest.mark.parametrize("changes", [{}, {"types": ("integer",)}, {"types": ("string",), "pattern": "[a-z]+"}])
    def test_what_is_empty_is_absent_where_the_entry_says_so(self, text: str, changes: dict[str, Any]) -> None:
        asked = request(f'{{"email": {text}}}')
        if text == '"  "' and "integer" in changes.get("types", ()):
            return  # a string, which is of another type
        assert unreadable("body.email", asked, "trim", empty="missing", **changes) == "body.email is empty"

    @pytest.mark.parametrize("text", ["0", "false", '"0"', '"null"', '" "'])
    def test_nothing_else_is(self, text: str) -> None:
        asked = request(f'{{"email": {text}}}')
        assert value("body.email", asked, empty="missing") == json.loads(text)

    def test_it_is_so_before_a_normaliser_that_takes_no_empty_text(self) -> None:
        assert unreadable("body.email", request('{"email": ""}'), "integer", empty="missing") == "body.email is empty"
        assert unreadable("body.email", request('{"email": null}'), "integer", empty="missing") == "body.email is empty"

    def test_it_changes_no_spelling(self) -> None:
        compiled = rule(unique=(UniqueConfig(name="it", fields=("body.email",), empty="missing", pattern="a"),))
        assert compiled.entries[0].form.keeps_spelling


def test_values_in_xml_may_be_spelt_with_white_space_around_them() -> None:
    """So a question about one create does not answer for an equal one, which an API may have under another spelling."""
    for field, keeps in (("body.a", True), ("xml.a", False), ("header.X-A | xml.a", False), ("form.a", True)):
        compiled = rule(unique=(UniqueConfig(name="it", fields=(field,)),), scope=(field,))
        assert (compiled.entries[0].keeps_spelling, compiled.scope[0].keeps_spelling) == (keeps, keeps)
