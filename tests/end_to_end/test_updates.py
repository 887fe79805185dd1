# What is changed has its new identity from then on, and no longer its old one: which answers move it, and which do not.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.behaviours import Held
from tests.support.changes import ADA, BOB, EMAIL, GONE, OK, REFUSED, change, create, delete, followed, made, told
from tests.support.client import Client, request_bytes
from tests.support.program import rules
from tests.support.shorthands import HOST, JSON, entry, post
from tests.support.upserts import lines
from tests.support.upstream import Act, Behaviour, RawUpstream

A, B, C = "a@example.org", "b@example.org", "c@example.org"
LINKS: list[tuple[dict[str, Any], Act, str]] = [
    ({}, made("http://host-0/users/7"), "/users/7"),
    ({}, made("/users/7?v=1"), "/users/7"),
    (
        {"resource": "/users/{body.id}"},
        behaviours.answer(201, [("Content-Type", "application/json")], b'{"id": 7}'),
        "/users/7",
    ),
]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_what_is_renamed_has_its_new_name_alone(
    upstream: RawUpstream, gateway: StartGateway, method: str
) -> None:
    """By links of each form, and back again."""
    each = [followed(f"user-{number}", **changes) for number, (changes, _, _) in enumerate(LINKS)]
    for number, rule in enumerate(each):
        rule["match"]["host"] = f"host-{number}"
    program = await gateway(store="memory:", rules=each)
    for number, (_, created, target) in enumerate(LINKS):
        host = ("Host", f"host-{number}")
        upstream.script(created, REFUSED, OK, OK, OK, made("/users/8"))
        assert told(await create(program, A, host)) == (201, "created")
        assert told(await change(program, target, B, host, method=method)) == (422, "refused")
        assert told(await create(program, A, host)) == (409, "duplicate")
        assert told(await change(program, target, B, host, method=method)) == (200, "updated")
        assert told(await change(program, target, A, host, method=method)) == (200, "updated")
        assert told(await change(program, target, B, host, method=method)) == (200, "updated")
        assert told(await create(program, A, host)) == (201, "created")
        seen = await create(program, B, host)
        assert told(seen) == (409, "duplicate")
        assert "/users/7" in seen.json()["existingResourceLink"]
    line = await program.wait_for_log(event="request", outcome="updated")
    assert (line["method"], line["rule"], line["status"]) == (method, "user-0", 200)
    assert len(line["fingerprint"]) == 12


async def test_a_change_that_was_refused_leaves_everything_as_it_was(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store="memory:", rules=[followed()])
    upstream.script(made("/users/1"), REFUSED, made("/users/2"))
    assert told(await create(program, A)) == (201, "created")
    assert told(await change(program, "/users/1", B)) == (422, "refused")
    assert told(await create(program, B)) == (201, "created")
    assert told(await change(program, "/users/1", B)) == (409, "duplicate")
    assert len(upstream.requests) == 3, "a change whose identity is taken was forwarded"
    upstream.script(REFUSED)
    assert told(await change(program, "/users/1", A)) == (422, "refused")
    assert told(await create(program, A)) == (409, "duplicate")


LEAVES_UNKNOWN: dict[str, tuple[Behaviour, tuple[int, str | None]]] = {
    "accepted": (behaviours.answer(202), (202, "unknown")),
    "conflict": (behaviours.answer(409), (409, "unknown")),
    "failed": (behaviours.answer(500), (500, "unknown")),
    "dies before it reads": (behaviours.reset_after_head(), (502, "outcome-unknown")),
    "dies after it has read": (behaviours.close_without_answer(), (502, "outcome-unknown")),
}


async def test_where_nobody_knows_both_identities_are_held_and_the_same_change_goes_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Another change waits until the API is certainly not at work on the first one; the same one need not."""
    program = await gateway(store="memory:", rules=[followed()])
    operator = Operator(program)
    for number, (what, (behaviour, seen)) in enumerate(LEAVES_UNKNOWN.items()):
        a, b, c = (f"{letter}-{number}@example.org" for letter in "abc")
        link = f"/users/{number}"
        upstream.script(made(link), behaviour)
        assert told(await create(program, a)) == (201, "created")
        assert told(await change(program, link, b)) == seen, what
        assert told(await create(program, a)) == (409, "duplicate"), what
        assert told(await create(program, b)) == (409, "outcome-unknown"), what
        if what != "conflict":
            refused = await change(program, link, c)
            assert told(refused) == (409, "outcome-unknown"), what
            assert 0 < int(refused.header("Retry-After") or 0) <= 60
            assert refused.json()["conflictField"] == "resource"
        upstream.script(behaviours.close_without_answer(), REFUSED, OK)
        assert told(await change(program, link, b)) == (502, "outcome-unknown"), what
        assert told(await change(program, link, b)) == (422, "refused"), what
        assert told(await create(program, b)) == (409, "outcome-unknown"), "a retry that is refused proves nothing"
        assert told(await change(program, link, b)) == (200, "updated"), what
        assert told(await create(program, b)) == (409, "duplicate"), what
        assert told(await change(program, link, c)) == (409, "outcome-unknown"), "the first one may happen yet"
        for claim in await operator.claims("entry=resource"):
            await operator.post(f"/claims/{claim['fingerprint']}/release", reason="over")
        upstream.script(OK, made("/users/x"), made("/users/y"))
        assert told(await change(program, link, c)) == (200, "updated"), what
        assert told(await create(program, a)) == (201, "created"), what
        assert told(await create(program, b)) == (201, "created"), what
        assert told(await create(program, c)) == (409, "duplicate"), what


async def test_two_retries_of_a_change_are_never_under_way_at_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """And no other change comes between them: a late one could give back what that has freed."""
    program = await gateway(store="memory:", rules=[followed(in_flight="wait")])
    held = Held(OK)
    upstream.script(made("/users/1"), behaviours.close_without_answer(), held, OK)
    assert told(await create(program, A)) == (201, "created")
    assert told(await change(program, "/users/1", B)) == (502, "outcome-unknown")
    retries = [asyncio.create_task(change(program, "/users/1", B)) for _ in range(2)]
    await held.waiting.reach(1)
    assert told(await change(program, "/users/1", C)) == (409, "outcome-unknown")
    assert told(await create(program, B)) == (409, "outcome-unknown")
    assert len(upstream.requests) == 3
    held.release()
    assert {told(await retry) for retry in retries} == {(200, "updated")}
    assert told(await change(program, "/users/1", C)) == (409, "outcome-unknown")
    assert told(await create(program, B)) == (409, "duplicate")


async def test_changes_of_a_thing_go_one_after_the_other(upstream: RawUpstream, gateway: StartGateway) -> None:
    """While one is under way, creates of both meet a held claim, and a client that leaves changes nothing."""
    each = [followed(in_flight="wait"), followed("team", "/teams", reject_after="0s")]
    program = await gateway(store="memory:", rules=each)
    for path in ("/users", "/teams"):
        held = Held(OK)
        upstream.script(made(f"{path}/1"), held, OK)
        assert told(await create(program, A, path=path)) == (201, "created")
        async with Client(program.port) as client:
            body = b'{"email": "b@example.org"}'
            await client.send_raw(request_bytes("PATCH", f"{path}/1", [HOST, JSON], body))
            await held.waiting.reach(1)
            assert told(await create(program, A, path=path)) == (409, "duplicate")
            second = asyncio.create_task(change(program, f"{path}/1", C))
            if path == "/teams":
                assert told(await second) == (409, "in-progress")
                assert told(await create(program, B, path=path)) == (409, "in-progress")
            await client.reset()
        held.release()
        if path == "/teams":
            while (await create(program, B, path=path)).slug == "in-progress":
                pass
            assert told(await change(program, f"{path}/1", C)) == (200, "updated")
        else:
            assert told(await second) == (200, "updated")
        upstream.script(made(f"{path}/2"), made(f"{path}/3"))
        assert told(await create(program, A, path=path)) == (201, "created")
        assert told(await create(program, B, path=path)) == (201, "created")
        assert told(await create(program, C, path=path)) == (409, "duplicate")


async def test_a_change_waits_for_a_delete_of_the_same_thing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(store="memory:", rules=[followed(in_flight="wait")])
    held = Held(GONE)
    upstream.script(made("/users/1"), held, behaviours.answer(404), made("/users/2"), made("/users/3"))
    assert told(await create(program, A)) == (201, "created")
    deleting = asyncio.create_task(delete(program, "/users/1"))
    await held.waiting.reach(1)
    changing = asyncio.create_task(change(program, "/users/1", B))
    assert told(await create(program, A)) == (409, "duplicate")
    held.release()
    assert told(await deleting) == (204, "released")
    assert told(await changing) == (404, "refused")
    assert told(await create(program, A)) == (201, "created")
    assert told(await create(program, B)) == (201, "created")


async def test_a_delete_while_an_earlier_change_is_unknown_frees_once_that_cannot_happen_any_more(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    quick = {"path": "/search?email={body.email}", "absent_after": "400ms"}
    program = await gateway(store="memory:", rules=[followed(verify=quick)])
    upstream.script(made("/users/1"), behaviours.close_without_answer(), GONE)
    assert told(await create(program, A)) == (201, "created")
    assert told(await change(program, "/users/1", B)) == (502, "outcome-unknown")
    assert told(await delete(program, "/users/1")) == (204, "released")
    seen = await create(program, A)
    assert told(seen) == (409, "duplicate")
    assert "expiresAt" in seen.json()
    upstream.default = made("/users/2")
    while told(await create(program, A)) == (409, "duplicate"):
        pass
    assert lines(upstream).count("POST /users") == 2


async def test_a_thing_that_is_not_known_is_from_its_first_change_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Where it was changed is its link. What a change does not name stays as it is."""
    names = [EMAIL, entry("body.login", name="login"), entry("body.first", "body.last", name="name")]
    program = await gateway(store="memory:", rules=[followed(unique=names, link="anyone")])
    assert told(await post(program, "/users/9", {"email": A}, method="PATCH")) == (200, "updated")
    seen = await post(program, "/users", {"email": A, "login": "x", "first": "x", "last": "y"})
    assert (told(seen), seen.json()["existingResourceLink"]) == ((409, "duplicate"), "/users/9")
    person = {"email": B, "login": "ada", "first": "Ada", "last": "Lovelace"}
    upstream.script(made("/users/1"))
    assert told(await post(program, "/users", person)) == (201, "created")
    assert told(await post(program, "/users/1", {"login": "al", "last": "King"}, method="PATCH")) == (200, "updated")
    other = {"email": C, "login": "other", "first": "O", "last": "T"}
    for key, value, taken in (
        ("email", B, True),
        ("login", "al", True),
        ("first", "Ada", False),
        ("login", "ada", False),
    ):
        upstream.script(made("/users/5"), GONE)
        seen = await post(program, "/users", {**other, key: value})
        assert told(seen) == ((409, "duplicate") if taken else (201, "created")), key
        if not taken:
            assert told(await delete(program, "/users/5")) == (204, "released")
    assert told(await post(program, "/users", {**person, "email": C, "login": "new"})) == (409, "duplicate")


async def test_what_changes_no_identity_passes_and_what_cannot_be_read_does_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    each = [followed(), followed("team", "/teams", missing="forward")]
    program = await gateway(store="memory:", rules=each)
    upstream.script(made("/users/1"))
    assert told(await create(program, A)) == (201, "created")
    assert told(await post(program, "/users/1", {"name": "Ada"}, method="PATCH")) == (200, None)
    assert told(await post(program, "/users/1/photo", {"email": B}, method="PUT")) == (200, None)
    assert told(await post(program, "/users/1", {"email": B})) == (201, None)
    patch = [("Content-Type", "application/json-patch+json"), HOST]
    body = b'[{"op": "replace", "path": "/email", "value": "b@example.org"}]'
    for path, seen in (("/users", (422, "missing-identity")), ("/teams", (200, "unguarded; reason=missing-identity"))):
        for fields, sent in ((patch, body), ([JSON, HOST], b'{"email": "b", "email": "c"}')):
            async with Client(program.port) as client:
                await client.send_raw(request_bytes("PATCH", f"{path}/1", fields, sent))
                assert told(await client.read_response("PATCH")) == seen
    assert told(await change(program, "/users//1", B)) == (400, "ambiguous-path")
    assert told(await change(program, "/users/1", B, ("X-HTTP-Method-Override", "PUT"))) == (400, "method-override")
    assert told(await create(program, A)) == (409, "duplicate")


async def test_an_identity_that_stays_is_held_on_and_belongs_to_whom_it_belonged(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store="memory:", rules=[followed()])
    upstream.script(made("/users/1"))
    assert told(await create(program, A, ADA)) == (201, "created")
    assert told(await change(program, "/users/1", A.upper(), BOB, method="PUT")) == (200, "updated")
    assert "existingResourceLink" in (await create(program, A, ADA)).json()
    assert told(await change(program, "/users/1", B, BOB)) == (200, "updated")
    assert "existingResourceLink" in (await create(program, B, ADA)).json()
    assert "existingResourceLink" not in (await create(program, B, BOB)).json()
    upstream.script(behaviours.close_without_answer(), OK)
    assert told(await change(program, "/users/1", B, method="PUT")) == (502, "outcome-unknown")
    assert told(await change(program, "/users/1", A)) == (409, "outcome-unknown")
    assert told(await create(program, B)) == (409, "duplicate")
    assert told(await change(program, "/users/1", B, method="PUT")) == (200, "updated")
    assert told(await create(program, B)) == (409, "duplicate")


async def test_things_of_two_tenants_may_have_the_same_link(upstream: RawUpstream, gateway: StartGateway) -> None:
    each = [followed(scope=["header.X-Tenant"]), followed("team", "/teams", scope=["host"])]
    program = await gateway(store="memory:", rules=each)
    for path, one, two in (
        ("/users", ("X-Tenant", "acme"), ("X-Tenant", "corp")),
        ("/teams", ("Host", "acme.example"), ("Host", "corp.example")),
    ):
        upstream.script(made(f"{path}/1"), made(f"{path}/1"), OK, made(f"{path}/2"))
        for fields in (one, two):
            assert told(await create(program, A, fields, path=path)) == (201, "created")
        assert told(await change(program, f"{path}/1", B, one)) == (200, "updated")
        assert told(await create(program, A, two, path=path)) == (409, "duplicate")
        assert told(await create(program, A, one, path=path)) == (201, "created")
        assert told(await create(program, B, one, path=path)) == (409, "duplicate")


async def test_what_was_created_before_the_rule_followed_it_keeps_its_identity(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A change that sends it once more is no duplicate of itself."""
    before = followed(release=[], update=[])
    program = await gateway(store="memory:", rules=[before, followed("team", "/teams")])
    upstream.script(made("/users/1"), made("/users/2"), made("/teams/1"))
    assert told(await create(program, A)) == (201, "created")
    assert told(await create(program, B)) == (201, "created")
    assert told(await create(program, A, path="/teams")) == (201, "created")
    program.file.write_text(rules(upstream.url, store="memory:", rules=[followed(), followed("team", "/teams")]))
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    assert told(await change(program, "/users/1", A, method="PUT")) == (200, "updated")
    assert told(await change(program, "/users/1", B, method="PUT")) == (409, "duplicate")
    assert told(await change(program, "/teams/1", A, ("Host", "other.example"), method="PUT")) == (200, "updated")
    assert told(await create(program, A)) == (409, "duplicate")
