# Which values are identities, and which of them are equal: types, normalisers and patterns.

from typing import Any

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.upstream import RawUpstream

ANY_TYPE = ["string", "number", "boolean", "null", "array", "object"]
ANY = entry("body.email", types=ANY_TYPE)


async def test_null_empty_zero_and_false_are_identities_of_their_own_and_absent_is_none(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("user", "/users", entry("body.email", types=ANY_TYPE))])
    values: list[Any] = [None, "", 0, "0", False, "null", [], {}, [None], [[]], 2**53 + 1, 2**53 + 2, 0.5, "\u0000"]
    bodies = [{"email": value} for value in values]
    assert await verdicts(program, [("/users", body) for body in bodies]) == [201] * len(values)
    assert await verdicts(program, [("/users", body) for body in bodies]) == ["duplicate"] * len(values)
    for absent in ({}, {"Email": "x"}, [], None, 0, "email", [{"email": "x"}]):
        seen = await post(program, "/users", absent)
        assert (seen.status, seen.slug) == (422, "missing-identity"), absent
    assert len(upstream.requests) == len(values)


async def test_what_an_api_may_round_coerce_or_flatten_is_refused_unless_the_entry_takes_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Many take ["x"] for "x", 1.0 for 1, and round integers beyond 2^53: a create could be sent twice."""
    program = await gateway(rules=[rule("user", "/users", entry("body.email")), rule("any", "/any", ANY)])
    texts = [b"1.0", b"1e0", b"-0.0", b"0.5", b"9007199254740992", b"-9007199254740992", b'["x"]', b"[]", b"{}"]
    async with Client(program.port) as client:
        for text in texts:
            body = b'{"email":%b}' % text
            seen = await client.request("POST", "/users", [JSON], body)
            assert (seen.status, seen.slug) == (422, "missing-identity"), text
            assert "the rule takes only string, integer, boolean, null there" in seen.json()["detail"]
            assert (await client.request("POST", "/any", [JSON], body)).status == (409 if text == b"1e0" else 201)
        for text in (b'"x"', b"1", b"0", b"9007199254740991", b"-9007199254740991", b"true", b"null"):
            assert (await client.request("POST", "/users", [JSON], b'{"email":%b}' % text)).status == 201, text
    assert len(upstream.requests) == len(texts) - 1 + 7


async def test_numbers_are_equal_by_value_and_keys_in_any_order(upstream: RawUpstream, gateway: StartGateway) -> None:
    any_email = entry("body.email", normalize=["trim", "casefold"], types=ANY_TYPE)
    program = await gateway(rules=[rule("user", "/users", any_email)])
    texts = [b"1", b"1.0", b"1e0", b"10E-1", b'{"a":1,"b":[2]}', b' {"b" :[2.0], "a":1.0}', b'"A"', b'"\\u0061 "']
    async with Client(program.port) as client:
        for text, expected in zip(texts, [201, 409, 409, 409, 201, 409, 201, 409], strict=True):
            seen = await client.request("POST", "/users", [JSON], b'{"email":%b}' % text)
            assert seen.status == expected, text
    assert len(upstream.requests) == 3


NORMALISERS: list[tuple[list[str], list[Any], list[Any]]] = [
    ([], ["Ann"], ["ann", " Ann", "Ann "]),
    (["trim"], ["Ann", " Ann\t", "\u2003Ann\n", "\ufeffAnn\x00\x1f"], ["ann", "A nn", "An\x00n"]),
    (["casefold"], ["Straße", "STRASSE", "strasse"], [" Straße"]),
    (["casefold"], ["Lisa", "L\u0130SA"], ["L\u00edsa", "L\u0131SA"]),
    (["nfc"], ["\u00e9", "e\u0301"], ["e", "\u00c9"]),
    (["nfkc"], ["\uff21\ufb01", "Afi"], ["afi"]),
    (["digits"], ["+49 (30) 12-34", "49301234", "x4930.1234"], ["0049301234"]),
    (
        ["email"],
        ["Ann.Lee@Example.com", " ann.lee@EXAMPLE.COM ", "\ufeffann.lee@example.com\x00"],
        ["annlee@example.com", "ann.lee+x@example.com"],
    ),
    (["collapse_space"], ["Ann Lee", "Ann \t\n Lee"], ["AnnLee", " Ann Lee"]),
    (
        ["email"],
        ["ada@bücher.de", "ada@xn--bcher-kva.de", "Ada@BÜCHER\u3002de"],
        ["ada@bucher.de", "ada@b.xn--bcher-kva.de"],
    ),
    (["integer"], [7, "7"], ["-7", 70, "0"]),
    (["digits", "integer"], [-7, "7", "-7"], ["0"]),
    (["decimal"], [10, "10", "10.00", 10.0, "1e1"], ["-10", 100, 10.5, "0"]),
    (["instant"], ["2026-01-31T09:30:00Z", "2026-01-31t10:30:00.00+01:00"], ["2026-01-31T09:30:01Z"]),
    (["text"], [1, "1"], ["01", True, "1.0", None, "null"]),
    (["text"], [True, "true"], ["True", 1]),
    (["nfkc", "visible", "email"], ["ada@x.org", "ada\u200b@x.org", "\uff21\uff24\uff21@x.org"], ["ada+1@x.org"]),
    (["email", "email_tag"], ["ada@x.org", "Ada+1@X.org", "ada+a+b@x.org"], ["a.da@x.org", "+ada@x.org"]),
    (["auth_scheme"], ["Bearer Abc", "bearer   Abc"], ["Bearer abc", "Basic Abc"]),
    (["trim", "collapse_space", "casefold"], ["Ann Lee", "  ANN   LEE "], ["ann-lee"]),
]
"""Normalisers, texts that they make equal, and texts that stay apart from those and from each other."""


async def test_a_normaliser_makes_equal_what_it_says_and_nothing_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    paths = [f"/{number}" for number in range(len(NORMALISERS))]
    program = await gateway(
        rules=[
            rule(path, path, entry("body.email", normalize=normalize))
            for path, (normalize, _, _) in zip(paths, NORMALISERS, strict=True)
        ]
    )
    for path, (normalize, same, other) in zip(paths, NORMALISERS, strict=True):
        sends = [(path, {"email": text}) for text in [*same, *other]]
        expected = [201, *["duplicate"] * (len(same) - 1), *[201] * len(other)]
        assert await verdicts(program, sends) == expected, normalize
        sent = [request.json()["email"] for request in upstream.requests if request.target == path]
        assert sent == [same[0], *other], "what is forwarded is what was sent"


async def test_what_a_normaliser_cannot_read_in_one_way_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    unreadable: dict[str, list[Any]] = {
        "integer": ["007", "+7", " 7", "1.0", "", "seven", None, True],
        "decimal": ["010.00", "+1", "1,000", "", "ten", None, True, "1e999", 1e300],
        "instant": ["2027-05-06T09:30:00", "2027-05-06", "06/05/2027 09:30", "2016-12-31T23:59:60Z", ""],
        "email": ["ada@xn--.de", "ada@xn--bücher.de", "ada@b_ü.de", "ada@ü..de"],
        "auth_scheme": ["Bearer\tabc", "Bearer ", ""],
    }
    rules = [rule(name, f"/{name}", entry("body.it", normalize=[name])) for name in unreadable]
    program = await gateway(rules=rules)
    for name, texts in unreadable.items():
        for text in texts:
            seen = await post(program, f"/{name}", {"it": text})
            assert (seen.status, seen.slug) == (422, "missing-identity"), (name, text)
            assert not text or str(text) not in seen.json()["detail"]
    assert not upstream.connections


async def test_a_pattern_must_match_each_value_as_a_whole_once_it_is_normalised(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that trims or folds what it gets would take other spellings for the same."""
    passport = entry("body.it", "query.ref", normalize=["trim"], pattern="[A-Z]{2}[0-9]{6}|[0-9]{3}")
    program = await gateway(rules=[rule("it", "/it", passport)])
    sends: list[tuple[Any, ...]] = [
        ("/it?ref=123", {"it": "AB123456"}),
        ("/it?ref=123", {"it": " AB123456 "}),
        ("/it?ref=123", {"it": "\ufeffAB123456\u0000"}),
        ("/it?ref=123", {"it": 123}),
        ("/it?ref=123", {"it": "123"}),
        ("/it?ref=123", {"it": "ab123456"}),
        ("/it?ref=123", {"it": "AB123456\u200b"}),
        ("/it?ref=123", {"it": 1234}),
        ("/it?ref=123", {"it": None}),
        ("/it?ref=12", {"it": "AB123456"}),
    ]
    assert await verdicts(program, sends) == [201, "duplicate", "duplicate", 201, 201, *["missing-identity"] * 5]
    seen = await post(program, "/it?ref=123", {"it": "Rumpelstiltskin"})
    assert "body.it does not match the rule's pattern" in seen.json()["detail"]
    assert len(upstream.requests) == 3


async def test_a_scope_may_be_normalised(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The same credentials in another spelling are no other scope."""
    scope = ["query.tenant", {"field": "header.Authorization", "normalize": ["auth_scheme"]}]
    program = await gateway(rules=[create_user_rule(scope=scope)])
    body = {"email": "ada@example.org"}
    lines = ["Bearer abc", "bearer abc", "BEARER    abc", "Bearer ABC", "Bearer\tabc"]
    sends = [("/users?tenant=a", body, ("Authorization", line)) for line in lines]
    assert await verdicts(program, sends) == [201, "duplicate", "duplicate", 201, "missing-identity"]
    assert await verdicts(program, [("/users?tenant=A", body, ("Authorization", "Bearer abc"))]) == [201]
    assert upstream.requests[1].header("Authorization") == "Bearer ABC", "what is forwarded is what was sent"
