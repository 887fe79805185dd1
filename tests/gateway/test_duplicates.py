# What counts as the same create, and what whoever sends it again is told.

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import Client, Response, create, create_bytes
from tests.support.program import GatewayProgram, Table, create_user_rule, rules
from tests.support.upstream import Behaviour, RawUpstream

JSON = ("Content-Type", "application/json")


def rule(name: str, path: str, *unique: Table, **changes: Any) -> Table:
    """A rule that guards POST on `path`."""
    return {"name": name, "match": {"path": path}, "unique": list(unique), **changes}


def entry(*fields: str, name: str = "it", normalize: Iterable[str] = ()) -> Table:
    return {"name": name, "fields": list(fields), "normalize": list(normalize)}


async def post(
    program: GatewayProgram, target: str, body: Any = None, *headers: tuple[str, str], method: str = "POST"
) -> Response:
    """Send JSON, or with None no body at all."""
    async with Client(program.port) as client:
        if body is None:
            return await client.request(method, target, headers)
        return await client.request(method, target, [JSON, *headers], json.dumps(body).encode())


async def verdicts(program: GatewayProgram, sends: Iterable[tuple[Any, ...]]) -> list[int | str]:
    """Send one after the other; the slug of each answer, or its status when it is the API's."""
    answers = [await post(program, *send) for send in sends]
    return [answer.slug or answer.status for answer in answers]


async def test_twenty_identical_creates_at_once_of_a_thousand_identities_reach_the_api_once_each(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    emails = [f"user-{number}@example.org" for number in range(1000)]
    outcomes = await burst(program.port, [create_bytes(email) for email in emails for _ in range(20)], 250)
    assert upstream.counts("body.email") == dict.fromkeys(emails, 1)
    answers = Counter((outcome.status, outcome.slug) for outcome in outcomes)
    assert answers.pop((201, None)) == 1000
    assert set(answers) == {(409, "in-progress"), (409, "duplicate")}
    assert answers.total() == 19_000
    created = {emails[outcome.index // 20] for outcome in outcomes if outcome.status == 201}
    assert len(created) == 1000, "somebody's create was answered to somebody else"
    told = Counter(line["outcome"] for line in await program.request_lines(20_000))
    assert told == {"created": 1000, **{slug: count for (_, slug), count in answers.items()}}


async def test_those_who_wait_behind_a_create_in_flight_are_told_so_and_afterwards_that_it_exists(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201, [("Location", "/users/7")]))
    upstream.script(held)
    first = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    second = await create(program.port)
    assert (second.status, second.slug, second.header("Retry-After")) == (409, "in-progress", "1")
    assert second.header("Content-Type") == "application/problem+json"
    told = second.json()
    assert (told["status"], told["rule"], told["conflictField"]) == (409, "create-user", "email")
    assert told["title"]
    assert told["detail"]
    assert told["suggestedNextStep"]
    assert told["firstSeen"].endswith("Z")
    assert not {"existingResourceLink", "expiresAt"} & set(told)
    held.release()
    assert (await first).status == 201
    third = await create(program.port)
    assert (third.status, third.slug, third.header("Retry-After")) == (409, "duplicate", None)
    assert third.json()["existingResourceLink"] == "/users/7"
    assert third.json()["firstSeen"] == told["firstSeen"]
    assert third.json()["expiresAt"] > told["firstSeen"]
    assert len(upstream.requests) == 1


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
    program = await gateway()
    values: list[Any] = [None, "", 0, "0", False, "null", [], {}, [None], [[]], 2**53 + 1, 2**53 + 2, 0.5, "\u0000"]
    bodies = [{"email": value} for value in values]
    assert await verdicts(program, [("/users", body) for body in bodies]) == [201] * len(values)
    assert await verdicts(program, [("/users", body) for body in bodies]) == ["duplicate"] * len(values)
    for absent in ({}, {"Email": "x"}, [], None, 0, "email", [{"email": "x"}]):
        seen = await post(program, "/users", absent)
        assert (seen.status, seen.slug) == (422, "missing-identity"), absent
    assert len(upstream.requests) == len(values)


async def test_numbers_are_equal_by_value_and_keys_in_any_order(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    texts = [b"1", b"1.0", b"1e0", b"10E-1", b'{"a":1,"b":[2]}', b' {"b" :[2.0], "a":1.0}', b'"A"', b'"\\u0061 "']
    async with Client(program.port) as client:
        for text, expected in zip(texts, [201, 409, 409, 409, 201, 409, 201, 409], strict=True):
            seen = await client.request("POST", "/users", [JSON], b'{"email":%b}' % text)
            assert seen.status == expected, text
    assert len(upstream.requests) == 3


NORMALISERS: list[tuple[list[str], list[str], list[str]]] = [
    ([], ["Ann"], ["ann", " Ann", "Ann "]),
    (["trim"], ["Ann", " Ann\t", "\u2003Ann\n"], ["ann", "A nn"]),
    (["casefold"], ["Straße", "STRASSE", "strasse"], [" Straße"]),
    (["nfc"], ["\u00e9", "e\u0301"], ["e", "\u00c9"]),
    (["nfkc"], ["\uff21\ufb01", "Afi"], ["afi"]),
    (["digits"], ["+49 (30) 12-34", "49301234", "x4930.1234"], ["0049301234"]),
    (["email"], ["Ann.Lee@Example.com", " ann.lee@EXAMPLE.COM "], ["annlee@example.com", "ann.lee+x@example.com"]),
    (["collapse_space"], ["Ann Lee", "Ann \t\n Lee"], ["AnnLee", " Ann Lee"]),
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


# Where the created thing lives


BY_ID = "/users/{body.id}"
RESOURCES: list[tuple[str | None, Behaviour, str | None]] = [
    (None, behaviours.answer(201, [("Location", "/users/7")], b'{"id": 7}'), None),
    ("header.Location", behaviours.answer(201, [("location", "/users/7?a=b")]), "/users/7?a=b"),
    ("header.Location", behaviours.answer(201), None),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": 7}'), "/users/7"),
    (BY_ID, behaviours.chunked([b'{"i', b'd": 7', b"}"], 201, [JSON]), "/users/7"),
    (BY_ID, behaviours.until_close(b'{"id": 7}', 201, [JSON]), "/users/7"),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": "a/../b?c"}'), "/users/a%2F..%2Fb%3Fc"),
    (BY_ID, behaviours.answer(201, [JSON], b'{"name": 7}'), None),
    (BY_ID, behaviours.answer(201, [JSON], b"not JSON"), None),
    (BY_ID, behaviours.answer(204), None),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": 7, "x": "%b"}' % (b"x" * 2_000_000)), None),
    (
        "/{header.X-Kind}/{body.data[0].id}",
        behaviours.answer(201, [JSON, ("X-Kind", "people")], b'{"data": [{"id": "x"}]}'),
        "/people/x",
    ),
]
"""What a rule says, what the API answers, and what whoever sends a duplicate is told."""


async def test_a_duplicate_is_told_where_the_first_one_lives_as_the_rule_says(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    paths = [f"/{number}" for number in range(len(RESOURCES))]
    program = await gateway(
        rules=[
            rule(path, path, entry("body.email"), **({} if resource is None else {"resource": resource}))
            for path, (resource, _, _) in zip(paths, RESOURCES, strict=True)
        ]
    )
    for path, (resource, answered, link) in zip(paths, RESOURCES, strict=True):
        upstream.script(answered)
        assert (await create(program.port, path=path)).status // 100 == 2
        again = await create(program.port, path=path)
        assert again.slug == "duplicate"
        assert again.json().get("existingResourceLink") == link, (path, resource)
        assert again.header("Location") is None
        if link is None:
            assert b"/users/7" not in again.body


async def test_an_answer_that_is_read_for_its_link_arrives_as_it_was(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(resource="/users/{body.id}")])
    body = b'{"id": 7, "x": "' + b"x" * 300_000 + b'"}'
    upstream.script(
        behaviours.streamed(len(body), [body[:100], body[100:]], 201, [JSON]),
        behaviours.chunked([body[:10], body[10:]], 201, [JSON]),
    )
    for email in ("a@example.org", "b@example.org"):
        assert (await create(program.port, email)).body == body


# Stores


async def test_the_memory_store_guards_as_well_and_forgets_with_the_process(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store="memory:")
    outcomes = await burst(program.port, [create_bytes("ada@example.org")] * 40, 20)
    assert Counter(outcome.status for outcome in outcomes) == {201: 1, 409: 39}
    assert (await create(program.port)).slug == "duplicate"
    assert not list(program.directory.glob("gateway.db*"))
    await program.restart()
    assert (await create(program.port)).status == 201
    assert len(upstream.requests) == 2


async def test_a_store_that_cannot_write_lets_no_create_pass_and_disturbs_nothing_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port, "before@example.org")).status == 201
    with program.disk_full():
        for _ in range(3):
            seen = await create(program.port)
            assert (seen.status, seen.slug, seen.header("Retry-After")) == (503, "store-unavailable", "1")
            assert (await create(program.port, "before@example.org")).slug == "duplicate", "what is known is known"
            assert (await post(program, "/other", {"a": 1})).status == 201
    assert upstream.count("body.email", "ada@example.org") == 0
    assert (await create(program.port)).status == 201
    assert (await create(program.port)).slug == "duplicate"


async def test_a_create_in_flight_while_the_store_fails_is_answered_stays_held_and_is_settled_afterwards(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    with program.disk_full():
        held.release()
        assert (await first).status == 201
        await program.wait_for_log(event="settle-delayed")
        assert (await create(program.port)).status == 409
    while (again := await create(program.port)).slug == "in-progress":
        pass
    assert again.slug == "duplicate"
    assert await program.stop() == 0
    await program.start()
    assert (await create(program.port)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_creates_may_be_forwarded_without_a_store_marked_and_told(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules(upstream.url, on_failure="forward"))
    with program.disk_full():
        for _ in range(2):
            seen = await create(program.port)
            assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=store-unavailable")
        lines = await program.request_lines(2)
        assert {(line["outcome"], line["unguarded"]) for line in lines} == {("unguarded", "store-unavailable")}
    guarded = await create(program.port)
    assert (guarded.status, guarded.header("Idempotency-Gateway")) == (201, None)
    assert (await create(program.port)).slug == "duplicate"
