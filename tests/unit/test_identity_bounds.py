# How large a value may be to be an identity: just what is accepted, and a little more.

import json

import pytest

from gateway.config.schema_key import KeyConfig
from gateway.errors import IdentityError
from gateway.guard.claims import claims
from gateway.guard.identity import RequestView, identify
from gateway.guard.value import MAX_VALUE
from gateway.model import Json
from tests.support.unit import ANY_TYPE, request, rule
from tests.unit.test_identity import CANARY, MAKER, unreadable, value


class TestBounds:
    """A value of an identity has at most 1 KiB, before any normaliser sees it."""

    @pytest.mark.parametrize("unit", ["a", "é", "€", "😀"])
    def test_a_string_has_at_most_1_kib_in_utf_8(self, unit: str) -> None:
        size = len(unit.encode())
        text = unit * (MAX_VALUE // size) + "a" * (MAX_VALUE % size)
        assert value("body.email", request(json.dumps({"email": text}))) == text
        assert unreadable("body.email", request(json.dumps({"email": text + "a"}))) == (
            "body.email is longer than 1024 bytes"
        )
        assert "1024 bytes" in unreadable("body.email", request(json.dumps({"email": CANARY + text})))

    @pytest.mark.parametrize("field", ["header.X-Ref", "query.ref", "cookie.ref", "path.tenant"])
    def test_so_has_a_value_from_anywhere(self, field: str) -> None:
        def asked(text: str) -> RequestView:
            return request("", ("X-Ref", text), ("Cookie", f"ref={text}"), query=f"ref={text}", tenant=text)

        assert value(field, asked("a" * MAX_VALUE)) == "a" * MAX_VALUE
        assert unreadable(field, asked("a" * (MAX_VALUE + 1))) == f"{field} is longer than 1024 bytes"

    def test_white_space_that_would_be_trimmed_counts(self) -> None:
        asked = request(json.dumps({"email": " " * MAX_VALUE + "a"}))
        with pytest.raises(IdentityError, match=r"^body\.email is longer than 1024 bytes$"):
            value("body.email", asked, "trim")

    @pytest.mark.parametrize(
        ("just", "more"),
        [
            (["a" * 1015], ["a" * 1016]),
            ({"k": "a" * 1011}, {"k": "a" * 1012}),
            ([0] * 339, [0] * 340),
            (10**1021, 10**1022),
        ],
        ids=["list", "object", "many elements", "number"],
    )
    def test_anything_else_has_at_most_1_kib_as_it_is_hashed(self, just: Json, more: Json) -> None:
        assert value("body.email", request(json.dumps({"email": just})), types=ANY_TYPE) == just
        reason = unreadable("body.email", request(json.dumps({"email": more})), types=ANY_TYPE)
        assert reason == "body.email is an array, an object or a number of more than 1024 bytes"

    @pytest.mark.parametrize("text", ['"' + "a" * 20_000 + '"', "[" + "0," * 10_000 + "0]", "9" * 20_000])
    def test_a_value_that_is_larger_than_what_is_read_of_a_large_body_is_refused_alike(self, text: str) -> None:
        assert unreadable("body.email", request(f'{{"email":{text}}}')) == "body.email is longer than 1024 bytes"

    def test_a_scope_is_bounded_too(self) -> None:
        scoped = rule(scope=("header.X-Tenant",))
        assert identify(scoped, request('{"email":"a"}', ("X-Tenant", "a" * MAX_VALUE)))
        with pytest.raises(IdentityError, match=r"^header\.X-Tenant is longer than 1024 bytes$"):
            identify(scoped, request('{"email":"a"}', ("X-Tenant", "a" * (MAX_VALUE + 1))))

    @pytest.mark.parametrize(
        ("field", "line"), [("header.Authorization", "Authorization"), ("cookie.session", "Cookie")]
    )
    def test_a_caller_is_hashed_as_it_is_and_may_be_long(self, field: str, line: str) -> None:
        known = rule(caller=(field,), key=KeyConfig())
        token = "session=" + "a" * 7000
        (claim, _) = claims(known, request('{"email":"a"}', (line, token), ("Idempotency-Key", "k")), MAKER)
        assert claim.caller is not None

    @pytest.mark.parametrize("normaliser", ["nfc", "nfkc", "email"])
    def test_so_many_combining_marks_are_normalised_and_no_more(self, normaliser: str) -> None:
        marks = "\u0301" * 15 + "\u0323" * 15
        assert value("body.email", request(json.dumps({"email": f"a{marks}b{marks}"})), normaliser)
        for more in (f"a{marks}\u0301", f"\u00e1{marks}", f"a{marks[1:]}\u0344", "\u0301" * 31):
            asked = request(json.dumps({"email": more}))
            with pytest.raises(IdentityError, match=r"^body\.email has more than 30 combining marks in a row$"):
                value("body.email", asked, normaliser)
            assert value("body.email", asked, "trim", "casefold", "collapse_space", "digits") == ""
            assert value("body.email", asked) == more
