# How fast a tunnel goes, and for how long: at the pace of the slower side, while anything moves.

import asyncio
import contextlib
import socket

import pytest

from gateway.proxy.tunnel import TunnelEnd, tunnel
from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.pace import StandingClient, drip
from tests.support.program import GatewayProgram
from tests.support.shorthands import started
from tests.support.sockets import sockets, until_sockets
from tests.support.tally import Tally
from tests.support.tunnels import PIECE, Flood, asking, digest_of, echo, switched, upgraded
from tests.support.upstream import Call, RawUpstream

MIB = 2**20
GROWTH = 64 * MIB
"""Bytes by which no tunnel may make the gateway grow."""


# Pace


async def until_still(program: GatewayProgram, flood: Flood) -> int:
    """Wait until nothing more is taken while two hundred other requests come and go; how much was."""
    came = -1
    async with Client(program.port) as bystander:
        while came != flood.sent:
            came = flood.sent
            for _ in range(200):
                assert (await bystander.request("GET", "/bystander")).status == 200
    return came


async def test_a_client_that_reads_nothing_holds_back_the_api_and_costs_no_memory(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, upstream)
    flood = Flood()

    async def pour(call: Call) -> None:
        for piece in flood:
            await call.send(piece)

    upstream.script(switched(pour))
    async with StandingClient(program.port) as client:
        await client.send_raw(asking())
        assert 0 < await until_still(program, flood) < GROWTH
        flood.is_over.set()
        client.read_on()
        assert (await client.read_response()).status == 101
        assert await digest_of(client.reader) == flood.digest(), "what waited was lost or doubled"
    assert growth() < GROWTH


async def test_an_api_that_reads_nothing_holds_back_the_client_and_costs_no_memory(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, upstream)
    flood = Flood()
    go_on = asyncio.Event()
    taken = Tally[str]()

    async def stand(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        call.writer.transport.resume_reading()  # type: ignore[attr-defined]
        taken.add(await digest_of(call.reader))

    upstream.script(switched(stand))
    async with Client(program.port) as client:

        async def pour() -> None:
            for piece in flood:
                await client.send_raw(piece)
            client.writer.write_eof()

        await client.send_raw(asking())
        pouring = asyncio.create_task(pour())
        assert (await client.read_response()).status == 101
        assert 0 < await until_still(program, flood) < GROWTH
        flood.is_over.set()
        go_on.set()
        await pouring
        await taken.reach(1)
    assert taken == [flood.digest()], "what waited was lost or doubled"
    assert growth() < GROWTH


@pytest.mark.parametrize("slow", ["client", "api"])
async def test_a_side_that_does_not_take_the_first_bytes_holds_back_the_other_from_then_on(slow: str) -> None:
    """What came with the 101, or behind the request, may be more than the kernel takes: nothing more is read then."""
    loop = asyncio.get_running_loop()
    standing, far_end = socket.socketpair()
    standing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    other, source = socket.socketpair()
    source.setblocking(False)
    first, second = [(await loop.create_connection(asyncio.Protocol, sock=own))[0] for own in (standing, other)]
    for transport in (first, second):
        transport.pause_reading()
    early = PIECE * 4
    if slow == "client":
        carrying = tunnel(TunnelEnd(first, b""), TunnelEnd(second, early), 3600)
    else:
        carrying = tunnel(TunnelEnd(second, early), TunnelEnd(first, b""), 3600)
    task = asyncio.create_task(carrying)
    with source, far_end:
        await asyncio.sleep(0)  # the tunnel begins
        taken = -1
        while first.get_write_buffer_size() < GROWTH and taken != first.get_write_buffer_size():
            taken = first.get_write_buffer_size()
            with contextlib.suppress(BlockingIOError):
                source.send(PIECE)
            for _ in range(100):
                await asyncio.sleep(0)
        assert first.get_write_buffer_size() < len(early) + 2 * MIB
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    first.abort()


# Time


async def test_a_tunnel_in_which_nothing_moves_is_closed_for_both(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.script(switched(echo))
    program = await gateway(server={"tunnel_timeout": "200ms"})
    async with Client(program.port) as client:
        await upgraded(client)
        assert await client.wait_for_end() == "closed"
        await upstream.ended.reach(1)
    await program.wait_for_log(event="request", outcome="upgraded", status=101)


@pytest.mark.parametrize("who", ["client", "api"])
async def test_a_tunnel_in_which_only_one_side_speaks_is_not_closed(
    who: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """For longer than it may stand still."""

    async def speak(call: Call) -> None:
        if who == "client":
            await call.send(await call.reader.readexactly(30))
        else:
            for _ in range(30):
                await call.send(b"x")
                await asyncio.sleep(0.1)

    upstream.script(switched(speak))
    program = await gateway(server={"tunnel_timeout": "2s"})
    async with Client(program.port) as client:
        await upgraded(client)
        if who == "client":
            await drip(client, [b"x"] * 30, every=0.1)
        assert await client.reader.read() == b"x" * 30


async def test_the_times_for_requests_and_answers_do_not_hold_in_a_tunnel(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    times = {"head_timeout": "500ms", "body_timeout": "500ms", "keepalive_timeout": "500ms"}
    program = await gateway(server=times, upstream={"idle_timeout": "500ms", "response_timeout": "500ms"})
    async with Client(program.port) as client:
        await upgraded(client)
        for _ in range(2):
            async with Client(program.port) as measure:
                assert await measure.wait_for_end() == "closed"
        await client.send_raw(b"still here")
        assert await client.reader.readexactly(10) == b"still here"


async def test_a_tunnel_whose_client_takes_nothing_leaves_no_socket_behind(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """What it would not take is not kept for it."""
    flood = Flood()

    async def pour(call: Call) -> None:
        for piece in flood:
            await call.send(piece)

    program = await gateway(server={"tunnel_timeout": "300ms"}, upstream={"keepalive_connections": 0})
    before = sockets(program)
    upstream.script(switched(pour))
    async with StandingClient(program.port) as client:
        await client.send_raw(asking())
        await upstream.ended.reach(1)
        await until_sockets(program, before)
