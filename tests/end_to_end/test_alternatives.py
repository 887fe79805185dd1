# Fields with alternatives: the first that is there counts, wherever it stands, and each is read strictly.

import json
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.upstream import RawUpstream

EITHER = "body.email | body.contact.email"
FLAT, NESTED = {"email": "ada@x.org"}, {"contact": {"email": "Ada@X.org"}}


async def test_a_value_is_one_identity_wherever_it_stands_and_is_forwarded_as_it_came(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("user", "/users", entry(EITHER, normalize=["email"]))])
    both = {"email": "bob@x.org", "contact": {"email": "ada@x.org"}}
    bodies: list[Any] = [NESTED, FLAT, NESTED, both, {"email": "bob@x.org"}]
    seen = await verdicts(program, [("/users", body) for body in bodies])
    assert seen == [201, "duplicate", "duplicate", 201, "duplicate"]
    assert (await post(program, "/users", {"contact": {}})).slug == "missing-identity"
    assert [request.json() for request in upstream.requests] == [NESTED, both]


async def test_each_alternative_is_read_strictly_even_if_another_is_there(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("user", "/users", entry("query.email | header.X-Email | " + EITHER))])
    bodies: list[bytes] = [
        *(b'{"email":"a","email":"b","contact":{"email":"c"}}', b'{"Email":"a","contact":{"email":"c"}}'),
        *(b'{"email":["a"],"contact":{"email":"c"}}', b'{"email":1.5,"contact":{"email":"c"}}'),
        *(b'[{"email":"a"}]', b'{"contact":[{"email":"a"}]}'),
    ]
    filler = b'{"filler":"%b",' % (b"x" * 20_000)
    async with Client(program.port) as client:
        for body in [*bodies, *[body.replace(b"{", filler, 1) for body in bodies]]:
            assert (await client.request("POST", "/users", [JSON], body)).slug == "missing-identity", body
        for query in ("Email=a", "email=a&email=b", "email[]=a"):
            assert (await client.request("POST", f"/users?{query}", [JSON], b'{"email":"x"}')).slug == (
                "missing-identity"
            ), query
        for lines in ([("X-Email", "a"), ("x-email", "b")], [("X-Email", "\xe9")]):
            assert (await client.request("POST", "/users", [JSON, *lines], b'{"email":"x"}')).slug == (
                "missing-identity"
            ), lines
        for lines in ([("X_Email", "a")], [("Connection", "X-Email"), ("X-Email", "a")]):
            assert (await client.request("POST", "/users", [JSON, *lines], b'{"email":"x"}')).slug == "hidden-field"
        assert not upstream.requests
        spellings: list[tuple[str, list[tuple[str, str]], bytes]] = [
            ("/users?email=ada", [], b"{}"),
            ("/users", [("X-Email", "ada")], b'{"email":"other"}'),
            ("/users", [], b'{"email":"ada"}'),
            ("/users", [], filler + b'"contact":{"email":"ada"}}'),
        ]
        slugs = [(await client.request("POST", path, [JSON, *lines], body)).slug for path, lines, body in spellings]
    assert slugs == [None, "duplicate", "duplicate", "duplicate"]


async def test_what_is_empty_gives_way_to_the_next_where_it_counts_as_absent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    both = {"email": None, "contact": {"email": "ada@x.org"}}
    program = await gateway(
        rules=[
            rule("sql", "/sql", entry(EITHER, empty="missing")),
            rule("plain", "/plain", entry(EITHER)),
            rule("skip", "/skip", entry(EITHER, name="email", missing="skip"), entry("body.name", name="name")),
        ]
    )
    sends = [("/sql", both), ("/sql", {"email": "ada@x.org"}), ("/plain", both), ("/plain", {"email": "ada@x.org"})]
    assert await verdicts(program, sends) == [201, "duplicate", 201, 201]
    assert await verdicts(program, [("/plain", {"email": None}), ("/sql", {"email": ""})]) == [
        "duplicate",
        "missing-identity",
    ]
    people: list[Any] = [{"name": "A"}, {"name": "B"}, {"name": "C", **FLAT}, {"name": "D", "contact": FLAT}]
    assert await verdicts(program, [("/skip", body) for body in people]) == [201, 201, 201, "duplicate"]


async def test_a_scope_may_have_alternatives(upstream: RawUpstream, gateway: StartGateway) -> None:
    scope = [{"field": "header.X-Tenant | query.tenant", "normalize": ["casefold"]}]
    program = await gateway(rules=[rule("user", "/users", entry("body.email"), scope=scope)])
    sends: list[tuple[Any, ...]] = [
        ("/users?tenant=a", FLAT),
        ("/users", FLAT, ("X-Tenant", "A")),
        ("/users?tenant=a", FLAT, ("X-Tenant", "b")),
        ("/users", FLAT),
    ]
    assert await verdicts(program, sends) == [201, "duplicate", 201, "missing-identity"]


async def test_the_api_is_asked_with_the_value_of_whichever_was_there(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    verify = {"path": f"/users?email={{{EITHER}}}", "found": "body[0].id", "absent_after": "1ms"}
    program = await gateway(rules=[rule("user", "/users", entry(EITHER, normalize=["email"]), verify=verify)])
    upstream.script(behaviours.close_without_answer())
    assert (await post(program, "/users", NESTED)).slug == "outcome-unknown"
    upstream.script(behaviours.answer(200, [JSON], json.dumps([{"id": 1}]).encode()))
    assert (await post(program, "/users", FLAT)).slug == "duplicate"
    assert upstream.requests[-1].target == "/users?email=Ada%40X.org"


FORM = ("Content-Type", "application/x-www-form-urlencoded")


async def test_json_and_a_form_are_one_identity_where_both_are_named(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    either = entry("body.email | form.email", normalize=["email"])
    program = await gateway(rules=[rule("user", "/users", either)])
    async with Client(program.port) as client:
        sends = [(FORM, b"email=ada%40x.org"), (JSON, b'{"email":"Ada@x.org"}'), (FORM, b"email=ADA%40X.ORG&a=b")]
        slugs = [(await client.request("POST", "/users", [kind], body)).slug for kind, body in sends]
        assert slugs == [None, "duplicate", "duplicate"]
        others = [(FORM, b"a=b"), (JSON, b"{}"), (FORM, b"email=a&email=b"), (("Content-Type", "text/csv"), b"a")]
        for kind, body in others:
            assert (await client.request("POST", "/users", [kind], body)).slug == "missing-identity", body
    assert len(upstream.requests) == 1


async def test_an_entry_is_not_skipped_for_a_body_of_a_type_that_it_does_not_name(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that takes both would find the value there."""
    number = entry("body.id | form.id", name="id")
    rules = [
        rule("json", "/json", entry("body.email", name="email", missing="skip"), number),
        rule("form", "/form", entry("form.email", name="email", missing="skip"), number),
    ]
    program = await gateway(rules=rules)
    async with Client(program.port) as client:
        for path, kind, body in (("/json", FORM, b"id=1&email=a"), ("/form", JSON, b'{"id":"1","email":"a"}')):
            assert (await client.request("POST", path, [kind], body)).slug == "missing-identity", path
        for path, kind, body in (("/json", JSON, b'{"id":"1"}'), ("/form", FORM, b"id=1")):
            assert (await client.request("POST", path, [kind], body)).status == 201, path
    assert len(upstream.requests) == 2
