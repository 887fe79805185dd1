# What befalls the store's file while creates arrive: a slice of the campaign of that name, with each fault felt for a
# moment; and what a client and the operator see of a commit that does not end.

import asyncio
from pathlib import Path

import pytest

from campaigns.store_faults.__main__ import look_at
from campaigns.store_faults.cases import FAULTS, Fault, chosen
from tests.conftest import StartGateway
from tests.support import behaviours, faults
from tests.support.client import create
from tests.support.program import rules
from tests.support.scrape import scrape
from tests.support.shorthands import get
from tests.support.upstream import RawUpstream

needs_stopping = pytest.mark.skipif(faults.lacks_stopping() is not None, reason=f"needs {faults.lacks_stopping()}")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_no_fault_of_the_store_lets_a_create_go_on_without_a_commit_or_disturbs_what_passes(
    fault: Fault, tmp_path: Path
) -> None:
    if lacks := fault.lacks():
        pytest.skip(f"needs {lacks}")
    seen = await look_at(fault, 0, tmp_path)
    assert seen.broken() == []
    assert (seen.refused > 0) is fault.refuses
    assert (seen.unguarded > 0) is (fault.on_failure == "forward")
    assert seen.creates > 0
    assert seen.passed > 0


def test_the_campaign_names_what_it_does_not_know() -> None:
    with pytest.raises(Exception, match=r"there is no fault fire; there are disk-full, .*"):
        chosen("disk-full,fire")
    assert [fault.name for fault in chosen("slow,removed")] == ["slow", "removed"]


@needs_stopping
async def test_a_create_whose_commit_does_not_end_is_refused_and_its_identity_is_free_afterwards(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port, "before@example.org")).status == 201
    with faults.writer_stopped(program.pid):
        # the first one's turn is under way, and is committed when the thread goes on; the others wait behind it
        answers = await asyncio.gather(*[create(program.port, f"user-{n}@example.org") for n in range(5)])
        for seen in answers:
            assert (seen.status, seen.slug, seen.header("Retry-After")) == (503, "store-unavailable", "1")
        ready = await get(program.admin_port, "/readyz")
        assert (ready.status, ready.json()["reason"]) == (
            503,
            "the store cannot commit: the store took longer than 0.8 s to commit",
        )
        assert (await get(program.port, "/other")).status == 200
        failure = await program.wait_for_log(event="store-failure")
        assert failure["reason"] == "the store took longer than 0.8 s to commit"
    assert len([request for request in upstream.requests if request.method == "POST"]) == 1
    for number in range(5):
        assert (await create(program.port, f"user-{number}@example.org")).status == 201
        assert (await create(program.port, f"user-{number}@example.org")).slug == "duplicate"


@needs_stopping
async def test_a_create_whose_settlement_is_not_written_in_time_is_answered_and_settled_later(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    with faults.writer_stopped(program.pid):
        held.release()
        assert (await first).status == 201
        delayed = await program.wait_for_log(event="settle-delayed")
        assert delayed["reason"] == "the store took longer than 0.8 s to commit"
    while (again := await create(program.port)).slug == "in-progress":
        pass
    assert again.slug == "duplicate"
    await program.kill()
    await program.start()
    assert (await create(program.port)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_a_store_that_is_not_put_back_takes_nothing_until_a_restart_and_then_what_lies_there(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Its file is removed for good: whatever was forwarded meanwhile would be forgotten by the restart."""
    program = await gateway()
    assert (await create(program.port, "before@example.org")).status == 201
    for name in ("gateway.db", "gateway.db-wal"):
        (program.directory / name).unlink()
    for number in range(10):
        seen = await create(program.port, f"user-{number}@example.org")
        assert (seen.status, seen.slug) == (503, "store-unavailable")
        assert (await create(program.port, "before@example.org")).slug == "duplicate", "what is known is known"
    ready = await get(program.admin_port, "/readyz")
    assert (ready.status, ready.json()["reason"]) == (
        503,
        (
            "the store cannot commit: gateway.db was removed or moved while it was open; put it back, or restart the "
            "gateway"
        ),
    )
    await program.restart()
    assert (await get(program.admin_port, "/readyz")).status == 200
    assert len(upstream.requests) == 1
    for number in range(10):
        assert (await create(program.port, f"user-{number}@example.org")).status == 201


async def test_creates_forwarded_without_a_store_are_marked_and_counted(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also when the store fails because its file is gone, not only because it cannot write."""
    program = await gateway(rules(upstream.url, on_failure="forward"))
    with faults.moved_away(program.directory / "gateway.db"):
        for _ in range(3):
            seen = await create(program.port)
            assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=store-unavailable")
    metrics = await scrape(program)
    assert metrics.value("gateway_requests_total", rule="create-user", outcome="unguarded") == 3
    assert metrics.value("gateway_events_total", event="store-failure") == 3
    guarded = await create(program.port)
    assert (guarded.status, guarded.header("Idempotency-Gateway")) == (201, None)
    assert (await create(program.port)).slug == "duplicate"
