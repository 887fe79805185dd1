# Clients that leave before their answer, amid it or amid their own body, and what becomes of their requests.


import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import AGAIN, LOOKED_UP, expect_next, expect_stored, get
from tests.support.tally import Tally
from tests.support.upstream import Behaviour, Call, RawUpstream


async def leave_amid(
    program: GatewayProgram, held: behaviours.Held, email: str, *, resets: bool = False, path: str = "/users"
) -> None:
    """Send a create and leave while the API holds it; when this returns, the gateway knows."""
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(email, path=path))
        await held.waiting.reach(1)
        if resets:
            await client.reset()
    async with Client(program.port) as bystander:  # its answer comes after the news that the client has left
        assert (await bystander.request("GET", "/")).status == 200


@pytest.mark.parametrize("resets", [False, True], ids=["closing", "resetting"])
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
    then: Behaviour, outcome: str, became: str, upstream: RawUpstream, gateway: StartGateway, *, resets: bool
) -> None:
    program = await gateway()
    for number, email in enumerate((AGAIN, LOOKED_UP)):
        held = behaviours.Held(then)
        upstream.script(held)
        await leave_amid(program, held, email, resets=resets)
        assert (await create(program.port, email)).slug == "in-progress", "given up with its client"
        held.release()
        lines = await program.request_lines(3 * (number + 1))
    (_, line) = [line for line in lines if line.get("client_gone")]
    assert (line["outcome"], line["rule"]) == (outcome, "create-user")
    await expect_next(program.port, upstream, AGAIN, became)
    await expect_stored(program, line, became)


@pytest.mark.parametrize("resets", [False, True], ids=["closing", "resetting"])
async def test_the_log_names_no_status_for_a_client_that_left_before_the_answer(
    upstream: RawUpstream, gateway: StartGateway, *, resets: bool
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    await leave_amid(program, held, AGAIN, resets=resets)
    held.release()
    line = await program.wait_for_log(client_gone=True)
    assert (line["status"], line["upstream_status"]) == (None, 201)


@pytest.mark.parametrize("path", ["/users", "/any"])
async def test_a_client_that_only_sends_no_more_still_gets_its_answer(
    path: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """From here it looks like one that has left; so the log does not say that it was answered."""
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201, [("Connection", "close")], b"still here"))
    upstream.script(held)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN, path=path))
        await client.say_no_more()
        await held.waiting.reach(1)
        assert (await get(program.port, "/bystander")).status == 200
        held.release()
        response = await client.read_response("POST")
        assert (response.status, response.body) == (201, b"still here")
        assert await client.wait_for_end() == "closed"
    line = await program.wait_for_log(client_gone=True)
    assert (line["status"], line["upstream_status"]) == (None, 201)


async def test_an_unguarded_request_whose_connection_is_lost_is_given_up(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The API hears of it at once, and may stop working on what nobody will read."""
    program = await gateway()
    heard: Tally[None] = Tally()

    async def until_told(call: Call) -> None:
        assert await call.reader.read() == b""
        heard.add(None)
        call.close()

    held = behaviours.Held(until_told)
    held.release()
    upstream.script(held)
    await leave_amid(program, held, AGAIN, resets=True, path="/any")
    await heard.reach(1)
    line = await program.wait_for_log(client_gone=True)
    assert (line["outcome"], line["status"], line.get("rule")) == ("cancelled", None, None)
    assert (await get(program.port, "/")).status == 200


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
