# What counts as the same create: entries, where values come from, scopes, namespaces, and creates without an identity.

from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.upstream import RawUpstream

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
        ("/c", None, ("Cookie", "session=j:1")),
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
        *(201, twice, 201, absent, absent, absent),
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
