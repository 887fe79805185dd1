# The API's own constraint says that a thing exists: what becomes of the claims, and what the next create gets.

from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response, create_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import DAY, entry, post, rule
from tests.support.store import stored_claims
from tests.support.upstream import RawUpstream

ADA = ("Authorization", "Bearer ada")
EMAIL, USERNAME = entry("body.email", name="email"), entry("body.username", name="username")
TAKEN = behaviours.answer(409, [("Location", "/users/7"), ("Content-Type", "application/json")], b'{"error": "taken"}')
USER = {"email": "ada@example.org", "username": "ada"}


def users(*unique: Any, **changes: Any) -> dict[str, Any]:
    usual = {"exists": ["409"], "resource": "header.Location", **changes}
    return rule("user", "/users", *(unique or (EMAIL,)), **usual)


def told(seen: Response) -> tuple[int, str | None, str | None]:
    return seen.status, seen.header("Idempotency-Status"), seen.slug


async def send(program: GatewayProgram, *fields: tuple[str, str], **changes: str) -> Response:
    return await post(program, "/users", {**USER, **changes}, ADA, *fields)


def states(program: GatewayProgram) -> dict[str, str]:
    return {claim.entry: claim.state for claim in stored_claims(program.directory / "gateway.db")}


async def test_the_apis_word_makes_the_identity_created_and_is_passed_on(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users()])
    api.script(TAKEN)
    first = await send(program)
    assert (told(first), first.body) == ((409, "duplicate", None), b'{"error": "taken"}')
    assert first.header("Location") == "/users/7"
    second = await send(program)
    assert told(second) == (409, "duplicate", "duplicate")
    assert second.json()["existingResourceLink"] == "/users/7"
    assert len(api.requests) == 1
    line = await program.wait_for_log(event="request", outcome="exists")
    assert (line["status"], line["upstream_status"]) == (409, 409)
    assert await program.stop() == 0
    assert states(program) == {"email": "created"}


async def test_it_outlives_the_gateway_and_ends_after_keep(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(keep="7d", unknown_hold="1m")])
    api.script(TAKEN)
    await send(program)
    await program.kill()
    await program.start()
    assert told(await send(program)) == (409, "duplicate", "duplicate")
    assert len(api.requests) == 1
    assert await program.stop() == 0
    (claim,) = stored_claims(program.directory / "gateway.db")
    assert claim.expires_at is not None
    assert claim.expires_at - claim.first_seen >= 7 * DAY


async def test_without_exists_the_same_answer_leaves_the_outcome_unknown(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(exists=[])])
    api.script(TAKEN)
    assert told(await send(program)) == (409, "unknown", None)
    assert told(await send(program)) == (409, "unknown", "outcome-unknown")


@pytest.mark.parametrize("key", [None, "k-1"])
async def test_of_several_entries_the_named_one_is_created_and_the_others_are_free(
    api: RawUpstream, gateway: StartGateway, key: str | None
) -> None:
    """Also the key: its retry asks the gateway again, and meets what exists."""
    keys = [] if key is None else [("Idempotency-Key", key)]
    guarded = users(EMAIL, USERNAME, exists_entry="username", **({} if key is None else {"key": {}}))
    program = await gateway(upstream={"url": api.url}, rules=[guarded])
    api.script(TAKEN)
    assert told(await send(program, *keys)) == (409, "duplicate", None)
    again = await send(program, *keys)
    assert told(again) == (409, "duplicate", "duplicate")
    assert again.json()["conflictField"] == "username"
    other = await send(program, *keys, username="ada2")
    assert told(other) == (201, "created", None), "with another username the e-mail, and the key, are free"
    assert told(await send(program, username="ada3")) == (409, "duplicate", "duplicate")
    assert len(api.requests) == 2
    assert await program.stop() == 0
    expected = ["created"] * (3 if key is None else 4)
    assert [claim.state for claim in stored_claims(program.directory / "gateway.db")] == expected


async def test_a_duplicate_of_what_exists_gets_what_the_rule_says(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(duplicate="accept")])
    api.script(TAKEN)
    assert told(await send(program)) == (409, "duplicate", None)
    seen = await send(program)
    assert (told(seen), seen.json()["existingResourceLink"]) == ((200, "accepted", None), "/users/7")


async def test_the_link_may_come_from_the_body_and_may_be_missing(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(resource="/users/{body.user.id}")])
    kind = ("Content-Type", "application/json")
    bodies = [b'{"user": {"id": 7}}', b'{"error": "taken"}']
    api.script(
        behaviours.chunked([bodies[0][:5], bodies[0][5:]], 409, [kind]), behaviours.answer(409, [kind], bodies[1])
    )
    for email, body, link in (("a@x", bodies[0], "/users/7"), ("b@x", bodies[1], None)):
        assert (await send(program, email=email)).body == body
        assert (await send(program, email=email)).json().get("existingResourceLink") == link


async def test_the_answer_is_not_stored_for_retries(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(key={}, retry="replay", retry_window="1h")])
    api.script(TAKEN, TAKEN)
    for email, fields in (("a@x", []), ("b@x", [("Idempotency-Key", "k-1")])):
        seen = [await send(program, *fields, email=email) for _ in range(2)]
        assert [told(answer) for answer in seen] == [(409, "duplicate", None), (409, "duplicate", "duplicate")]
        assert all(answer.header("Idempotent-Replayed") is None for answer in seen)
    assert len(api.requests) == 2


async def test_it_counts_although_its_body_breaks_off_and_its_client_has_left(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[users(resource="/users/{body.id}")])
    api.script(behaviours.broken_body(status=409))
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(USER["email"], username=USER["username"]))
        await api.wait_for_requests(1)
    await program.wait_for_log(event="request", outcome="exists")
    assert told(await send(program)) == (409, "duplicate", "duplicate")
