# What is deleted can be created again: which answers free its identities, and which do not.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.behaviours import Held
from tests.support.changes import ADA, GONE, OK, change, create, delete, followed, made, told
from tests.support.client import Client, request_bytes
from tests.support.program import Table
from tests.support.shorthands import HOST, entry, post
from tests.support.upserts import lines
from tests.support.upstream import Act, Behaviour, RawUpstream
from tests.support.users_api import UsersApi, until_it_is_known, verified_rule

LINKS: list[tuple[dict[str, Any], Act, str]] = [
    ({}, made("http://host-0/users/7"), "/users/7"),
    ({}, made("/users/7?v=1#top"), "/users/7/"),
    ({}, made("users/7"), "/USERS/7?force=1"),
    (
        {"resource": "/users/{body.id}"},
        behaviours.answer(201, [("Content-Type", "application/json")], b'{"id": "a b"}'),
        "/users/a%20b",
    ),
]
NOT_GONE: dict[str, tuple[Behaviour, tuple[int, str | None]]] = {
    "accepted": (behaviours.answer(202), (202, "unknown")),
    "not found": (behaviours.answer(404), (404, "refused")),
    "forbidden": (behaviours.answer(403), (403, "refused")),
    "failed": (behaviours.answer(500), (500, "unknown")),
    "other success": (behaviours.answer(206), (206, "unknown")),
    "dies before it reads": (behaviours.reset_after_head(), (502, "outcome-unknown")),
    "dies after it has read": (behaviours.close_without_answer(), (502, "outcome-unknown")),
    "garbage": (behaviours.raw(behaviours.GARBAGE[0], "close"), (502, "outcome-unknown")),
}


async def test_what_is_deleted_can_be_created_again(upstream: RawUpstream, gateway: StartGateway) -> None:
    """By links of each form."""
    rules = [followed(f"user-{number}", **changes) for number, (changes, _, _) in enumerate(LINKS)]
    for number, each in enumerate(rules):
        each["match"]["host"] = f"host-{number}"
    program = await gateway(store="memory:", rules=rules)
    for number, (_, created, target) in enumerate(LINKS):
        host = ("Host", f"host-{number}")
        upstream.script(created, GONE, created)
        assert told(await create(program, "ada@example.org", host)) == (201, "created"), number
        assert told(await delete(program, target, host)) == (204, "released"), number
        assert told(await create(program, "ada@example.org", host)) == (201, "created"), number
        assert told(await create(program, "ada@example.org", host)) == (409, "duplicate"), number
    line = await program.wait_for_log(event="request", outcome="released")
    assert (line["method"], line["rule"], line["status"]) == ("DELETE", "user-0", 204)


async def test_only_the_statuses_of_the_rule_free_anything(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Whatever else comes of it, the identity stays held, and can be freed by the next attempt."""
    program = await gateway(store="memory:", rules=[followed()])
    for number, (what, (behaviour, seen)) in enumerate(NOT_GONE.items()):
        name, link = f"{number}@example.org", f"/users/{number}"
        upstream.script(made(link), behaviour, GONE, made(link))
        assert told(await create(program, name)) == (201, "created")
        assert told(await delete(program, link)) == seen, what
        assert told(await create(program, name)) == (409, "duplicate"), what
        assert told(await delete(program, link)) == (204, "released"), what
        assert told(await create(program, name)) == (201, "created"), what


async def test_what_the_rule_calls_gone_frees_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    listed = {"path": "/users/{id}", "methods": ["POST", "DELETE"], "statuses": ["2xx except 202", "404"]}
    denied = {"when": [{"field": "answer.body.errors[0]", "exists": True}], "is": "refused"}
    program = await gateway(store="memory:", rules=[followed(release=[listed], outcome=[denied])])
    no = behaviours.answer(200, [("Content-Type", "application/json")], b'{"errors": ["no"]}')
    upstream.script(made("/users/1"), no, behaviours.answer(404), made("/users/1"))
    assert told(await create(program, "ada@example.org")) == (201, "created")
    assert told(await delete(program, "/users/1")) == (200, "refused")
    assert told(await create(program, "ada@example.org")) == (409, "duplicate")
    assert told(await post(program, "/users/1", {})) == (404, "released")
    assert told(await create(program, "ada@example.org")) == (201, "created")


async def test_while_it_is_deleted_its_identity_is_held(upstream: RawUpstream, gateway: StartGateway) -> None:
    """And a client that leaves meanwhile changes nothing; another DELETE waits, and finds nothing left."""
    program = await gateway(store="memory:", rules=[followed(in_flight="wait")])
    held = Held(GONE)
    upstream.script(made("/users/1"), held, behaviours.answer(404), behaviours.answer(404), made("/users/1"))
    assert told(await create(program, "ada@example.org")) == (201, "created")
    async with Client(program.port) as client, Client(program.port) as another:
        await client.send_raw(request_bytes("DELETE", "/users/1", [HOST]))
        await held.waiting.reach(1)
        await another.send_raw(request_bytes("DELETE", "/users/1", [HOST]))
        assert told(await create(program, "ada@example.org")) == (409, "duplicate")  # by then the other one waits
        await client.reset()
        held.release()
        assert told(await another.read_response("DELETE")) == (404, "refused")
    assert told(await delete(program, "/users/1")) == (404, None), "nothing of it is known any more"
    assert told(await create(program, "ada@example.org")) == (201, "created")


async def test_what_is_not_known_passes_as_if_there_were_no_gateway(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """So does what may be another path, or another method, to the API: nothing is freed, and nothing refused."""
    program = await gateway(store="memory:", rules=[followed(scope=["header.X-Tenant"], update=[])])
    acme = ("X-Tenant", "acme")
    upstream.script(made("/users/1"))
    assert told(await create(program, "ada@example.org", acme)) == (201, "created")
    sent: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("DELETE", "/users/2", [acme]),
        ("DELETE", "/users/1", []),
        ("DELETE", "/users/1", [("X-Tenant", "other")]),
        ("DELETE", "/users/1", [acme, ("Host", "other.example")]),
        ("DELETE", "/users//1", [acme]),
        ("DELETE", "/x/../users/1", [acme]),
        ("DELETE", "/users/1/photo", [acme]),
        ("DELETE", "/users/1", [acme, ("X_Tenant", "other")]),
        ("DELETE", "/users/1", [acme, ("Connection", "X-Tenant")]),
        ("DELETE", "/users/1", [acme, ("X-HTTP-Method-Override", "GET")]),
        ("GET", "/users/1", [acme, ("Connection", "X-Tenant")]),
    ]
    for method, target, fields in sent:
        async with Client(program.port) as client:
            if not any(name == "Host" for name, _ in fields):
                fields = [HOST, *fields]
            await client.send_raw(request_bytes(method, target, fields))
            assert told(await client.read_response(method)) == (200, None), (method, target, fields)
    assert len(upstream.requests) == 1 + len(sent)
    assert told(await create(program, "ada@example.org", acme)) == (409, "duplicate")
    assert [
        line["rule"] for line in await program.request_lines(2) if line["outcome"] == "passed" and "rule" in line
    ] == []


async def test_things_of_two_tenants_may_have_the_same_link(upstream: RawUpstream, gateway: StartGateway) -> None:
    rules = [
        followed("by-header", scope=["header.X-Tenant"]),
        followed("by-host", "/teams", scope=[{"field": "host", "normalize": ["casefold"]}]),
        followed("by-either", "/rooms", scope=["body.tenant | header.X-Tenant"]),
    ]
    program = await gateway(store="memory:", rules=rules)
    for path, one, two in (
        ("/users", [("X-Tenant", "acme")], [("X-Tenant", "corp")]),
        ("/teams", [("Host", "acme.example")], [("Host", "corp.example:80")]),
        ("/rooms", [("X-Tenant", "acme")], [("X-Tenant", "corp")]),
    ):
        upstream.script(made(f"{path}/1"), made(f"{path}/1"), GONE, made(f"{path}/2"))
        for fields in (one, two):
            assert told(await create(program, "ada@example.org", *fields, path=path)) == (201, "created")
        assert told(await delete(program, f"{path}/1", *one)) == (204, "released")
        assert told(await create(program, "ada@example.org", *two, path=path)) == (409, "duplicate")
        assert told(await create(program, "ada@example.org", *one, path=path)) == (201, "created")


async def test_a_delete_waits_for_a_change_of_the_same_thing_and_is_never_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    rules = [followed(in_flight="wait"), followed("team", "/teams", reject_after="0s")]
    program = await gateway(store="memory:", rules=rules)
    for path, seen, became in (("/users", (204, "released"), 201), ("/teams", (204, None), 409)):
        held = Held(OK)
        upstream.script(made(f"{path}/1"), held, GONE)
        assert told(await create(program, "a@example.org", path=path)) == (201, "created")
        changing = asyncio.create_task(change(program, f"{path}/1", "b@example.org"))
        await held.waiting.reach(1)
        deleting = asyncio.create_task(delete(program, f"{path}/1"))
        if became == 201:
            held.release()
        assert told(await deleting) == seen
        held.release()
        assert told(await changing) == (200, "updated")
        assert (await create(program, "b@example.org", path=path)).status == became
    skipped = await program.wait_for_log(event="release-skipped")
    assert (skipped["rule"], skipped["reason"]) == ("team", "another change of it is under way")


async def test_a_key_stays_that_of_its_create(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A late retry of the first create does not make it again."""
    program = await gateway(store="memory:", rules=[followed(key={}, retry="replay")])
    first, second = ("Idempotency-Key", "k-1"), ("Idempotency-Key", "k-2")
    upstream.script(made("/users/1"), GONE, made("/users/2"))
    assert told(await create(program, "ada@example.org", ADA, first)) == (201, "created")
    assert told(await delete(program, "/users/1")) == (204, "released")
    assert told(await create(program, "ada@example.org", ADA, first)) == (201, "replayed")
    assert told(await create(program, "ada@example.org", ADA, second)) == (201, "created")
    assert lines(upstream) == ["POST /users", "DELETE /users/1", "POST /users"]


async def test_each_item_of_a_batch_is_a_thing_of_its_own(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Also where another rule of the namespace names the path."""
    batch = followed(
        "invite",
        "/invites",
        unique=[entry("item.email", name="email", normalize=["trim", "casefold"])],
        each="body.items",
        resource="/users/{body.results.id}",
        namespace="user",
        update=[],
        release=[],
    )
    program = await gateway(store="memory:", rules=[batch, followed()])
    answer = behaviours.answer(201, [("Content-Type", "application/json")], b'{"results": [{"id": 1}, {"id": 2}]}')
    upstream.script(answer, GONE, made("/users/3"))
    items = {"items": [{"email": "a@example.org"}, {"email": "b@example.org"}]}
    assert told(await post(program, "/invites", items)) == (201, "created")
    assert told(await delete(program, "/users/2")) == (204, "released")
    assert told(await create(program, "a@example.org")) == (409, "duplicate")
    assert told(await create(program, "b@example.org")) == (201, "created")


async def test_what_was_unknown_and_is_known_by_now_is_followed_too(
    upstream: RawUpstream, users: UsersApi, gateway: StartGateway
) -> None:
    """By the API's word, and by an operator's, with whom a claim may be said to live elsewhere."""
    by_id: Table = {"release": [{"path": "/users/{id}"}]}
    asked = verified_rule(**by_id)
    told_rule = verified_rule(name="told", match={"path": "/told"}, **by_id)
    del told_rule["verify"]
    program = await gateway(store="memory:", rules=[asked, {**told_rule, "release": [{"path": "/told/{id}"}]}])
    users.on_create = users.commit_and_close
    assert (await create(program, "ada@example.org")).slug == "outcome-unknown"
    assert (await until_it_is_known(program.port)).slug == "duplicate"
    users.on_create, users.on_search = users.commit, OK
    assert told(await delete(program, "/users/1")) == (200, "released")
    assert told(await create(program, "ada@example.org")) == (201, "created")
    operator = Operator(program)
    users.on_create = users.lose
    for link, seen in (("/told/7", (200, "released")), ("/elsewhere/7", (200, None))):
        assert (await create(program, "eve@example.org", path="/told")).slug == "outcome-unknown"
        (claim,) = await operator.claims("state=unknown")
        settle = f"/claims/{claim['fingerprint']}/settle"
        body = {"as": "created", "reason": "seen", "link": link}
        assert (await operator.ask("POST", settle, body)).status == 200
        assert told(await delete(program, "/told/7")) == seen


@pytest.mark.parametrize("on_failure", ["reject", "forward"])
async def test_without_the_store_a_delete_passes_and_frees_nothing(
    upstream: RawUpstream, gateway: StartGateway, on_failure: str
) -> None:
    """A change is refused then, as a create is, or passes unguarded where the rules file says so."""
    program = await gateway(rules=[followed()], on_failure=on_failure)
    upstream.script(made("/users/1"), GONE)
    assert told(await create(program, "ada@example.org")) == (201, "created")
    refused = (503, "store-unavailable") if on_failure == "reject" else (200, "unguarded; reason=store-unavailable")
    with program.disk_full():
        assert told(await delete(program, "/users/1")) == (204, None)
        assert told(await change(program, "/users/1", "eve@example.org")) == refused
    await program.wait_for_log(event="release-skipped")
    assert lines(upstream)[1:] == ["DELETE /users/1", *(["PATCH /users/1"] if on_failure == "forward" else [])]
    while told(await delete(program, "/users/1")) == (200, None):
        pass  # the store is looked at again within a moment
    assert (await create(program, "ada@example.org")).status == 201


async def test_an_operator_sees_what_a_delete_frees_and_what_a_change_meets(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store="memory:", rules=[followed()])
    upstream.script(made("/users/1"), made("/users/2"))
    for name in ("a@example.org", "b@example.org"):
        assert told(await create(program, name)) == (201, "created")
    operator = Operator(program)

    async def find(method: str, **sample: Any) -> tuple[str, list[str]]:
        sent = {"method": method, "path": "/users/1", "headers": {"Host": HOST[1]}, **sample}
        found = (await operator.ask("POST", "/claims/find", sent)).json()
        return found["happens"], [claim["state"] for claim in found["claims"]]

    freed = "it is forwarded; these claims are free once the API has done it"
    passes = "it would be forwarded: no other thing has its identities"
    assert await find("DELETE") == (freed, ["created"])
    assert await find("PUT", json={"email": "a@example.org"}) == (passes, ["created"])
    assert await find("PATCH", json={"email": "c@example.org"}) == (passes, ["free"])
    assert await find("PATCH", json={"email": "b@example.org"}) == ("409 duplicate", ["created"])
