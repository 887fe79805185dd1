# What befalls a gateway, and which alerts that must fire: those, and no other.

import asyncio
import datetime
import os
import signal
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from campaigns.monitoring.healthy import healthy
from campaigns.monitoring.stage import LOST, Stage
from tests.support import behaviours
from tests.support.authority import Authority
from tests.support.client import Client
from tests.support.program import Table, create_user_rule
from tests.support.shorthands import get, post
from tests.support.tls import server_tls
from tests.support.uploads import MIB, upload
from tests.support.upstream import Call, RawUpstream, example, refused_port
from tests.support.users_api import UsersApi, verified_rule


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong, or does not."""

    name: str
    fires: Collection[str]
    play: Callable[[Stage], Awaitable[None]]
    is_long: bool = False
    """Whether it lasts as long as all others together, most of it waiting."""


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
    """The API commits and does not answer in time; nobody finds out."""
    api = RawUpstream(behaviours.never)
    async with api, stage.gateway(f"http://127.0.0.1:{api.port}", upstream={"response_timeout": "200ms"}) as program:
        await asyncio.gather(*(stage.create(program) for _ in range(3)))
        await stage.until_told()


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
    """A disk that takes nothing; when it does again, the alert is over."""
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
    """Killed while it waits for the API, and started again."""
    held = behaviours.Held(behaviours.answer(201))
    async with stage.in_front_of(held) as program:
        sent = asyncio.create_task(stage.create(program))
        await held.waiting.reach(1)
        await stage.prometheus.hide(stage.name)
        await program.kill()
        await asyncio.gather(sent, return_exceptions=True)
        await program.start()
        await stage.prometheus.expose(stage.name, program.admin_port)
        await stage.until_told()


async def down(stage: Stage) -> None:
    """Killed, and not started again."""
    async with stage.in_front_of() as program:
        await stage.create(program)
        await program.kill()
        await stage.until_told()


async def stopped_loop(stage: Stage) -> None:
    """The process stands still for a moment (SIGSTOP, SIGCONT); its gauge shows that for at least 15 s."""
    async with stage.in_front_of() as program:
        os.kill(program.pid, signal.SIGSTOP)
        await asyncio.sleep(0.8)
        os.kill(program.pid, signal.SIGCONT)
        await stage.until_told()


async def turned_away(stage: Stage) -> None:
    """More clients than are let in, all of whom wait for the API."""
    held = behaviours.Held(behaviours.answer(200))
    async with stage.in_front_of(held, server={"max_connections": 2}) as program:
        waiting = [asyncio.create_task(get(program.port, "/slow")) for _ in range(2)]
        await held.waiting.reach(2)
        await stage.until_told(lambda: stage.create(program))
        held.release()
        await asyncio.gather(*waiting)


async def spool_failing(stage: Stage) -> None:
    """A large upload, and no disk for it."""
    rule: Table = {
        "name": "upload",
        "match": {"path": "/uploads"},
        "unique": [{"name": "content", "fields": ["file.upload.sha256"]}],
        "body_limit": "64KiB",
        "spool_limit": "4MiB",
    }
    sent = upload(b"x" * MIB)
    async with stage.in_front_of(rules=[rule]) as program:

        async def send() -> None:
            async with Client(program.port) as client:
                await client.request("POST", "/uploads", [sent.type], b"".join(sent.pieces()))

        with program.disk_full():
            await stage.until_told(send)


async def api_down(stage: Stage) -> None:
    """Nothing listens where the API should be; when it does again, the alert is over."""
    with refused_port() as port:
        async with stage.gateway(port) as program:
            await stage.until_told(lambda: stage.create(program))


async def api_partly_down(stage: Stage) -> None:
    """One of two addresses."""
    with refused_port() as port:
        async with RawUpstream() as api, stage.gateway(api, api.url, f"http://127.0.0.1:{port}") as program:
            await stage.until_told(lambda: stage.create(program))


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


async def reload_refused(stage: Stage) -> None:
    """A rules file with a problem; when that is mended, the alert is over."""
    async with stage.in_front_of() as program:
        right = program.file.read_text(encoding="utf-8")
        program.file.write_text(f"{right}\nwrong = 1\n", encoding="utf-8")
        program.hang_up()
        await stage.until_told()
        program.file.write_text(right, encoding="utf-8")
        program.hang_up()
        await stage.until_over()


def _certificate(directory: Path, days: float) -> tuple[str, str]:
    directory.mkdir(parents=True, exist_ok=True)
    return Authority(directory).issue("server", not_after=_now() + datetime.timedelta(days=days))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def certificate_of(days: float) -> Callable[[Stage], Awaitable[None]]:
    """A listener whose certificate ends in so many days."""

    async def play(stage: Stage) -> None:
        async with stage.in_front_of(server=server_tls(_certificate(stage.directory, days))):
            await stage.until_told()

    return play


async def certificate_refused(stage: Stage) -> None:
    """A certificate is replaced by something else."""
    pair = _certificate(stage.directory, 60)
    async with stage.in_front_of(server=server_tls(pair)):
        Path(pair[0]).write_text("not a certificate", encoding="ascii")  # noqa: ASYNC240 - the file is small
        await stage.until_told()


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("healthy", (), healthy, is_long=True),
    Scenario(
        "certificate-of-3-days",
        ("GatewayCertificateExpires", "GatewayCertificateExpiresSoon"),
        certificate_of(3),
        is_long=True,
    ),
    Scenario("certificate-of-10-days", ("GatewayCertificateExpiresSoon",), certificate_of(10), is_long=True),
    Scenario("store-lost", ("GatewayStoreEmpty",), store_lost, is_long=True),
    Scenario("conflicts-rise", ("GatewayConflictsRising",), conflicts_rise),
    Scenario("conflicts-from-the-start", ("GatewayConflictsRising",), conflicts_from_the_start),
    Scenario("unknown-old", ("GatewayUnknownOld",), unknown_old),
    Scenario("unknown-many", ("GatewayUnknownMany",), unknown_many),
    Scenario("unknown-lapsed", ("GatewayUnknownLapsed",), unknown_lapsed),
    Scenario("verify-unclear", ("GatewayVerifyUnclear",), verify_unclear),
    Scenario("unguarded", ("GatewayUnguardedCreates",), unguarded),
    Scenario(
        "guard-off",
        ("GatewayGuardOff", "GatewayUnguardedCreates", "GatewayStoreFailing", "GatewayStoreFailed"),
        guard_off,
    ),
    Scenario("store-failing", ("GatewayStoreFailing", "GatewayStoreFailed"), store_failing),
    Scenario("store-failed-briefly", ("GatewayStoreFailed",), store_failed_briefly),
    Scenario("died", ("GatewayDied",), died),
    Scenario("down", ("GatewayDown",), down),
    Scenario("stopped-loop", ("GatewayLoopLag",), stopped_loop),
    Scenario("turned-away", ("GatewayClientsTurnedAway",), turned_away),
    Scenario("spool-failing", ("GatewaySpoolFailing",), spool_failing),
    Scenario("api-down", ("GatewayUpstreamDown",), api_down),
    Scenario("api-partly-down", ("GatewayUpstreamPartlyDown",), api_partly_down),
    Scenario("authorize-unclear", ("GatewayAuthorizeUnclear",), authorize_unclear),
    Scenario("reload-refused", ("GatewayReloadRefused",), reload_refused),
    Scenario("certificate-refused", ("GatewayCertificateRefused",), certificate_refused),
)
