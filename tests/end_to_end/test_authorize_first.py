# `before = "claim"`: the API is asked about a caller before anything is claimed. And whatever ends a question, before a
# claim or before an answer: nothing is held by it.

import asyncio
from typing import Any, Literal

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response, create_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import Behaviour, Call, RawUpstream, perform

ADA, EVE = ("Authorization", "Bearer ada"), ("Authorization", "Bearer eve")
ORDER = {"email": "ada@example.org"}
CREATED, REFUSED = behaviours.answer(201, [("Location", "/orders/1")]), behaviours.answer(401, (), b"who are you?")


def orders(before: Literal["claim", "answer"] = "claim", **changes: Any) -> dict[str, Any]:
    authorize = {"path": "/me", "before": before, "cache": "0s", **changes.pop("authorize", {})}
    changes = {"resource": "header.Location", "reject_after": "0s", "authorize": authorize, **changes}
    return rule("order", "/orders", entry("body.email", name="email"), **changes)


class Asked:
    """An API that answers questions with `me`, and creates whatever comes."""

    def __init__(self, me: Behaviour) -> None:
        self.me = me

    async def __call__(self, call: Call) -> None:
        await perform(self.me if call.request.target == "/me" else CREATED, call)


async def send(program: GatewayProgram, *headers: tuple[str, str]) -> Response:
    return await post(program, "/orders", ORDER, *headers)


def targets(api: RawUpstream) -> list[str]:
    return [request.target for request in api.requests]


@pytest.mark.parametrize("status", [401, 403])
async def test_whom_the_api_refuses_claims_nothing(status: int, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders()])
    upstream.default = api = Asked(behaviours.answer(status, [("X-Trace", "7")], b"who are you?"))
    seen = await send(program, EVE)
    assert (seen.status, seen.body, seen.header("X-Trace")) == (status, b"who are you?", "7")
    assert seen.header("Idempotency-Status") == "refused"
    assert targets(upstream) == ["/me"]
    api.me = behaviours.answer(200)
    assert (await send(program, ADA)).status == 201
    assert targets(upstream) == ["/me", "/me", "/orders"]


async def test_a_create_is_asked_about_once_also_when_it_is_answered(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(authorize={"cache": "60s"})])
    upstream.default = Asked(behaviours.answer(200))
    assert (await send(program, ADA)).status == 201
    assert (await send(program, ADA)).json()["existingResourceLink"] == "/orders/1"
    assert targets(upstream) == ["/me", "/orders"]
    assert (await send(program, EVE)).slug == "duplicate"
    assert targets(upstream) == ["/me", "/orders", "/me"]


async def test_while_the_api_says_neither_creates_go_on_and_are_guarded(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A question that fails must not stop all creates."""
    program = await gateway(rules=[orders()])
    upstream.default = Asked(behaviours.answer(503))
    assert (await send(program, ADA)).status == 201
    seen = await send(program, EVE)
    assert (seen.status, seen.slug) == (409, "duplicate")
    assert not {"existingResourceLink", "firstSeen", "expiresAt"} & set(seen.json())
    assert targets(upstream) == ["/me", "/orders", "/me"]


async def test_a_create_without_a_guard_is_not_asked_about(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders(missing="forward")])
    upstream.default = Asked(REFUSED)
    assert (await post(program, "/orders", {"name": "no e-mail"}, EVE)).status == 201
    assert targets(upstream) == ["/orders"]


@pytest.mark.parametrize("before", ["claim", "answer"])
async def test_a_client_that_leaves_amid_the_question_ends_it_and_holds_nothing(
    before: Literal["claim", "answer"], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(before)])
    held = behaviours.Held(behaviours.answer(200))
    upstream.default = api = Asked(held)
    if before == "answer":
        api.me = behaviours.answer(200)
        assert (await send(program, ADA)).status == 201
        api.me = held
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(ORDER["email"], path="/orders", headers=[ADA]))
        await held.waiting.reach(1)
    line = await program.wait_for_log(event="request", outcome="cancelled")
    assert (line["rule"], line["client_gone"]) == ("order", True)
    held.release()
    api.me = behaviours.answer(200)
    seen = await send(program, EVE)
    assert seen.slug == "duplicate" if before == "answer" else seen.status == 201
    assert targets(upstream).count("/orders") == 1


@pytest.mark.parametrize("before", ["claim", "answer"])
async def test_a_gateway_that_is_killed_amid_the_question_holds_nothing(
    before: Literal["claim", "answer"], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(before)])
    held = behaviours.Held(behaviours.answer(200))
    upstream.default = api = Asked(behaviours.answer(200))
    if before == "answer":
        assert (await send(program, ADA)).status == 201
    api.me = held
    sent = asyncio.create_task(send(program, ADA))
    await held.waiting.reach(1)
    await program.kill()
    with pytest.raises(ConnectionError):
        await sent
    api.me = behaviours.answer(200)
    await program.start()
    seen = await send(program, ADA)
    assert seen.slug == "duplicate" if before == "answer" else seen.status == 201
    assert targets(upstream).count("/orders") == 1


async def test_an_api_that_is_slow_to_say_holds_up_no_other_create(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders()])
    held = behaviours.Held(REFUSED)
    upstream.default = api = Asked(held)
    stranger = asyncio.create_task(send(program, EVE))
    await held.waiting.reach(1)
    api.me = behaviours.answer(200)
    assert (await send(program, ADA)).status == 201
    assert not stranger.done()
    held.release()
    assert (await stranger).status == 401
    assert targets(upstream).count("/orders") == 1
