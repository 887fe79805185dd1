# Fields that need not be there: entries that are skipped without them, and null and empty strings that count as absent.

import json
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client
from tests.support.program import Table
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.upstream import RawUpstream

EXTERNAL = entry("body.externalId", name="ext", missing="skip")
EMAIL = entry("body.email", name="email", normalize=["email"])
BY_EITHER: Table = {
    **rule("user", "/users", EXTERNAL, {**EMAIL, "missing": "skip"}),
    "key": {"header": "Idempotency-Key"},
}


def create(path: str = "/users", **body: Any) -> tuple[str, dict[str, Any]]:
    return path, body


async def test_an_entry_whose_field_is_absent_is_not_claimed_and_the_others_are(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("user", "/users", EXTERNAL, EMAIL)])
    assert await verdicts(program, [create(email="a@x.org"), create(email="b@x.org")]) == [201, 201]
    by_email = await post(program, "/users", {"email": "A@x.org"})
    assert (by_email.slug, by_email.json()["conflictField"]) == ("duplicate", "email")
    assert await verdicts(program, [create(email="c@x.org", externalId="7")]) == [201]
    by_id = await post(program, "/users", {"email": "d@x.org", "externalId": "7"})
    assert (by_id.slug, by_id.json()["conflictField"]) == ("duplicate", "ext")
    assert (await post(program, "/users", {"externalId": "8"})).slug == "missing-identity", "email is not skipped"
    assert len(upstream.requests) == 3


async def test_null_and_empty_strings_count_as_absent_where_the_entry_says_so(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    empty = entry("body.externalId", name="ext", normalize=["trim"], missing="skip", empty="missing")
    name = entry("body.name", name="name")
    program = await gateway(rules=[rule("sql", "/sql", empty, name), rule("plain", "/plain", EXTERNAL, name)])
    empties = [None, "", " \t "]
    people = [{"name": f"{number}", "externalId": value} for number, value in enumerate([*empties, *empties])]
    assert await verdicts(program, [("/sql", body) for body in people]) == [201] * 6
    assert await verdicts(program, [create("/plain", name="A", externalId=None)]) == [201]
    assert await verdicts(program, [create("/plain", name="B", externalId=None)]) == ["duplicate"]
    assert await verdicts(program, [create("/sql", name="X", externalId=0)]) == [201]
    assert await verdicts(program, [create("/sql", name="Y", externalId=0)]) == ["duplicate"], "0 is a value"


async def test_what_is_empty_is_missing_where_the_entry_is_not_skipped(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    fields = entry("body.email", "query.ref", empty="missing")
    program = await gateway(rules=[rule("user", "/users", fields)])
    sends = [("/users?ref=1", {"email": None}), ("/users?ref=1", {"email": ""}), ("/users?ref=", {"email": "a"})]
    assert await verdicts(program, sends) == ["missing-identity"] * 3
    assert await verdicts(program, [("/users?ref=1", {"email": "a"})]) == [201]
    assert len(upstream.requests) == 1


async def test_what_servers_may_read_in_two_ways_is_never_skipped(upstream: RawUpstream, gateway: StartGateway) -> None:
    name = entry("query.name", name="name")
    program = await gateway(
        rules=[
            rule("body", "/body", name, entry("body.contact.email", "body.ids[0]", name="it", missing="skip")),
            rule("rest", "/rest", name, entry("query.ref", "header.X-Ref", "cookie.ref", name="it", missing="skip")),
            rule("types", "/types", name, entry("body.it", name="it", missing="skip", empty="missing")),
        ]
    )
    bodies = [
        *(b'{"Contact":{"email":"a"}}', b'{"contact":{"Email":"a"}}', b'{"contact":{},"contact":{"email":"a"}}'),
        *(b'{"contact":[{"email":"a"}]}', b'[{"contact":{"email":"a"}}]', b'{"ids":{"0":1}}', b'{"IDS":[1]}'),
        *(b"{", b"", b'{"x":"\\ud800"}'),
    ]
    async with Client(program.port) as client:
        for body in bodies:
            assert (await client.request("POST", "/body?name=a", [JSON], body)).slug == "missing-identity", body
        for query in ("Ref=1", "ref[]=1", "ref=1&ref=1", "x;ref=1", "+ref=1"):
            assert (await client.request("POST", f"/rest?name=a&{query}")).slug == "missing-identity", query
        for line in ("REF=1", "r%65f=1", "x=1,Ref=2", "ref=1; ref=2"):
            seen = await client.request("POST", "/rest?name=a", [("Cookie", line)])
            assert seen.slug == "missing-identity", line
        twice = [("X-Ref", "1"), ("X-Ref", "1")]
        assert (await client.request("POST", "/rest?name=a", twice)).slug == "missing-identity"
        assert (await client.request("POST", "/rest?name=a", [("X_Ref", "1")])).slug == "hidden-field"
        for value in (b"1.5", b'["a"]', b"9007199254740993"):
            sent = b'{"it":%b}' % value
            assert (await client.request("POST", "/types?name=a", [JSON], sent)).slug == "missing-identity", value
        assert not upstream.requests
        for query in ("contact[email]=a", "Contact.email=a"):
            seen = await client.request("POST", f"/body?name=a&{query}", [JSON], b"{}")
            assert seen.slug == "missing-identity", query
        absent = [b'{"contact":null}', b'{"contact":{}}', b'{"contact":"x","ids":[]}', b"null", b'{"emails":1}']
        for number, body in enumerate(absent):
            assert (await client.request("POST", f"/body?name={number}", [JSON], body)).status == 201, body
        assert (await client.request("POST", "/rest?name=a", [("Cookie", "refs=1; x=ref")])).status == 201


async def test_an_unreadable_field_counts_behind_one_that_is_absent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[rule("it", "/it", entry("query.name"), entry("body.a", "body.b", name="ab", missing="skip"))]
    )
    async with Client(program.port) as client:
        for body in (b'{"b":1.5}', b'{"b":1,"b":1}', b'{"B":1}'):
            seen = await client.request("POST", "/it?name=a", [JSON], body)
            assert (seen.status, seen.slug) == (422, "missing-identity"), body
    assert not upstream.requests


async def test_where_every_entry_is_skipped_the_rules_own_missing_counts(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    entries = [EXTERNAL, {**EMAIL, "missing": "skip"}]
    program = await gateway(
        rules=[rule("strict", "/strict", *entries), rule("open", "/open", *entries, missing="forward")]
    )
    assert await verdicts(program, [create("/strict", email="a@x.org")] * 2) == [201, "duplicate"]
    seen = await post(program, "/strict", {"name": "A"})
    assert (seen.status, seen.slug) == (422, "missing-identity")
    assert "body.externalId, body.email" in seen.json()["detail"]
    for _ in range(2):
        seen = await post(program, "/open", {"name": "A"})
        assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")


async def test_a_keyed_create_whose_entries_are_all_skipped_holds_its_key(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_EITHER])
    body, first, second = {"name": "A"}, ("Idempotency-Key", "k1"), ("Idempotency-Key", "k2")
    sends: list[tuple[Any, ...]] = [("/users", body, first), ("/users", body, first), ("/users", body, second)]
    assert await verdicts(program, sends) == [201, "duplicate", 201]
    assert await verdicts(program, [("/users", {"name": "B"}, first), ("/users", body)]) == [
        "key-reused",
        "missing-identity",
    ]
    assert len(upstream.requests) == 2


async def test_what_the_api_says_of_an_entry_that_was_skipped_leaves_the_outcome_unknown(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It says that the thing exists by an identity that this create does not have: nothing is certain then."""
    program = await gateway(
        rules=[rule("user", "/users", EXTERNAL, EMAIL, exists=["409"], exists_entry="ext", failed="free")]
    )
    upstream.script(behaviours.answer(409), behaviours.answer(409))
    assert await verdicts(program, [create(email="a@x.org"), create(email="a@x.org")]) == [409, "outcome-unknown"]
    assert await verdicts(program, [create(email="b@x.org", externalId="7")]) == [409]
    assert await verdicts(program, [create(email="c@x.org", externalId="7")]) == ["duplicate"]
    assert await verdicts(program, [create(email="b@x.org")]) == [201], "nothing was made of it"


async def test_the_api_is_not_asked_about_an_entry_that_was_skipped(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    verify = {"path": "/users?ext={body.externalId}", "found": "body[0].id", "absent_after": "1ms"}
    program = await gateway(rules=[rule("user", "/users", EXTERNAL, EMAIL, verify=verify)])
    upstream.script(behaviours.close_without_answer(), behaviours.close_without_answer())
    assert await verdicts(program, [create(email="a@x.org"), create(email="a@x.org")]) == ["outcome-unknown"] * 2
    assert [request.method for request in upstream.requests] == ["POST"]
    assert await verdicts(program, [create(email="b@x.org", externalId="7")]) == ["outcome-unknown"]
    found = behaviours.answer(200, [JSON], json.dumps([{"id": 1}]).encode())
    upstream.script(found)
    assert await verdicts(program, [create(email="c@x.org", externalId="7")]) == ["duplicate"]
    assert upstream.requests[-1].target == "/users?ext=7"
    assert await verdicts(program, [create(email="b@x.org")]) == ["duplicate"], "all claims of a create go together"
