# What counts as the same create: entries, normalisers, scopes and namespaces, and what happens without an identity.

from collections.abc import Iterable
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.shorthands import JSON, entry, post, rule
from tests.support.upstream import RawUpstream

ANY_TYPE = ["string", "number", "boolean", "null", "array", "object"]
ANY = entry("body.email", types=ANY_TYPE)


async def verdicts(program: GatewayProgram, sends: Iterable[tuple[Any, ...]]) -> list[int | str]:
    """Send one after the other; the slug of each answer, or its status when it is the API's."""
    answers = [await post(program, *send) for send in sends]
    return [answer.slug or answer.status for answer in answers]


# What is unique


async def test_a_conflict_on_one_entry_names_it_and_claims_nothing_on_the_other(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    people = rule("user", "/users", entry("body.email", name="email"), entry("body.name", name="username"))
    program = await gateway(rules=[people])
    assert (await create(program.port, "ada@example.org", name="ada")).status == 201
    by_name = await create(program.port, "bob@example.org", name="ada")
    assert (by_name.slug, by_name.json()["conflictField"]) == ("duplicate", "username")
    by_email = await create(program.port, "ada@example.org", name="bob")
    assert (by_email.slug, by_email.json()["conflictField"]) == ("duplicate", "email")
    assert (await create(program.port, "bob@example.org", name="bob")).status == 201, "a conflict claimed something"
    assert len(upstream.requests) == 2


async def test_a_refused_create_frees_each_of_its_entries(upstream: RawUpstream, gateway: StartGateway) -> None:
    people = rule("user", "/users", entry("body.email", name="email"), entry("body.name", name="username"))
    program = await gateway(rules=[people])
    upstream.script(behaviours.answer(400), behaviours.close_without_answer())
    assert (await create(program.port, "ada@example.org", name="ada")).status == 400
    assert (await create(program.port, "ada@example.org", name="bob")).slug == "outcome-unknown"
    by_name = await create(program.port, "eve@example.org", name="bob")
    assert (by_name.slug, by_name.json()["conflictField"]) == ("outcome-unknown", "username")
    assert (await create(program.port, "eve@example.org", name="ada")).status == 201


async def test_the_fields_of_one_entry_count_together(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("item", "/items", entry("body.a", "body.b"))])
    sends = [{"a": "ab", "b": "c"}, {"a": "a", "b": "bc"}, {"a": "ab", "b": "d"}, {"b": "c", "a": "ab"}]
    assert await verdicts(program, [("/items", body) for body in sends]) == [201, 201, 201, "duplicate"]
    assert len(upstream.requests) == 3


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
    (["trim"], ["Ann", " Ann\t", "\u2003Ann\n"], ["ann", "A nn"]),
    (["casefold"], ["Straße", "STRASSE", "strasse"], [" Straße"]),
    (["nfc"], ["\u00e9", "e\u0301"], ["e", "\u00c9"]),
    (["nfkc"], ["\uff21\ufb01", "Afi"], ["afi"]),
    (["digits"], ["+49 (30) 12-34", "49301234", "x4930.1234"], ["0049301234"]),
    (["email"], ["Ann.Lee@Example.com", " ann.lee@EXAMPLE.COM "], ["annlee@example.com", "ann.lee+x@example.com"]),
    (["collapse_space"], ["Ann Lee", "Ann \t\n Lee"], ["AnnLee", " Ann Lee"]),
    (
        ["email"],
        ["ada@bücher.de", "ada@xn--bcher-kva.de", "Ada@BÜCHER\u3002de"],
        ["ada@bucher.de", "ada@b.xn--bcher-kva.de"],
    ),
    (["integer"], [7, "7"], ["-7", 70, "0"]),
    (["digits", "integer"], [-7, "7", "-7"], ["0"]),
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
    program = await gateway(
        rules=[
            rule(name, f"/{name}", entry("body.it", normalize=[name])) for name in ("integer", "email", "auth_scheme")
        ]
    )
    unreadable: dict[str, list[Any]] = {
        "integer": ["007", "+7", " 7", "1.0", "", "seven", None, True],
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
        ("/it?ref=123", {"it": 123}),
        ("/it?ref=123", {"it": "123"}),
        ("/it?ref=123", {"it": "ab123456"}),
        ("/it?ref=123", {"it": "AB123456\u0000"}),
        ("/it?ref=123", {"it": 1234}),
        ("/it?ref=123", {"it": None}),
        ("/it?ref=12", {"it": "AB123456"}),
    ]
    assert await verdicts(program, sends) == [201, "duplicate", 201, 201, *["missing-identity"] * 5]
    seen = await post(program, "/it?ref=123", {"it": "Rumpelstiltskin"})
    assert "body.it does not match the rule's pattern" in seen.json()["detail"]
    assert len(upstream.requests) == 3


async def test_identities_come_from_the_query_headers_the_path_and_cookies(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[
            rule("query", "/q", entry("query.ref")),
            rule("header", "/h", entry("header.X-Ref")),
            rule("path", "/t/{tenant}/things", entry("path.tenant")),
            rule("cookie", "/c", entry("cookie.session")),
            rule("deep", "/deep", entry('body."odd.key"[1].x')),
        ]
    )
    sends: list[tuple[Any, ...]] = [
        ("/q?ref=a%20b&x=1",),
        ("/q?x=2&ref=a+b",),
        ("/q?r%65f=a%20b",),
        ("/q?ref=A%20b",),
        ("/q?ref=",),
        ("/q?ref=a&ref=a",),
        ("/q?REF=a",),
        ("/q",),
        ("/h", None, ("X-Ref", "1")),
        ("/h", None, ("x-ref", " 1 ")),
        ("/h", None, ("X-REF", "2")),
        ("/h", None, ("X-Ref", "1"), ("x-ref", "1")),
        ("/h", None),
        ("/t/one/things",),
        ("/t/%6fne/things/",),
        ("/t/two/things",),
        ("/t/One/things",),
        ("/c", None, ("Cookie", "a=1; session=s1")),
        ("/c", None, ("Cookie", "session=s1;b=2")),
        ("/c", None, ("Cookie", "session=s2")),
        ("/c", None, ("Cookie", "session=s3; session=s3")),
        ("/c", None, ("Cookie", "Session=s1")),
        ("/deep", {"odd.key": [0, {"x": 5}]}),
        ("/deep", {"odd.key": ["other", {"x": 5, "y": 6}]}),
        ("/deep", {"odd.key": [{"x": 5}]}),
        ("/deep", {"odd": {"key": [0, {"x": 5}]}}),
    ]
    absent, twice = "missing-identity", "duplicate"
    assert await verdicts(program, sends) == [
        *(201, twice, twice, 201, 201, absent, absent, absent),
        *(201, twice, 201, absent, absent),
        *(201, twice, 201, 201),
        *(201, twice, 201, absent, absent),
        *(201, twice, absent, absent),
    ]
    assert len(upstream.requests) == 3 + 2 + 3 + 2 + 1


# Scope and namespaces


async def test_a_scope_sets_tenants_apart_and_its_absence_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(scope=["header.X-Tenant"])])
    body = {"email": "ada@example.org"}
    sends = [("/users", body, ("X-Tenant", tenant)) for tenant in ("one", "two", "one", "two", "ONE")]
    assert await verdicts(program, [*sends, ("/users", body)]) == [
        *(201, 201, "duplicate", "duplicate", 201),
        "missing-identity",
    ]
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


async def test_rules_that_share_a_namespace_share_identities_and_others_do_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    email = entry("body.email", name="email")
    program = await gateway(
        rules=[
            rule("signup", "/signup", email, namespace="user"),
            rule("invite", "/invite", email, namespace="user"),
            rule("newsletter", "/newsletter", email),
            rule("contact", "/contact", entry("body.email", name="mail"), namespace="user"),
        ]
    )
    body = {"email": "ada@example.org"}
    targets = ["/signup", "/invite", "/newsletter", "/contact", "/newsletter"]
    assert await verdicts(program, [(target, body) for target in targets]) == [201, "duplicate", 201, 201, "duplicate"]
    assert (await post(program, "/invite", body)).json()["rule"] == "invite"


async def test_only_the_methods_paths_and_hosts_of_a_rule_are_guarded_and_the_first_rule_wins(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[
            {**rule("here", "/users", entry("body.id")), "match": {"path": "/users", "host": "here.example"}},
            {**rule("put", "/users", entry("body.id")), "match": {"path": "/users", "methods": ["PUT", "POST"]}},
        ]
    )
    body = {"id": 1}
    here, there = ("Host", "HERE.example:8080"), ("Host", "there.example")
    sends: list[tuple[Any, ...]] = [
        ("/users", body, here),
        ("/users", body, here),
        ("/users", body, there),
        ("/users", body, there),
        ("/USERS/", body, there),
        ("/users/1", body, there),
        ("/users/1", body, there),
        ("/use", body),
    ]
    assert await verdicts(program, sends) == [201, "duplicate", 201, "duplicate", "duplicate", 201, 201, 201]
    for method, expected in (("PUT", 409), ("PATCH", 200), ("PATCH", 200), ("GET", 200)):
        assert (await post(program, "/users", body, there, method=method)).status == expected
    lines = await program.request_lines(12)
    assert [line.get("rule") for line in lines[:5]] == ["here", "here", "put", "put", "put"]


# What cannot be read


async def test_a_rule_may_forward_what_has_no_identity_marked_and_told(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(missing="forward")])
    for body in ({"name": "Ada"}, {"name": "Ada"}):
        seen = await post(program, "/users", body)
        assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", [JSON], b"not JSON")
        assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")
    assert [bytes(request.body) for request in upstream.requests[1:]] == [b'{"name": "Ada"}', b"not JSON"]
    for line in await program.request_lines(3):
        assert (line["outcome"], line["unguarded"]) == ("unguarded", "missing-identity")
    guarded = await create(program.port)
    assert (guarded.status, guarded.header("Idempotency-Gateway")) == (201, None)
    assert (await create(program.port)).slug == "duplicate"


async def test_a_missing_identity_is_refused_in_words_that_name_the_field_and_no_value(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    seen = await post(program, "/users", {"name": "Rumpelstiltskin"})
    assert (seen.status, seen.slug) == (422, "missing-identity")
    assert "body.email" in seen.json()["detail"]
    assert seen.json()["rule"] == "create-user"
    assert "Rumpelstiltskin" not in seen.body.decode()
    assert seen.header("Proxy-Status") == 'idempotency-gateway; error=http_request_denied; details="missing-identity"'
    assert not upstream.connections
