# Guarding with each state of the store: in memory, unable to write, and done without.

import asyncio
from collections import Counter

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import create, create_bytes
from tests.support.program import rules
from tests.support.shorthands import post
from tests.support.upstream import RawUpstream


async def test_the_memory_store_guards_as_well_and_forgets_with_the_process(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store="memory:")
    outcomes = await burst(program.port, [create_bytes("ada@example.org")] * 40, 20)
    assert Counter(outcome.status for outcome in outcomes) == {201: 1, 409: 39}
    assert (await create(program.port)).slug == "duplicate"
    assert not list(program.directory.glob("gateway.db*"))
    await program.restart()
    assert (await create(program.port)).status == 201
    assert len(upstream.requests) == 2


async def test_a_store_that_cannot_write_lets_no_create_pass_and_disturbs_nothing_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port, "before@example.org")).status == 201
    with program.disk_full():
        for _ in range(3):
            seen = await create(program.port)
            assert (seen.status, seen.slug, seen.header("Retry-After")) == (503, "store-unavailable", "1")
            assert (await create(program.port, "before@example.org")).slug == "duplicate", "what is known is known"
            assert (await post(program, "/other", {"a": 1})).status == 201
    assert upstream.count("body.email", "ada@example.org") == 0
    assert (await create(program.port)).status == 201
    assert (await create(program.port)).slug == "duplicate"


async def test_a_create_in_flight_while_the_store_fails_is_answered_stays_held_and_is_settled_afterwards(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    with program.disk_full():
        held.release()
        assert (await first).status == 201
        await program.wait_for_log(event="settle-delayed")
        assert (await create(program.port)).status == 409
    while (again := await create(program.port)).slug == "in-progress":
        pass
    assert again.slug == "duplicate"
    assert await program.stop() == 0
    await program.start()
    assert (await create(program.port)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_creates_may_be_forwarded_without_a_store_marked_and_told(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules(upstream.url, on_failure="forward"))
    with program.disk_full():
        for _ in range(2):
            seen = await create(program.port)
            assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=store-unavailable")
        lines = await program.request_lines(2)
        assert {(line["outcome"], line["unguarded"]) for line in lines} == {("unguarded", "store-unavailable")}
    guarded = await create(program.port)
    assert (guarded.status, guarded.header("Idempotency-Gateway")) == (201, None)
    assert (await create(program.port)).slug == "duplicate"
