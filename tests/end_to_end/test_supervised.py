# Under a service manager: sockets that were handed over outlive the process, and it hears how the gateway is.

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import behaviours as do
from tests.support.authority import Authority
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram, StartError, rules
from tests.support.scrape import scrape
from tests.support.shorthands import get, let_it_work
from tests.support.supervisor import Supervisor
from tests.support.tls import TlsClient, server_tls, trusting
from tests.support.upstream import RawUpstream

ADA, BOB = "ada@example.org", "bob@example.org"
NOWHERE = {"server": {"listen": "192.0.2.1:1"}, "admin": {"listen": "192.0.2.1:2", "token": "anything" * 4}}
"""Addresses that nobody here could listen on: only what was handed over is listened on."""


def tcp() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


@asynccontextmanager
async def supervised(
    directory: Path, upstream: RawUpstream, listeners: Mapping[str, socket.socket], *, watchdog: str = "", **tables: Any
) -> AsyncIterator[tuple[GatewayProgram, Supervisor]]:
    """A gateway, not yet started."""
    environment = {"WATCHDOG_USEC": watchdog} if watchdog else {}
    with Supervisor(directory, listeners, **environment) as supervisor:
        program = GatewayProgram(
            directory / "gateway", rules(upstream.url, **{**NOWHERE, **tables}), supervisor=supervisor
        )
        try:
            yield program, supervisor
        finally:
            if program.is_running:
                await program.kill()


async def test_it_serves_on_what_it_was_handed(tmp_path: Path, upstream: RawUpstream) -> None:
    async with supervised(tmp_path, upstream, {"admin": tcp(), "server": tcp()}) as (program, supervisor):
        await program.start()
        assert program.port == supervisor.port
        assert (await create(program.port, ADA)).status == 201
        assert (await get(program.admin_port, "/readyz")).status == 200


async def test_a_socket_for_operators_that_other_machines_reach_needs_a_token(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    everywhere = socket.create_server(("0.0.0.0", 0))
    admin = {"listen": "127.0.0.1:0"}
    async with supervised(tmp_path, upstream, {"admin": everywhere, "server": tcp()}, admin=admin) as (program, _):
        with pytest.raises(StartError, match=r"other machines may reach the admin listener \(0.0.0.0\)"):
            await program.start()


async def test_a_single_socket_is_the_server_s_whatever_its_name(tmp_path: Path, upstream: RawUpstream) -> None:
    listener = tcp()
    admin = {"listen": "127.0.0.1:0"}
    async with supervised(tmp_path, upstream, {"gateway.socket": listener}, admin=admin) as (program, _):
        await program.start()
        assert program.port == listener.getsockname()[1]
        assert (await get(program.admin_port, "/readyz")).status == 200
        assert (await create(program.port, ADA)).status == 201


async def test_a_unix_socket_that_was_handed_over_is_left_in_its_place(tmp_path: Path, upstream: RawUpstream) -> None:
    path = tmp_path / "public.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(16)
    admin = {"listen": "off"}
    async with supervised(tmp_path, upstream, {"server": listener}, admin=admin) as (program, _):
        for email, status in ((ADA, 201), (BOB, 201), (ADA, 409)):
            await program.start()
            assert program.listening["server"] == f"unix:{path}"
            async with Client(path) as client:
                await client.send_raw(create_bytes(email))
                assert (await client.read_response("POST")).status == status
            assert await program.stop() == 0


async def test_it_speaks_tls_on_it(tmp_path: Path, upstream: RawUpstream) -> None:
    authority = Authority(tmp_path)
    server = server_tls(authority.issue("gateway"))
    async with supervised(tmp_path, upstream, {"server": tcp()}, server=server, admin={"listen": "off"}) as (
        program,
        _,
    ):
        await program.start()
        async with TlsClient(program.port, trusting(authority.file)) as client:
            assert (await client.request("GET", "/")).status == 200


async def test_what_comes_between_two_lives_waits_for_the_second(tmp_path: Path, upstream: RawUpstream) -> None:
    async with supervised(tmp_path, upstream, {"server": tcp()}, admin={"listen": "off"}) as (program, supervisor):
        await program.start()
        assert (await create(supervisor.port, ADA)).status == 201
        assert await program.stop() == 0
        async with Client(supervisor.port) as one, Client(supervisor.port) as two:
            await one.send_raw(create_bytes(ADA))
            await two.send_raw(create_bytes(BOB))
            await program.start()
            assert (await one.read_response("POST")).slug == "duplicate"
            assert (await two.read_response("POST")).status == 201


async def test_the_manager_hears_how_it_is(tmp_path: Path, upstream: RawUpstream) -> None:
    async with supervised(tmp_path, upstream, {"server": tcp()}, admin={"listen": "off"}) as (program, supervisor):
        await program.start()
        assert (await supervisor.hears("READY"))["STATUS"] == "serving with 1 rule"
        program.hang_up()
        assert int((await supervisor.hears("RELOADING"))["MONOTONIC_USEC"]) > 0
        await supervisor.told.reach(3)
        program.file.write_text("", encoding="utf-8")
        program.hang_up()
        await supervisor.told.reach(5)
        held = do.Held(do.answer(201))
        upstream.script(held)
        async with Client(supervisor.port) as client:
            await client.send_raw(create_bytes(ADA))
            await held.waiting.reach(1)
            stopping = asyncio.create_task(program.stop())
            await supervisor.hears("STOPPING")
            held.release()
            assert (await client.read_response("POST")).status == 201
            assert await stopping == 0
    first = [next(iter(message)) for message in supervisor.told]
    assert first == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]
    assert "refused" in supervisor.told[4]["STATUS"]


async def test_the_watchdog_hears_of_it_for_as_long_as_its_loop_turns(tmp_path: Path, upstream: RawUpstream) -> None:
    async with supervised(tmp_path, upstream, {"server": tcp()}, watchdog="400000", admin={"listen": "off"}) as (
        program,
        supervisor,
    ):
        await program.start()
        await supervisor.told.reach(6)
        assert [message for message in supervisor.told if "WATCHDOG" not in message] == [supervisor.told[0]]


async def test_a_loop_that_stood_still_is_told_of(tmp_path: Path, upstream: RawUpstream) -> None:
    program = GatewayProgram(tmp_path / "gateway", rules(upstream.url))
    async with program:
        await let_it_work(program)  # it looks at the loop from its first turn on, which may come after it listens
        os.kill(program.pid, signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
        await asyncio.sleep(0.6)  # what it must notice is just this
        os.kill(program.pid, signal.SIGCONT)
        assert (await program.wait_for_log(event="loop-stalled"))["ms"] >= 250
        assert ((await scrape(program)).value("gateway_loop_lag_seconds") or 0) >= 0.25


@pytest.mark.parametrize(
    ("listeners", "complaint"),
    [
        (("server", "metrics"), "socket 2 of 2 that were handed over is named 'metrics'; set FileDescriptorName="),
        (("datagrams",), "descriptor 3, announced by LISTEN_FDS, is no socket that listens for streams"),
    ],
)
async def test_sockets_that_cannot_be_used_are_a_reason_not_to_start(
    tmp_path: Path, upstream: RawUpstream, listeners: tuple[str, ...], complaint: str
) -> None:
    def made(name: str) -> socket.socket:
        return tcp() if name != "datagrams" else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    handed = {name: made(name) for name in listeners}
    async with supervised(tmp_path, upstream, handed) as (program, _):
        with pytest.raises(StartError, match=complaint):
            await program.start()


async def test_sockets_that_are_another_process_s_are_not_touched(tmp_path: Path, upstream: RawUpstream) -> None:
    """A shell that was handed sockets leaves the variables to whatever it starts."""
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    async with GatewayProgram(tmp_path / "gateway", rules(upstream.url), environment=environment) as program:
        assert (await create(program.port, ADA)).status == 201
