# Clients that leave before their answer, amid it or amid their own body, and what becomes of their creates.


import pytest

from tests.conftest import StartGateway
from tests.gateway.shorthands import AGAIN, LOOKED_UP, expect_next, expect_stored
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram
from tests.support.tally import Tally
from tests.support.upstream import Behaviour, Call, RawUpstream


async def leave_amid(program: GatewayProgram, held: behaviours.Held, email: str, number: int) -> None:
    """Send a create, leave while the API holds it, and let the API go on once the gateway knows."""
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(email))
        await held.waiting.reach(number)
    async with Client(program.port) as bystander:  # its answer comes after the news that the client has left
        assert (await bystander.request("GET", "/")).status == 200


@pytest.mark.parametrize(
    ("then", "outcome", "became"),
    [
        (behaviours.answer(201), "created", "created"),
        (behaviours.answer(400), "refused", "free"),
        (behaviours.answer(500), "failed", "unknown"),
        (behaviours.close_without_answer(), "outcome-unknown", "unknown"),
        (behaviours.reset_after_request(), "outcome-unknown", "unknown"),
        (behaviours.half_head(), "outcome-unknown", "unknown"),
        (behaviours.broken_body(), "created", "created"),
    ],
    ids=["201", "400", "500", "closed", "reset", "half-a-head", "broken-body"],
)
async def test_a_client_that_leaves_changes_nothing_about_settling(
    then: Behaviour, outcome: str, became: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for number, email in enumerate((AGAIN, LOOKED_UP)):
        held = behaviours.Held(then)
        upstream.script(held)
        await leave_amid(program, held, email, 1)
        assert (await create(program.port, email)).slug == "in-progress", "given up with its client"
        held.release()
        lines = await program.request_lines(3 * (number + 1))
    (_, line) = [line for line in lines if line.get("client_gone")]
    assert (line["outcome"], line["rule"]) == (outcome, "create-user")
    await expect_next(program.port, upstream, AGAIN, became)
    await expect_stored(program, line, became)


async def test_the_log_names_no_status_for_a_client_that_left_before_the_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    await leave_amid(program, held, AGAIN, 1)
    held.release()
    line = await program.wait_for_log(client_gone=True)
    assert (line["status"], line["upstream_status"]) == (None, 201)


async def test_a_client_that_leaves_in_the_midst_of_the_answer_leaves_the_create_created(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    ended: Tally[None] = Tally()

    async def endless(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await call.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        finally:
            ended.add(None)  # the gateway has no use for the rest, and says so

    for number, email in enumerate((AGAIN, LOOKED_UP), start=1):
        upstream.script(endless)
        async with Client(program.port) as client:
            await client.send_raw(create_bytes(email))
            await client.reader.readexactly(100_000)
        await ended.reach(number)
    _, line = await program.request_lines(2)
    assert (line["outcome"], line["client_gone"], line["status"]) == ("created", True, 201)
    await expect_next(program.port, upstream, AGAIN, "created")
    await expect_stored(program, line, "created")


@pytest.mark.parametrize("sent", [0, 10])
async def test_a_client_that_leaves_before_its_body_is_whole_created_nothing(
    sent: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    head, _, body = create_bytes(AGAIN).partition(b"\r\n\r\n")
    async with Client(program.port) as client:
        await client.send_raw(head + b"\r\n\r\n" + body[:sent])
    (line,) = await program.request_lines(1)
    assert line["outcome"] == "request-incomplete"
    assert not upstream.connections
    await expect_next(program.port, upstream, AGAIN, "free")
