# The claims of a bearer token: read strictly, never verified, never shown.

import pytest

from gateway.errors import IdentityError
from gateway.guard.field import parse_field
from gateway.guard.token import is_unproven
from tests.support.token import bearer, part, token
from tests.support.unit import request
from tests.unit.test_identity import CANARY, unreadable, value

NO_TOKEN = "jwt.sub cannot be read, because Authorization holds no bearer token of three parts"
NO_CLAIMS = "jwt.sub cannot be read, because the bearer token holds no JSON object of claims"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER ", "Bearer  "])
def test_a_claim_is_read_whatever_the_case_of_the_scheme(scheme: str) -> None:
    assert value("jwt.sub", request("", bearer({"sub": "ada"}, scheme=scheme))) == "ada"


def test_claims_may_be_nested_and_have_types_as_in_a_body() -> None:
    asked = request("", bearer({"realm": {"ids": [1, 7]}, "admin": True, "at": 1.5}))
    assert value("jwt.realm.ids[1]", asked) == 7
    assert value("jwt.admin", asked) is True
    assert unreadable("jwt.at", asked).startswith("jwt.at is a number with a fraction")
    assert unreadable("jwt.sub", request("", bearer({"sub": CANARY})), types=("integer",)).startswith("jwt.sub is")


@pytest.mark.parametrize(
    "line",
    [
        *("", "Bearer", "Bearer ", "Bearer a.b", f"Basic {CANARY}", f"Bearer {CANARY}", f"Bearer a.{CANARY}.c.d.e"),
        *(f"Bearer\t{token({'sub': 'a'})}", token({"sub": "a"}), f"Bearer {token({'sub': 'a'})}, x"),
        *(f"Bearer {part(b'{}')}.{part(b'{}')}.", f"Bearer .{part(b'{}')}.x", "Bearer aa.aaaaa.aa", "Bearer aa.aa=.aa"),
    ],
)
def test_anything_else_than_one_token_of_three_parts_is_unreadable(line: str) -> None:
    assert unreadable("jwt.sub", request("", ("Authorization", line))) == NO_TOKEN


@pytest.mark.parametrize(
    "payload",
    [b"{", b"[]", b"null", b'"x"', b'{"sub":"\xff"}', b'{"sub":NaN}', b'{"x":' + b"[" * 70 + b"]" * 70 + b"}"],
)
def test_a_payload_that_is_no_json_object_is_unreadable(payload: bytes) -> None:
    assert unreadable("jwt.sub", request("", bearer(payload))) == NO_CLAIMS


@pytest.mark.parametrize(
    "payload", [b'{"sub":"a","sub":"a"}', b'{"Sub":"a"}', b'{"sub":"a","SUB":"b"}', b'{"s\\u0075b":"a","sub":"a"}']
)
def test_a_claim_that_may_be_read_in_two_ways_is_unreadable(payload: bytes) -> None:
    assert unreadable("jwt.sub", request("", bearer(payload))).startswith("jwt.sub ")


def test_two_lines_are_unreadable_and_none_is_absent() -> None:
    two = request("", bearer({"sub": CANARY}), bearer({"sub": CANARY}))
    assert unreadable("jwt.sub", two).endswith("the Authorization header stands there more than once")
    for asked in (request(""), request("", bearer({"name": "a"}))):
        with pytest.raises(IdentityError, match=r"^jwt\.sub is absent$") as raised:
            value("jwt.sub", asked)
        assert raised.value.is_absent


@pytest.mark.parametrize(
    ("caller", "unproven"),
    [
        (["header.Authorization"], False),
        (["jwt.sub"], True),
        (["jwt.sub", "cookie.session"], True),
        (["jwt.sub", "header.authorization"], False),
        (["client.ip"], True),
        (["client.ip", "cookie.session"], False),
        ([], False),
    ],
)
def test_a_caller_is_unproven_who_is_known_by_what_anybody_may_write(caller: list[str], unproven: bool) -> None:
    assert is_unproven([parse_field(text) for text in caller]) is unproven
