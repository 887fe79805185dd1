# What goes wrong with creates and with the store of their claims.

import asyncio
import json

from campaigns.monitoring.stage import LOST, Stage
from tests.support import behaviours
from tests.support.client import Client
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, post
from tests.support.upstream import Call, RawUpstream, example
from tests.support.users_api import UsersApi, verified_rule


async def conflicts_rise(stage: Stage) -> None:
    """A rule with few duplicates, and then many, though less than half: only its own past tells."""
    async with stage.in_front_of() as program:

        async def creates(count: int, duplicates: int) -> None:
            for _ in range(count):
                await stage.create(program)
            for _ in range(duplicates):
                await stage.create(program, "0@example.org")

        await stage.create(program)
        loop = asyncio.get_running_loop()
        until = loop.time() + 20
        while loop.time() < until:
            await creates(19, 1)
            await asyncio.sleep(1)
        await stage.until_told(lambda: creates(6, 4))


async def conflicts_from_the_start(stage: Stage) -> None:
    """A new rule whose field is the same in all creates."""
    async with stage.in_front_of() as program:
        await stage.until_told(lambda: stage.create(program, "constant@example.org"))


async def unknown_old(stage: Stage) -> None:
    """The API commits and does not answer in time, and somebody who is woken says so."""
    api = RawUpstream(behaviours.never)
    async with api, stage.gateway(api, upstream={"response_timeout": "200ms"}) as program:
        await asyncio.gather(*(stage.create(program) for _ in range(3)))
        await stage.until_told()
        async with Client(program.admin_port) as admin:
            listed = await admin.request("GET", "/claims?state=unknown")
            for claim in listed.json()["claims"]:
                body = json.dumps({"as": "created", "link": None, "reason": "it is in the table"}).encode()
                await admin.request("POST", f"/claims/{claim['fingerprint']}/settle", [JSON], body)
        await stage.until_over()


async def unknown_many(stage: Stage) -> None:
    """An API that is crashing."""
    async with stage.in_front_of(LOST) as program:
        await asyncio.gather(*(stage.create(program) for _ in range(25)))
        await stage.until_told()


async def unknown_lapsed(stage: Stage) -> None:
    """Nobody finds out for as long as the rule holds."""
    async with RawUpstream(LOST) as api, stage.gateway(api, rules=[create_user_rule(unknown_hold="1s")]) as program:
        await stage.create(program, "a@example.org")
        api.default = example
        await stage.until_told(lambda: stage.create(program, "a@example.org"), every=1.5)


async def verify_unclear(stage: Stage) -> None:
    """The API answers the question of `verify` with an error."""
    users = UsersApi()
    users.on_create, users.on_search = users.lose, behaviours.answer(500)
    async with stage.in_front_of(users, rules=[verified_rule()]) as program:

        async def one() -> None:
            email = stage.new_email()
            await stage.create(program, email)
            await stage.create(program, email)

        await one()
        await stage.until_told(one, every=0.8)


async def unguarded(stage: Stage) -> None:
    """A rule that lets creates through whose field is missing."""
    async with stage.in_front_of(rules=[create_user_rule(missing="forward")]) as program:
        await stage.until_told(lambda: post(program, "/users", {"mail": stage.new_email()}))


async def guard_off(stage: Stage) -> None:
    """A disk that takes nothing, and a gateway that is told to forward then."""
    async with stage.in_front_of(on_failure="forward") as program:
        await stage.create(program)
        with program.disk_full():
            await stage.until_told(lambda: stage.create(program))


async def store_failing(stage: Stage) -> None:
    """A disk that takes nothing, until it does again."""
    async with stage.in_front_of() as program:
        await stage.create(program)
        with program.disk_full():
            await stage.until_told(lambda: stage.create(program))
        assert (await stage.create(program)).status == 201


async def store_failed_briefly(stage: Stage) -> None:
    """The same for a moment: nobody is woken."""
    async with stage.in_front_of() as program:
        await stage.create(program)
        with program.disk_full():
            await stage.create(program)
        await stage.until_told()
        await asyncio.sleep(5)


async def store_lost(stage: Stage) -> None:
    """A gateway that starts without its store, after more than an hour."""
    async with stage.in_front_of() as program:
        await asyncio.sleep(63)
        await stage.prometheus.hide(stage.name)
        await program.stop()
        for file in program.directory.glob("gateway.db*"):
            file.unlink()
        await program.start()
        await stage.prometheus.expose(stage.name, program.admin_port)
        await stage.until_told()


async def died(stage: Stage) -> None:
    """Killed while it waits for the API, and started again; nobody finds out what has become of the create."""
    held = behaviours.Held(behaviours.answer(201))
    async with stage.in_front_of(held) as program:
        await stage.prometheus.hide(stage.name)
        sent = asyncio.create_task(stage.create(program))
        await held.waiting.reach(1)
        await program.kill()
        await asyncio.gather(sent, return_exceptions=True)
        await program.start()
        await stage.prometheus.expose(stage.name, program.admin_port)
        await stage.until_told()


async def authorize_unclear(stage: Stage) -> None:
    """The API fails when it is asked about callers."""

    async def answer(call: Call) -> None:
        await (behaviours.answer(500)(call) if call.request.method == "GET" else example(call))  # type: ignore[misc]

    async with stage.in_front_of(answer, rules=[create_user_rule(authorize={"path": "/me"})]) as program:

        async def creates() -> None:
            await stage.create(program, "0@example.org")
            await stage.create(program)
            await stage.create(program)

        await stage.create(program)
        await stage.until_told(creates, every=0.7)
