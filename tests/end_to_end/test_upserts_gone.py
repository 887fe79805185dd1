# Duplicates that are sent to what exists no more, and those that get no answer: what is freed, and what is not.

import asyncio
import json

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, NoResponseError, request_bytes
from tests.support.program import GatewayProgram
from tests.support.request import Request
from tests.support.shorthands import entry, let_it_work, post
from tests.support.upserts import ADA, BOB, CHANGED, CREATED, EMAIL, UPDATED, USER, lines, told, upserted, users
from tests.support.upstream import Behaviour, Call, RawUpstream, perform


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_gone_frees_its_claims_and_the_create_is_a_first_one(
    upstream: RawUpstream, gateway: StartGateway, status: int
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED, behaviours.answer(status, (), b"no such user"))
    await post(program, "/users", USER, ADA)
    upstream.script(behaviours.answer(201, [("Location", "/users/8")], b"anew"), UPDATED)
    seen = await post(program, "/users", CHANGED, ADA)
    assert (told(seen), seen.body) == ((201, "created", None), b"anew")
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
    assert lines(upstream) == ["POST /users", "PUT /users/7", "POST /users", "PUT /users/8"]
    assert json.loads(upstream.requests[2].body) == CHANGED
    line = await program.wait_for_log(event="resource-gone")
    assert set(line) == {"time", "event", "level", "rule", "fingerprint"}


async def test_404_to_another_caller_may_hide_the_thing_and_410_cannot(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[users(link="anyone")])
    seen = await upserted(program, upstream, behaviours.answer(404), BOB)
    assert told(seen) == (409, "duplicate", "duplicate")
    upstream.script(behaviours.answer(410), CREATED)
    assert told(await post(program, "/users", USER, BOB)) == (201, "created", None)
    assert lines(upstream) == ["POST /users", "PUT /users/7", "PUT /users/7", "POST /users"]


async def test_only_claims_of_what_is_gone_are_freed(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A create that meets two things is sent to both of them, to each once, before it is a first one."""
    guarded = users(unique=[EMAIL, entry("body.phone", name="phone")])
    program = await gateway(rules=[guarded])
    upstream.script(CREATED, behaviours.answer(201, [("Location", "/users/8")]))
    await post(program, "/users", {"email": "a@x", "phone": "1"}, ADA)
    await post(program, "/users", {"email": "b@x", "phone": "2"}, ADA)
    upstream.script(behaviours.answer(404), UPDATED)
    assert told(await post(program, "/users", {"email": "a@x", "phone": "2"}, ADA)) == (200, "upserted", None)
    assert lines(upstream)[2:] == ["PUT /users/7", "PUT /users/8"]
    upstream.script(behaviours.answer(404), CREATED)
    assert told(await post(program, "/users", {"email": "c@x", "phone": "1"}, ADA)) == (201, "created", None), (
        "a claim that was not met is not freed, and its thing is asked for by the next create that meets it"
    )
    assert lines(upstream)[4:] == ["PUT /users/7", "POST /users"]


async def test_of_many_at_once_one_is_the_first_one_again(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users(reject_after="1h", max_waiting_clients=1000)])
    upstream.script(CREATED)
    await post(program, "/users", USER, ADA)
    is_there = False

    async def api(call: Call) -> None:
        nonlocal is_there
        if call.request.method == "POST":
            assert not is_there, "made twice"
            is_there = True
            await perform(behaviours.answer(201, [("Location", "/users/8")]), call)
        elif call.request.target == "/users/8":
            await perform(UPDATED, call)
        else:
            await perform(behaviours.answer(404), call)

    upstream.default = api
    seen = await asyncio.gather(*[post(program, "/users", USER, ADA) for _ in range(20)])
    assert sorted(answer.header("Idempotency-Status") or "" for answer in seen) == ["created", *["upserted"] * 19]
    assert sum(request.method == "POST" for request in upstream.requests) == 2


async def test_a_store_that_cannot_free_is_503_and_nothing_is_forwarded(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED)
    await post(program, "/users", USER, ADA)
    upstream.default = behaviours.answer(404)
    with program.disk_full():
        seen = await post(program, "/users", USER, ADA)
    assert told(seen) == (503, "failed", "store-unavailable")
    assert seen.header("Retry-After") == "1"
    assert lines(upstream) == ["POST /users", "PUT /users/7"]
    upstream.script(behaviours.answer(404), CREATED)
    assert told(await post(program, "/users", USER, ADA)) == (201, "created", None)


# Failures


@pytest.mark.parametrize(
    ("behaviour", "told_as"),
    [
        (behaviours.close_without_answer(), (502, "unknown", "outcome-unknown")),
        (behaviours.reset_after_head(), (502, "unknown", "outcome-unknown")),
        (behaviours.half_head(), (502, "unknown", "outcome-unknown")),
        (behaviours.never, (504, "unknown", "outcome-unknown")),
    ],
)
async def test_one_that_got_no_answer_is_told_so_and_is_not_sent_again(
    upstream: RawUpstream, gateway: StartGateway, behaviour: Behaviour, told_as: tuple[int, str, str]
) -> None:
    program = await gateway(upstream={"url": upstream.url, "response_timeout": "1s"}, rules=[users()])
    assert told(await upserted(program, upstream, behaviour)) == told_as
    assert len(upstream.started) == 2
    upstream.script(UPDATED)
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None), "the identity is created still"


async def test_an_api_that_cannot_be_reached_is_told_as_such(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED)
    await post(program, "/users", USER, ADA)
    await upstream.close()
    assert told(await post(program, "/users", USER, ADA)) == (502, "failed", "upstream-unreachable")


async def test_an_answer_that_breaks_off_takes_the_connection_with_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED, behaviours.broken_body(status=200))
    await post(program, "/users", USER, ADA)
    with pytest.raises(BrokenBodyError) as broken:
        await post(program, "/users", USER, ADA)
    assert broken.value.response.header("Idempotency-Status") == "upserted"
    upstream.script(UPDATED)
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)


async def leaves(program: GatewayProgram, held: behaviours.Held) -> None:
    """A client sends a duplicate, and leaves once that is at the API."""
    async with Client(program.port) as client:
        await client.send_raw(
            request_bytes("POST", "/users", [("Content-Type", "application/json"), ADA], json.dumps(USER).encode())
        )
        await held.waiting.reach(1)


@pytest.mark.parametrize(("status", "outcome"), [(200, "upserted"), (404, "created")])
async def test_a_client_that_leaves_changes_nothing(
    upstream: RawUpstream, gateway: StartGateway, status: int, outcome: str
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED)
    await post(program, "/users", USER, ADA)
    held = behaviours.Held(behaviours.answer(status))
    upstream.script(held)
    await leaves(program, held)
    await let_it_work(program)
    held.release()
    await program.wait_for_log(event="request", outcome=outcome, client_gone=True)
    posts = [request for request in upstream.requests if request.target == "/users"]
    assert len(posts) == (1 if status == 200 else 2)


async def killed_amid(program: GatewayProgram, upstream: RawUpstream) -> list[Request]:
    """Kill the gateway while a duplicate is at the API, and start it again."""
    held = behaviours.Held(UPDATED)
    upstream.script(held)
    sending = asyncio.create_task(post(program, "/users", USER, ADA))
    await held.waiting.reach(1)
    await program.kill()
    with pytest.raises(NoResponseError):
        await sending
    await program.start()
    return list(upstream.requests)


async def test_a_gateway_that_is_killed_amid_one_has_settled_nothing(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(CREATED)
    await post(program, "/users", USER, ADA)
    assert len(await killed_amid(program, upstream)) == 2
    upstream.script(UPDATED)
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
    assert lines(upstream) == ["POST /users", "PUT /users/7", "PUT /users/7"]
