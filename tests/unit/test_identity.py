# From a request to its claims: every source of a field, and every way in which one cannot be read.

import gzip
import json
from typing import Any

import pytest
from hypothesis import given

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import BodyTooLarge, CodingNotAccepted, IdentityError
from gateway.guard.claims import claims
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView, identify
from gateway.model import Claim, Json
from tests.support.unit import ANY_TYPE, request, rule, untyped, values

MAKER = Fingerprinter(b"correct horse battery staple, and more")
JSON = ("Content-Type", "application/json")
CANARY = "canary-7b1f"


def value(field: str, asked: RequestView, *normalize: str, **changes: Any) -> Json:
    """What one field of a request is."""
    unique = (UniqueConfig(name="it", fields=(field,), normalize=normalize, **changes),)
    path = "/t/{tenant}/users" if field.startswith("path.") else "/users"
    _, (identity,) = identify(rule(path=path, unique=unique), asked)
    (found,) = identity.values
    return found


def unreadable(field: str, asked: RequestView, *normalize: str, **changes: Any) -> str:
    """Why one field of a request cannot be read."""
    with pytest.raises(IdentityError) as raised:
        value(field, asked, *normalize, **changes)
    assert CANARY not in str(raised.value), "a value is shown"
    return str(raised.value)


class TestBody:
    def test_a_value_is_read_from_json(self) -> None:
        assert value("body.user.ids[1]", request('{"user": {"ids": [1, 2]}}', JSON)) == 2

    def test_a_body_without_a_content_type_is_read_only_where_the_rule_says_so(self) -> None:
        asked = untyped('{"email": "a"}')
        assert unreadable("body.email", asked) == "the request has no Content-Type that says its body is JSON"
        assert identify(rule(json_types=("",)), asked)[1][0].values == ("a",)

    def test_null_is_a_value_and_an_absent_field_is_none(self) -> None:
        assert value("body.email", request('{"email": null}')) is None
        assert unreadable("body.email", request(f'{{"x": "{CANARY}"}}')) == "body.email is absent"

    @pytest.mark.parametrize(
        "body",
        [
            '{"email":"a","email":"a"}',
            '{"email":"a","\\u0065mail":"b"}',
            '{"\\u0065mail":"a","e\\u006dail":"b"}',
            '{"email":"a","x":{},"email":{}}',
        ],
    )
    def test_a_key_twice_is_unreadable_however_it_is_spelt(self, body: str) -> None:
        assert unreadable("body.email", request(body)) == "body.email stands there more than once"

    @pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding"])
    @pytest.mark.parametrize("second", ["application/json", "identity", ""])
    def test_a_body_that_two_headers_describe_is_unreadable(self, name: str, second: str) -> None:
        first = "application/json" if name == "Content-Type" else "identity"
        text = unreadable("body.email", request('{"email": "a"}', (name, first), (name.lower(), second)))
        assert text == f"the {name} header stands there more than once"

    def test_a_body_that_no_field_reads_may_be_anything(self) -> None:
        asked = request(b"\xff{", ("Content-Type", "image/png"), ("Content-Type", "x"), ("X-Ref", "1"))
        assert value("header.X-Ref", asked) == "1"

    def test_the_rules_limit_bounds_what_is_inflated(self) -> None:
        asked = request(gzip.compress(b'{"email": "a"}'), ("Content-Encoding", "gzip"))
        assert identify(rule(body_limit=14, content_encodings=("gzip",)), asked)[1][0].values == ("a",)
        with pytest.raises(BodyTooLarge):
            identify(rule(body_limit=13, content_encodings=("gzip",)), asked)

    @pytest.mark.parametrize(
        ("accepted", "coding"),
        [((), "gzip"), ((), "br"), (("gzip",), "x-gzip"), (("deflate", "x-gzip"), "gzip, deflate"), (("gzip",), "a")],
    )
    def test_a_coding_that_the_rule_does_not_name_is_not_undone(self, accepted: tuple[str, ...], coding: str) -> None:
        with pytest.raises(CodingNotAccepted) as raised:
            identify(rule(content_encodings=accepted), request(b"\x1f\x8b", ("Content-Encoding", coding)))
        assert raised.value.accepted == accepted


class TestHeader:
    @pytest.mark.parametrize("name", ["X-Ref", "x-ref", "X-REF"])
    def test_a_header_is_found_whatever_its_case(self, name: str) -> None:
        assert value("header.X-Ref", request("", (name, "é, b"))) == "é, b"

    def test_an_empty_header_is_a_value(self) -> None:
        assert value("header.X-Ref", request("", ("X-Ref", ""))) == ""

    def test_an_absent_header_is_unreadable(self) -> None:
        assert unreadable("header.X-Ref", request("", ("X-Ref2", CANARY))) == "header.X-Ref is absent"

    @pytest.mark.parametrize("second", [CANARY, ""])
    def test_a_repeated_header_is_unreadable(self, second: str) -> None:
        asked = request("", ("X-Ref", CANARY), ("x-ref", second))
        assert unreadable("header.X-Ref", asked) == "header.X-Ref stands there more than once"

    def test_bytes_that_are_not_utf8_are_unreadable(self) -> None:
        asked = request("", ("X-Ref", CANARY.encode() + b"\xe9"))
        assert unreadable("header.X-Ref", asked) == "header.X-Ref is not valid UTF-8"


class TestQuery:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("ref=a", "a"),
            ("x=1&ref=a&y", "a"),
            ("ref=", ""),
            ("ref", ""),
            ("ref=a=b", "a=b"),
            ("ref=a+b%20c%2Bd", "a b c+d"),
            ("%72e%66=a", "a"),
            ("ref=%C3%A9", "é"),
            ("ref=é", "é"),
            ("ref=100%25", "100%"),
            ("ref=a&&", "a"),
        ],
    )
    def test_a_parameter_is_decoded_as_forms_are(self, query: str, found: str) -> None:
        assert value("query.ref", request(query=query)) == found

    @pytest.mark.parametrize("query", ["", "x=ref", f"reff={CANARY}", "&", "=ref"])
    def test_an_absent_parameter_is_unreadable(self, query: str) -> None:
        assert unreadable("query.ref", request(query=query)) == "query.ref is absent"

    def test_no_query_has_no_parameter_of_any_name(self) -> None:
        assert unreadable('query.""', request(query="")) == 'query."" is absent'
        assert value('query.""', request(query="=a")) == "a"

    @pytest.mark.parametrize("query", [f"ref={CANARY}&ref={CANARY}", "ref&ref", f"ref={CANARY}&x&r%65f=", "ref=1&ref="])
    def test_a_repeated_parameter_is_unreadable(self, query: str) -> None:
        assert unreadable("query.ref", request(query=query)) == "query.ref stands there more than once"

    @pytest.mark.parametrize(
        "query",
        [
            *("ref=1&+ref=2", "ref=1&%20ref=2", "ref=1&ref%00z=2", "ref[]=2", "ref=1&ref[a]=2", "ref=1&ref]=2"),
            *(
                "ref=1&ref%5B%5D=2",
                "Ref=1",
                "x;ref=2&ref=1",
                "ref=1&x=1;ref=2",
                "ref=1;x",
                "ref=1&ref;x",
                "ref=a%00b",
                "ref=a%0ab",
            ),
            *(
                "ref=100%",
                "ref=%4",
                "ref=a%zz%20b",
                "ref=%u0061",
                "ref=[]=1",
                "ref=%5d=1",
                "ref=1&[ref]=2",
                "ref=1&ref.x=2",
            ),
        ],
    )
    def test_a_parameter_that_servers_read_differently_is_unreadable(self, query: str) -> None:
        assert unreadable("query.ref", request(query=query)).startswith("query.ref ")

    def test_names_are_compared_as_php_reads_them(self) -> None:
        for query in ("order.ref=2", "order%20ref=2", "order_ref=1&order.ref=2", "order_ref[]=1"):
            assert unreadable("query.order_ref", request(query=query)) == (
                "query.order_ref stands there under a name that some servers take for the same"
            )
        for query in ("order_ref=1&_order_ref=2&orderref=3&x=a;b", "order_ref=1&x%5Border_ref%5D=2"):
            assert value("query.order_ref", request(query=query)) == "1"

    @pytest.mark.parametrize("query", [f"ref={CANARY}%ff", "ref=%C3", "ref=%ED%A0%80", "%ffref=1", "ref=\udcff"])
    def test_bytes_that_are_not_utf8_are_unreadable(self, query: str) -> None:
        assert unreadable("query.ref", request(query=query)) == "query.ref is not valid UTF-8"


class TestPath:
    def test_a_variable_is_the_segment_as_the_rule_found_it(self) -> None:
        assert value("path.tenant", request(tenant="a b")) == "a b"


class TestCookie:
    @pytest.mark.parametrize(
        ("lines", "found"),
        [
            (["session=a"], "a"),
            (["x=1; session=a; y=2"], "a"),
            (["x=1;session=a"], "a"),
            (["x=1", "session=a"], "a"),
            (["session=a=b"], "a=b"),
            (["session="], ""),
            ([" session = a "], "a"),
            (["sessionx=1; session=a"], "a"),
        ],
    )
    def test_a_cookie_is_found(self, lines: list[str], found: str) -> None:
        assert value("cookie.session", request("", *[("Cookie", line) for line in lines])) == found

    @pytest.mark.parametrize("line", ["Session=a", "session=a; SESSION=b", "SESSION=b; session=a"])
    def test_a_cookie_in_another_case_is_unreadable(self, line: str) -> None:
        text = "cookie.session stands there under a name that some servers take for the same"
        assert unreadable("cookie.session", request("", ("Cookie", line))) == text

    @pytest.mark.parametrize("cookie", ['"a"', "a%20b", "a\\b", 'a"', "j:1"])
    def test_a_cookie_that_servers_decode_differently_is_unreadable(self, cookie: str) -> None:
        text = 'cookie.session has a quote, a percent sign, a backslash or "j:", which servers read differently'
        assert unreadable("cookie.session", request("", ("Cookie", f"session={cookie}"))) == text

    @pytest.mark.parametrize("line", ["", "session", f"x={CANARY}"])
    def test_an_absent_cookie_is_unreadable(self, line: str) -> None:
        assert unreadable("cookie.session", request("", ("Cookie", line))) == "cookie.session is absent"

    @pytest.mark.parametrize("lines", [[f"session={CANARY}; session=2"], ["session=1", f"session={CANARY}"]])
    def test_a_repeated_cookie_is_unreadable(self, lines: list[str]) -> None:
        asked = request("", *[("cookie", line) for line in lines])
        assert unreadable("cookie.session", asked) == "cookie.session stands there more than once"

    def test_bytes_that_are_not_utf8_are_unreadable(self) -> None:
        asked = request("", ("Cookie", b"session=\xe9"))
        assert unreadable("cookie.session", asked) == "cookie.session is not valid UTF-8"


ANY = UniqueConfig(name="email", fields=("body.email",), types=ANY_TYPE)
BOTH = (ANY, UniqueConfig(name="name", fields=("body.first", "body.last")))
ADA: dict[str, Json] = {"email": "ada", "first": "Ada", "last": "Lovelace"}


class TestClaims:
    def made(self, body: Json, tenant: str = "acme", **changes: object) -> tuple[Claim, ...]:
        compiled = rule(**{"scope": ("header.X-Tenant",), "unique": BOTH, **changes})
        return claims(compiled, request(json.dumps(body), ("X-Tenant", tenant)), MAKER)

    def test_there_is_one_for_each_entry_in_order(self) -> None:
        found = self.made(ADA, keep=3600, unknown_hold=60)
        assert [(claim.rule, claim.entry, claim.unknown_hold) for claim in found] == [
            ("create-user", "email", 60_000),
            ("create-user", "name", 60_000),
        ]
        assert found[0].fingerprint == MAKER.fingerprint("create-user", "email", ("acme",), ("ada",))
        assert found[1].fingerprint == MAKER.fingerprint("create-user", "name", ("acme",), ("Ada", "Lovelace"))

    def test_other_values_change_only_the_entries_that_read_them(self) -> None:
        (email, name), (other_email, other_name) = self.made(ADA), self.made({**ADA, "last": "Byron"})
        assert email == other_email
        assert name != other_name

    def test_another_scope_changes_every_claim(self) -> None:
        here, there = self.made(ADA), self.made(ADA, tenant="umbrella")
        assert not {claim.fingerprint for claim in here} & {claim.fingerprint for claim in there}

    def test_rules_of_one_namespace_make_the_same_fingerprint(self) -> None:
        one, other, apart = (
            self.made(ADA, name=name, namespace=namespace)[0]
            for name, namespace in (("by-post", "user"), ("by-put", "user"), ("by-patch", None))
        )
        assert one.fingerprint == other.fingerprint != apart.fingerprint
        assert (one.rule, other.rule) == ("by-post", "by-put")

    def test_without_a_namespace_the_rules_name_is_it(self) -> None:
        assert self.made(ADA, name="x")[0].fingerprint == self.made(ADA, namespace="x")[0].fingerprint

    def test_one_missing_field_is_enough_to_make_none(self) -> None:
        with pytest.raises(IdentityError, match=r"^body\.last is absent$"):
            self.made({"email": "ada", "first": "Ada"})

    @pytest.mark.parametrize("one", [None, "", 0, "0", False, [], {}])
    @pytest.mark.parametrize("other", [None, "", 0, "0", False, [], {}])
    def test_null_nothing_zero_and_false_are_different_identities(self, one: Json, other: Json) -> None:
        (first, *_), (second, *_) = (self.made({**ADA, "email": email}) for email in (one, other))
        assert (first.fingerprint == second.fingerprint) is (repr(one) == repr(other))


@given(values)
def test_no_claim_holds_a_value(email: Json) -> None:
    (claim,) = claims(rule(unique=(ANY,)), request(json.dumps({"email": [CANARY, email]})), MAKER)
    assert CANARY not in repr(claim)
    assert CANARY.encode() not in claim.fingerprint
