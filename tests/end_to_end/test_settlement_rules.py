# What a rule may change about settling: which statuses mean what, and how long a claim is held.

import asyncio

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.scrape import scrape
from tests.support.shorthands import AGAIN, expect_next
from tests.support.upstream import RawUpstream


async def expect_statuses(program: GatewayProgram, upstream: RawUpstream, becomes: dict[int, str]) -> None:
    for status, became in becomes.items():
        upstream.script(behaviours.answer(status))
        email = f"{status}@example.org"
        assert (await create(program.port, email)).status == status
        await expect_next(program.port, upstream, email, became)


async def test_a_rule_may_take_failed_for_free(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(failed="free")])
    await expect_statuses(program, upstream, {500: "free", 502: "free", 400: "free", 201: "created"})


async def test_failed_as_free_does_not_loosen_what_got_no_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(failed="free")])
    upstream.script(behaviours.close_without_answer())
    assert (await create(program.port, AGAIN)).slug == "outcome-unknown"
    await expect_next(program.port, upstream, AGAIN, "unknown")


async def test_a_rule_may_say_which_statuses_mean_created_and_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(success=["201", "409"], refused=["202", "4xx"])])
    created, free, unknown = dict.fromkeys((201, 409), "created"), dict.fromkeys((202, 404), "free"), (200, 303, 503)
    await expect_statuses(program, upstream, created | free | dict.fromkeys(unknown, "unknown"))


async def until_created(port: int, email: str) -> list[str | None]:
    """Send the same create until it passes, and return the slugs on the way."""
    slugs: list[str | None] = []
    async with Client(port) as client:
        for _ in range(20_000):
            await client.send_raw(create_bytes(email))
            seen = await client.read_response("POST")
            if seen.status == 201:
                return slugs
            slugs.append(seen.slug)
    raise AssertionError("it never became free")


async def test_an_unknown_outcome_is_free_again_after_its_hold_and_the_log_says_so(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(unknown_hold="400ms")])
    upstream.script(behaviours.close_without_answer())
    assert (await create(program.port, AGAIN)).slug == "outcome-unknown"
    assert set(await until_created(program.port, AGAIN)) <= {"outcome-unknown"}
    lapsed = await program.wait_for_log(event="unknown-lapsed")
    assert (lapsed["level"], lapsed["rule"]) == ("warning", "create-user")
    assert lapsed["fingerprint"] == (await program.wait_for_log(outcome="created"))["fingerprint"]
    assert upstream.count("body.email", AGAIN) == 2
    assert (await scrape(program)).value("gateway_events_total", event="unknown-lapsed") == 1
    assert (await create(program.port, AGAIN)).slug == "duplicate"


async def test_a_created_identity_is_free_again_after_its_keep(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(keep="400ms")])
    assert (await create(program.port, AGAIN)).status == 201
    assert set(await until_created(program.port, AGAIN)) <= {"duplicate"}
    assert upstream.count("body.email", AGAIN) == 2
    assert not any(line.get("event") == "unknown-lapsed" for line in program.log)


async def test_an_operation_in_flight_never_becomes_free_by_the_clock(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Another identity outlives its keep and its hold many times over while the first one waits."""
    program = await gateway(rules=[create_user_rule(keep="20ms", unknown_hold="20ms")])
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    waiting = asyncio.create_task(create(program.port, AGAIN))
    await held.waiting.reach(1)
    for _ in range(5):
        assert await until_created(program.port, "other@example.org") is not None
        assert (await create(program.port, AGAIN)).slug == "in-progress"
    held.release()
    assert (await waiting).status == 201
    assert upstream.count("body.email", AGAIN) == 1
