# Creates that wait for the one in flight: what they get when it ends, and that they wait no longer than they should.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, let_it_work, post, rule
from tests.support.upstream import Behaviour, RawUpstream

ADA, K1 = ("Authorization", "Bearer ada"), ("Idempotency-Key", "k-1")
ORDER = {"email": "ada@example.org"}
CREATED = behaviours.answer(201, (), b"made")


def orders(**changes: Any) -> dict[str, Any]:
    return rule("order", "/orders", entry("body.email", name="email"), **{"in_flight": "wait", **changes})


async def send(program: GatewayProgram, *headers: tuple[str, str]) -> Response:
    return await post(program, "/orders", ORDER, *headers)


def held_at(api: RawUpstream, held: behaviours.Held) -> behaviours.Held:
    api.script(held)
    return held


async def waiting_behind_one(
    program: GatewayProgram, held: behaviours.Held, count: int, *headers: tuple[str, str]
) -> tuple["asyncio.Task[Response]", list["asyncio.Task[Response]"]]:
    """One create at the API, and `count` of the same that the gateway has read and not answered."""
    first = asyncio.create_task(send(program, *headers))
    await held.waiting.reach(1)
    others = [asyncio.create_task(send(program, *headers)) for _ in range(count)]
    await let_it_work(program)
    assert not any(task.done() for task in others)
    return first, others


async def test_thirty_that_wait_get_the_same_answer_when_their_key_is_the_same(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders(key={}, retry="replay")])
    held = held_at(api, behaviours.Held(CREATED))
    first, others = await waiting_behind_one(program, held, 29, ADA, K1)
    held.release()
    assert (await first).header("Idempotency-Status") == "created"
    for seen in await asyncio.gather(*others):
        assert (seen.status, seen.body, seen.header("Idempotency-Status")) == (201, b"made", "replayed")
    assert sum(request.method == "POST" for request in api.requests) == 1


@pytest.mark.parametrize(
    ("ending", "expected", "sent"),
    [
        (CREATED, ["duplicate"] * 5, 1),
        (behaviours.answer(400), [201, *["duplicate"] * 4], 2),
        (behaviours.answer(500), ["outcome-unknown"] * 5, 1),
    ],
)
async def test_those_that_wait_get_what_the_end_of_the_first_one_makes_of_them(
    api: RawUpstream, gateway: StartGateway, ending: Behaviour, expected: list[Any], sent: int
) -> None:
    """When it failed, one of them is the next first one, and the others wait for that."""
    program = await gateway(upstream={"url": api.url}, rules=[orders()])
    held = held_at(api, behaviours.Held(ending))
    first, others = await waiting_behind_one(program, held, 5)
    held.release()
    await first
    seen = await asyncio.gather(*others)
    assert sorted([str(answer.slug or answer.status) for answer in seen]) == sorted(map(str, expected))
    assert sum(request.method == "POST" for request in api.requests) == sent


async def test_nobody_waits_longer_than_the_rule_says_or_in_greater_number(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders(wait_timeout="1h", max_waiting_clients=2)])
    held = held_at(api, behaviours.Held(CREATED))
    first, others = await waiting_behind_one(program, held, 2)
    assert (await send(program)).slug == "in-progress", "a third one waited"
    assert not any(task.done() for task in others)
    held.release()
    assert (await first).status == 201
    assert {(await task).slug for task in others} == {"duplicate"}

    program = await gateway(upstream={"url": api.url}, rules=[orders(wait_timeout="300ms")])
    held = held_at(api, behaviours.Held(CREATED))
    first = asyncio.create_task(send(program))
    await held.waiting.reach(1)
    for seen in [await send(program) for _ in range(2)]:
        assert (seen.slug, seen.header("Retry-After")) == ("in-progress", "1")
    held.release()
    assert (await first).status == 201


async def test_a_client_that_leaves_waits_no_more_and_takes_nobodys_place(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders(max_waiting_clients=1)])
    held = held_at(api, behaviours.Held(behaviours.answer(400)))
    first, (left,) = await waiting_behind_one(program, held, 1)
    left.cancel()
    await asyncio.wait([left])
    line = await program.wait_for_log(event="request", outcome="cancelled")
    assert line["rule"] == "order"
    another = asyncio.create_task(send(program))
    await let_it_work(program)
    held.release()
    assert (await first).status == 400
    assert (await another).status == 201
    assert sum(request.method == "POST" for request in api.requests) == 2


async def test_those_that_wait_go_on_waiting_over_a_reload(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders()])
    held = held_at(api, behaviours.Held(CREATED))
    first, others = await waiting_behind_one(program, held, 2)
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    late = asyncio.create_task(send(program))
    await let_it_work(program)
    assert not late.done()
    held.release()
    assert (await first).status == 201
    assert {(await task).slug for task in [*others, late]} == {"duplicate"}
