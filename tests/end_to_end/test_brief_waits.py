# A create that meets another one of its identity in flight waits for a moment, whatever its rule says: most of those
# end within it, and strangers whose creates the API refuses cannot keep an identity from its owner.

import asyncio
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response, request_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, let_it_work, post, rule
from tests.support.tally import Tally
from tests.support.upstream import Call, RawUpstream, perform

ORDER = {"email": "ada@example.org"}
OWNER = ("Authorization", "Bearer ada")
CREATED, REFUSED = behaviours.answer(201), behaviours.answer(401)


def orders(**changes: Any) -> dict[str, Any]:
    """Waits longer than by default, so that no test depends on how quick this machine is."""
    return rule("order", "/orders", entry("body.email", name="email"), **{"reject_after": "60s", **changes})


async def for_owners_only(call: Call) -> None:
    """Answer as an API that looks at the credentials first."""
    await perform(CREATED if call.request.header("Authorization") else REFUSED, call)


async def refuse_creates(call: Call) -> None:
    """Answer as an API whose caller may read, and no more."""
    await perform(behaviours.answer(200) if call.request.method == "GET" else REFUSED, call)


async def flood(program: GatewayProgram, refused: "Tally[Response]") -> None:
    async with Client(program.port) as stranger:
        while True:
            refused.add(await stranger.request("POST", "/orders", [JSON], b'{"email": "ada@example.org"}'))


async def test_strangers_whose_creates_are_refused_do_not_keep_an_identity_from_its_owner(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders()])
    api.default = for_owners_only
    refused: Tally[Response] = Tally()
    strangers = [asyncio.create_task(flood(program, refused)) for _ in range(4)]
    try:
        await refused.reach(40)
        assert (await post(program, "/orders", ORDER, OWNER)).status == 201
    finally:
        for stranger in strangers:
            stranger.cancel()
        await asyncio.wait(strangers)
    assert sum(request.header("Authorization") is not None for request in api.requests) == 1
    assert {seen.status for seen in refused} <= {401, 409}


async def test_a_claim_that_becomes_free_goes_to_who_has_waited_longest(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders()])
    held = behaviours.Held(REFUSED)
    api.script(held)
    api.default = refuse_creates
    sent = []
    for number in range(6):
        sent.append(asyncio.create_task(post(program, "/orders", ORDER, ("X-Number", str(number)))))
        await held.waiting.reach(1)
        await let_it_work(program)
    held.release()
    assert {(await task).status for task in sent} == {401}
    numbers = [request.header("X-Number") for request in api.requests if request.method == "POST"]
    assert numbers == ["0", "1", "2", "3", "4", "5"]


async def test_a_second_click_is_told_how_the_first_one_ended(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[orders()])
    held = behaviours.Held(CREATED)
    api.script(held)
    first = asyncio.create_task(post(program, "/orders", ORDER))
    await held.waiting.reach(1)
    second = asyncio.create_task(post(program, "/orders", ORDER))
    await let_it_work(program)
    assert not second.done()
    held.release()
    assert ((await first).status, (await second).slug) == (201, "duplicate")


async def test_after_the_wait_it_is_told_that_the_first_one_is_in_progress(
    api: RawUpstream, gateway: StartGateway
) -> None:
    """With what a rule has by default, and at once where it says so."""
    program = await gateway(
        upstream={"url": api.url},
        rules=[orders(reject_after="250ms"), {**orders(reject_after="0s"), "name": "now", "match": {"path": "/now"}}],
    )
    held = behaviours.Held(CREATED)
    api.default = held
    for path in ("/orders", "/now"):
        first = asyncio.create_task(post(program, path, ORDER))
        await held.waiting.reach(len(held.waiting) + 1)
        seen = await post(program, path, ORDER)
        assert (seen.status, seen.slug, seen.header("Retry-After")) == (409, "in-progress", "1")
        assert not first.done()
        first.cancel()


async def test_a_create_that_keeps_its_body_back_waits_before_it_is_asked_for_it(
    api: RawUpstream, gateway: StartGateway
) -> None:
    by_header = rule("order", "/orders", entry("header.X-Ref", name="ref"), reject_after="60s")
    program = await gateway(upstream={"url": api.url}, rules=[by_header])
    held = behaviours.Held(REFUSED)
    api.script(held)
    expecting = [("X-Ref", "7"), ("Expect", "100-continue"), ("Content-Length", "2")]
    async with Client(program.port) as first, Client(program.port) as second:
        await first.send_raw(request_bytes("POST", "/orders", [("X-Ref", "7")], b"{}"))
        await held.waiting.reach(1)
        await second.send_raw(request_bytes("POST", "/orders", expecting))
        await let_it_work(program)
        held.release()
        assert (await first.read_response("POST")).status == 401
        assert await second.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await second.send_raw(b"{}")
        assert (await second.read_response("POST")).status == 201
