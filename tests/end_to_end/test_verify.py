# A create that meets one of unknown outcome: the API is asked, and what it says is believed when it is certain.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response, create, create_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import let_it_work
from tests.support.upstream import Behaviour, RawUpstream
from tests.support.users_api import JSON, UsersApi, creates, questions, until_it_is_known, verified_rule

ADA = "ada@example.org"
HOUR = 3600
LATE = {"absent_after": "1h"}
HELD = {"unknown_hold": "2h"}
QUICK = {"response_timeout": "300ms"}


def expect_duplicate(seen: Response, link: str | None = "/users/1") -> None:
    assert (seen.status, seen.slug) == (409, "duplicate")
    assert seen.json().get("existingResourceLink") == link


async def test_an_api_that_committed_and_timed_out_is_asked_and_its_row_is_linked(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream=QUICK, rules=[verified_rule(LATE, **HELD)])

    async def commit_and_hang(call: Any) -> None:
        users.rows.append(call.request.json()["email"])
        await behaviours.never(call)

    users.on_create = commit_and_hang
    assert (await create(program.port)).status == 504
    for _ in range(3):
        expect_duplicate(await create(program.port))
    assert (len(creates(upstream)), len(questions(upstream))) == (1, 1)
    line = await program.wait_for_log(event="verified")
    told = {"rule": "create-user", "verdict": "exists", "by": "create", "reason": "found", "level": "info"}
    assert told.items() <= line.items()
    assert set(line) - set(told) == {"time", "event", "fingerprint"}


async def test_an_api_that_commits_after_it_timed_out_is_not_believed_before(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream=QUICK, rules=[verified_rule(LATE, **HELD)])
    held = behaviours.Held(users.commit)
    users.on_create = held
    assert (await create(program.port)).status == 504
    for _ in range(2):
        seen = await create(program.port)
        assert (seen.status, seen.slug) == (409, "outcome-unknown")
        assert HOUR - 600 < int(seen.header("Retry-After") or 0) <= HOUR
    held.release()
    expect_duplicate(await create(program.port))
    assert (len(creates(upstream)), len(questions(upstream))) == (1, 3)
    await program.wait_for_log(event="verified", verdict="unclear", reason="absent, and too early to believe it")


async def test_what_did_not_happen_is_forwarded_once_that_is_certain(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    users.on_create = users.lose
    assert (await create(program.port)).status == 502
    users.on_create = users.commit
    seen = await until_it_is_known(program.port)
    assert (seen.status, seen.header("Location"), seen.header("Idempotency-Status")) == (201, "/users/1", "created")
    expect_duplicate(await create(program.port))
    assert len(creates(upstream)) == 2
    await program.wait_for_log(event="verified", verdict="absent", reason="not found")


NOTHING_SAID: dict[str, Behaviour] = {
    "500": behaviours.answer(500, [JSON], b'{"items": []}'),
    "503": behaviours.answer(503, [("Retry-After", "1")]),
    "302": behaviours.answer(302, [("Location", "/login")]),
    "401": behaviours.answer(401, [JSON], b'{"items": []}'),
    "403": behaviours.answer(403),
    "garbage": behaviours.raw(b"\x16\x03\x01 nonsense\r\n\r\n"),
    "no JSON": behaviours.answer(200, [("Content-Type", "text/html")], b'{"items": []}'),
    "half of it": behaviours.broken_body(status=200, headers=[JSON], body=b'{"items": []'),
    "half of the chunks": behaviours.broken_body(status=200, headers=[JSON], body=b'{"items": []}', is_chunked=True),
    "half a head": behaviours.half_head(status=200),
    "an error": behaviours.answer(200, [JSON], b'{"items": [], "error": "try later"}'),
    "another shape": behaviours.answer(200, [JSON], b'{"items": [{"uuid": 7}]}'),
    "too much": behaviours.answer(200, [JSON], b'{"items": []' + b" " * 2**18 + b"}"),
    "from a cache": behaviours.answer(200, [JSON, ("Age", "90")], b'{"items": []}'),
    "nothing": behaviours.close_without_answer(),
    "never": behaviours.never,
}


@pytest.mark.parametrize("said", NOTHING_SAID)
async def test_an_answer_that_says_nothing_changes_nothing(
    said: str, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """And it is asked again by the next create."""
    program = await gateway(upstream=QUICK if said == "never" else {}, rules=[verified_rule()])
    users.on_create = users.commit_and_close
    assert (await create(program.port)).status == 502
    users.on_create = users.commit
    users.on_search = NOTHING_SAID[said]
    for _ in range(2):
        seen = await create(program.port)
        assert (seen.status, seen.slug) == (409, "outcome-unknown")
        assert HOUR - 600 < int(seen.header("Retry-After") or 0) <= HOUR, "its hold is an hour"
    users.on_search = users.search
    expect_duplicate(await create(program.port))
    assert len(creates(upstream)) == 1
    assert len({request.target for request in questions(upstream)}) == 1


async def test_a_look_up_without_found_says_it_by_its_status(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    rule = verified_rule()
    rule["verify"] = {"path": "/users/{body.email}", "absent_after": "1ms"}
    program = await gateway(rules=[rule])
    for email, ending in ((ADA, users.commit_and_close), ("eve@example.org", users.lose)):
        users.on_create = ending
        assert (await create(program.port, email)).status == 502
    users.on_create = users.commit
    expect_duplicate(await create(program.port), link=None)
    assert (await until_it_is_known(program.port, "eve@example.org")).status == 201
    assert [bytes(request.raw).split(b" ")[1] for request in questions(upstream)[:2]] == [
        b"/users/ada%40example.org",
        b"/users/eve%40example.org",
    ]


@pytest.mark.parametrize(("exists", "forwarded"), [(True, 0), (False, 1)])
async def test_of_fifty_at_once_one_asks_and_the_others_wait_for_what_it_is_told(
    exists: bool, forwarded: int, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(in_flight="wait")])
    users.on_create = users.commit_and_close if exists else users.lose
    assert (await create(program.port)).status == 502
    users.on_create = users.commit
    held = behaviours.Held(users.search)
    users.on_search = held
    sending = [asyncio.create_task(create(program.port)) for _ in range(50)]
    await held.waiting.reach(1)
    await let_it_work(program)
    assert not any(task.done() for task in sending)
    held.release()
    seen = await asyncio.gather(*sending)
    assert sum(answer.status == 201 for answer in seen) == forwarded
    assert sum(answer.slug == "duplicate" for answer in seen) == 50 - forwarded
    assert (len(questions(upstream)), len(creates(upstream))) == (1, 1 + forwarded)


async def test_of_fifty_at_once_those_that_do_not_wait_are_told_to_come_again(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(reject_after="0s")])
    users.on_create = users.commit_and_close
    assert (await create(program.port)).status == 502
    held = behaviours.Held(users.search)
    users.on_search = held
    sending = [asyncio.create_task(create(program.port)) for _ in range(50)]
    pending = set(sending)
    while len(pending) > 1:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    held.release()
    expect_duplicate(await pending.pop())
    others = [task.result() for task in sending if task.result().slug == "outcome-unknown"]
    assert [answer.header("Retry-After") for answer in others] == ["1"] * 49
    assert (len(questions(upstream)), len(creates(upstream))) == (1, 1)


@pytest.mark.parametrize("most", [1, 100])
async def test_no_more_wait_for_an_answer_than_the_rule_allows(
    most: int, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(in_flight="wait", max_waiting_clients=most)])
    users.on_create = users.commit_and_close
    assert (await create(program.port)).status == 502
    held = behaviours.Held(behaviours.answer(500))
    users.on_search = held
    sending = [asyncio.create_task(create(program.port)) for _ in range(4)]
    await held.waiting.reach(1)
    await let_it_work(program)
    assert sum(task.done() for task in sending) == max(0, 3 - most)
    held.release()
    assert {answer.slug for answer in await asyncio.gather(*sending)} == {"outcome-unknown"}
    assert len(questions(upstream)) == 1, "those that waited for an answer that says nothing do not ask again"


async def test_a_client_that_leaves_amid_the_question_takes_the_answer_from_nobody(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(in_flight="wait")])
    users.on_create = users.lose
    assert (await create(program.port)).status == 502
    users.on_create = users.commit
    held = behaviours.Held(users.search)
    users.on_search = held
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(ADA))
        await held.waiting.reach(1)
        others = [asyncio.create_task(create(program.port)) for _ in range(5)]
        await let_it_work(program)
        await client.reset()
    await program.wait_for_log(event="request", outcome="cancelled")
    held.release()
    statuses = sorted(answer.status for answer in await asyncio.gather(*others))
    assert statuses == [201, 409, 409, 409, 409]
    assert (len(questions(upstream)), len(creates(upstream))) == (1, 2), "nothing was forwarded for the one that left"


async def test_a_store_that_cannot_write_what_was_found_out_is_asked_again(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    users.on_create = users.commit_and_close
    assert (await create(program.port)).status == 502
    with program.disk_full():
        seen = await create(program.port)
        assert (seen.status, seen.slug, seen.header("Retry-After")) == (409, "outcome-unknown", "1")
    expect_duplicate(await create(program.port))
    assert len(questions(upstream)) == 2
    await program.wait_for_log(event="store-failure", rule="create-user")


async def test_an_unknown_outcome_survives_a_restart_and_is_found_out_then(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    held = behaviours.Held(users.commit)
    users.on_create = held
    sending = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    await program.kill()
    await asyncio.wait([sending])
    sending.exception()
    users.on_create = users.commit
    await program.start()
    assert (await until_it_is_known(program.port)).status == 201
    expect_duplicate(await create(program.port))
    assert len(creates(upstream)) == 2


async def test_a_rule_without_it_asks_nothing(users: UsersApi, upstream: RawUpstream, gateway: StartGateway) -> None:
    rule = verified_rule()
    del rule["verify"]
    program: GatewayProgram = await gateway(rules=[rule])
    users.on_create = users.commit_and_close
    assert (await create(program.port)).status == 502
    assert (await create(program.port)).slug == "outcome-unknown"
    assert not questions(upstream)
