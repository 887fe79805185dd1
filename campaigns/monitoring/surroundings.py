# What goes wrong around creates: the process, its clients, the API, the rules file, certificates.

import asyncio
import datetime
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from campaigns.monitoring.stage import Stage
from tests.support import behaviours
from tests.support.authority import Authority
from tests.support.client import Client
from tests.support.program import Table
from tests.support.shorthands import get
from tests.support.tls import server_tls
from tests.support.uploads import MIB, upload
from tests.support.upstream import RawUpstream, refused_port


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
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with stage.gateway(listener.getsockname()[1]) as program:
            await stage.until_told(lambda: stage.create(program))
            async with RawUpstream(listener=listener):
                await stage.until_over(lambda: stage.create(program))


async def api_partly_down(stage: Stage) -> None:
    """One of two addresses."""
    with refused_port() as port:
        async with RawUpstream() as api, stage.gateway(api, api.url, f"http://127.0.0.1:{port}") as program:
            await stage.until_told(lambda: stage.create(program))


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
