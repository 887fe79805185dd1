# What fails under a rule in shadow: no client learns more of it than without the rule.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.end_to_end.test_shadow import marks, shadow, told, would
from tests.support import behaviours, faults
from tests.support.client import Client, NoResponseError, request_bytes
from tests.support.program import rules
from tests.support.scrape import scrape
from tests.support.shorthands import JSON, post
from tests.support.upstream import RawUpstream, refused_port

ADA, EVE = {"email": "ada"}, {"email": "eve"}
needs_stopping = pytest.mark.skipif(faults.lacks_stopping() is not None, reason=f"needs {faults.lacks_stopping()}")


@pytest.mark.parametrize(("on_failure", "mark"), [("reject", "store-unavailable"), ("forward", "unguarded")])
async def test_a_store_that_fails_breaks_no_create(
    on_failure: str, mark: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[shadow()], on_failure=on_failure)
    assert await marks(program, ("/users", ADA), ("/users", ADA)) == ["created", would("duplicate")]
    with program.disk_full():
        assert await marks(program, ("/users", EVE), ("/users", ADA)) == [would(mark), would("duplicate")]
    counted = await scrape(program)
    assert counted.value("gateway_requests_total", rule="user", outcome="unguarded") == 0
    assert counted.value("gateway_requests_total", rule="user", outcome="store-unavailable") == 0
    assert counted.value("gateway_shadow_total", rule="user", entry="", would=mark) == 1
    while (await marks(program, ("/users", EVE))) != ["created"]:
        pass


@needs_stopping
async def test_a_store_that_does_not_answer_holds_up_one_create_and_reserves_nothing_for_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Both wait for at most a moment, and those that come after the first one not at all."""
    program = await gateway(rules=[shadow()])
    assert await marks(program, ("/users", ADA)) == ["created"]
    with faults.writer_stopped(program.pid):
        sends = [("/users", {"email": str(number)}) for number in range(5)]
        assert await marks(program, *sends) == [would("store-unavailable")] * 5
    assert "store-failure" not in program.events()
    while told(await post(program, "/users", EVE)) != "created":
        pass
    assert await marks(program, *sends) == ["created"] * 5
    assert await program.stop() == 0


async def test_what_the_api_does_is_what_the_client_gets_and_what_is_claimed(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Refused: free. Died: unknown, which blocks nobody. What would have been stopped may fail as any other."""
    program = await gateway(rules=[shadow()])
    upstream.script(
        behaviours.answer(422),
        behaviours.reset_after_request(),
        behaviours.reset_after_request(),
        behaviours.answer(500),
    )
    sends = [ADA, ADA, ADA, ADA, EVE, EVE]
    seen = [await post(program, "/users", body) for body in sends]
    assert [(answer.status, answer.slug, told(answer)) for answer in seen] == [
        (422, None, "refused"),
        (502, "outcome-unknown", "unknown"),
        (502, "outcome-unknown", would("outcome-unknown")),
        (500, None, would("outcome-unknown")),
        (201, None, "created"),
        (201, None, would("duplicate")),
    ]
    counted = await scrape(program)
    assert counted.value("gateway_claims", rule="user", state="unknown") == 1
    assert counted.value("gateway_unknown_oldest_seconds", rule="user") == 0, "it blocks nobody"


async def test_what_never_left_is_free(gateway: StartGateway) -> None:
    with refused_port() as port:
        program = await gateway(rules(port, rules=[shadow()]))
        for _ in range(2):
            seen = await post(program, "/users", ADA)
            assert (seen.status, seen.slug, told(seen)) == (502, "upstream-unreachable", "failed")


async def test_a_client_that_leaves_ends_what_holds_no_claim_and_nothing_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[shadow()])
    sent = request_bytes("POST", "/users", [JSON], b'{"email":"ada"}')
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held, held)
    async with Client(program.port) as first:
        await first.send_raw(sent)
        await held.waiting.reach(1)
        await first.reset()
    async with Client(program.port) as second:
        await second.send_raw(sent)
        await held.waiting.reach(2)
        await second.reset()
    await program.wait_for_log(outcome="cancelled")  # the second one: as without a rule
    held.release()
    lines = await program.request_lines(2)
    assert [(line["outcome"], line.get("would"), line["client_gone"]) for line in lines] == [
        ("cancelled", "in-progress", True), ("created", None, True),
    ]  # fmt: skip
    assert await marks(program, ("/users", ADA)) == [would("duplicate")]


async def test_a_body_that_breaks_off_claims_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[shadow()])
    sent = request_bytes("POST", "/users", [JSON], b'{"email":"ada"}')
    for path in ("/users", "/other"):
        async with Client(program.port) as client:
            await client.send_raw(sent[:-3].replace(b"/users", path.encode()))
            await client.say_no_more()
            with pytest.raises(NoResponseError):
                await client.read_response("POST")
    lines = await program.request_lines(2)
    assert [line.get("would") for line in lines] == ["request-incomplete", None]
    assert await marks(program, ("/users", ADA)) == ["created"]


async def test_a_gateway_that_is_killed_leaves_what_was_in_flight_unknown(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Once the rule is enforced, that blocks."""
    file = rules(upstream.url, rules=[shadow()])
    program = await gateway(file)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(post(program, "/users", ADA))
    await held.waiting.reach(1)
    await program.kill()
    with pytest.raises(ConnectionError):
        await first
    program.file.write_text(file.replace('"shadow"', '"enforce"'), encoding="utf-8")
    await program.start()
    assert (await post(program, "/users", ADA)).slug == "outcome-unknown"
