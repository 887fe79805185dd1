# How many connections there may be: who makes room for whom, and who is told that there is none.

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.authority import Authority
from tests.support.client import Client, NoResponseError, request_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import expect_proxy_status, get
from tests.support.sockets import sockets
from tests.support.tally import PATIENCE
from tests.support.tls import TlsClient, server_tls, trusting
from tests.support.upstream import RawUpstream

GET = request_bytes("GET", "/")
CLOSING = request_bytes("GET", "/", [("Connection", "close")])


async def test_the_connection_that_has_been_idle_longest_makes_room_for_a_new_one(gateway: StartGateway) -> None:
    program = await gateway(server={"max_connections": 3})
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(program.port)) for _ in range(3)]
        for client in (clients[1], clients[2], clients[0]):  # 1 has been idle longest now
            assert (await client.request("GET", "/")).status == 200
        newer = await stack.enter_async_context(Client(program.port))
        assert (await newer.request("GET", "/")).status == 200
        assert await clients[1].wait_for_end() == "closed"
        for client in (clients[0], clients[2], newer):
            assert (await client.request("GET", "/")).status == 200


async def test_several_that_come_at_once_each_find_room(gateway: StartGateway) -> None:
    """For each of them another one goes."""
    program = await gateway(server={"max_connections": 5})
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(Client(program.port)) for _ in range(5)]
        for client in idle:
            assert (await client.request("GET", "/")).status == 200
        os.kill(program.pid, signal.SIGSTOP)  # so that it finds all of them waiting
        newer = [await stack.enter_async_context(Client(program.port)) for _ in range(5)]
        os.kill(program.pid, signal.SIGCONT)
        for client in newer:
            assert (await client.request("GET", "/")).status == 200
        for client in idle:
            assert await client.wait_for_end() == "closed"
        for client in newer:
            assert (await client.request("GET", "/")).status == 200


async def test_when_all_connections_are_busy_one_more_is_told_so_and_served_later(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_connections": 2})
    held = behaviours.Held(behaviours.answer(200))
    upstream.script(held, held)
    async with Client(program.port) as one, Client(program.port) as two:
        for client in (one, two):
            await client.send_raw(CLOSING)
        await held.waiting.reach(2)
        async with Client(program.port) as refused:
            seen = await refused.request("GET", "/")
            assert await refused.wait_for_end() == "closed"
        assert (seen.status, seen.slug, seen.header("Connection")) == (503, "too-many-connections", "close")
        assert int(seen.header("Retry-After") or 0) > 0
        expect_proxy_status(seen, "connection_limit_reached")
        held.release()
        for client in (one, two):
            assert (await client.read_response()).status == 200
            assert await client.wait_for_end() == "closed"
    assert (await get(program.port, "/")).status == 200
    assert [line["outcome"] for line in program.log if line["event"] == "request"].count("too-many-connections") == 1


async def test_those_that_were_refused_take_no_room(upstream: RawUpstream, gateway: StartGateway) -> None:
    """They may stay for as long as it takes to read why; whoever comes once there is room is served."""
    program = await gateway(server={"max_connections": 2})
    held = behaviours.Held(behaviours.answer(200))
    upstream.script(held, held)
    async with AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(Client(program.port)) for _ in range(2)]
        for client in busy:
            await client.send_raw(CLOSING)
        await held.waiting.reach(2)
        for _ in range(5):
            refused = await stack.enter_async_context(Client(program.port))
            assert (await refused.read_response()).status == 503
        held.release()
        for client in busy:
            assert (await client.read_response()).status == 200
            assert await client.wait_for_end() == "closed"
        assert (await get(program.port, "/")).status == 200


async def test_a_head_that_has_begun_is_not_cut_for_a_newcomer(gateway: StartGateway) -> None:
    program = await gateway(server={"max_connections": 1})
    async with Client(program.port) as client:
        await client.send_raw(GET[:-2])
        assert (await get(program.port, "/")).status == 503
        await client.send_raw(GET[-2:])
        assert (await client.read_response()).status == 200


async def test_of_those_that_come_at_once_none_is_cut_for_the_next(gateway: StartGateway) -> None:
    """What one has sent is read before another one is accepted."""
    program = await gateway(server={"max_connections": 1})
    os.kill(program.pid, signal.SIGSTOP)  # so that it finds all of them waiting
    async with Client(program.port) as first, Client(program.port) as second:
        await first.send_raw(GET[:-2])
        os.kill(program.pid, signal.SIGCONT)
        assert (await second.read_response()).status == 503
        await first.send_raw(GET[-2:])
        assert (await first.read_response()).status == 200


async def test_a_rush_far_beyond_what_there_may_be_is_cut_short_and_leaves_nothing_behind(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_connections": 1})
    held = behaviours.Held(behaviours.answer(200))
    upstream.script(held)
    async with Client(program.port) as busy:
        await busy.send_raw(CLOSING)
        await held.waiting.reach(1)
        async with AsyncExitStack() as stack:
            rush = [await stack.enter_async_context(Client(program.port)) for _ in range(300)]
            told = [await answer_to(client) for client in rush]
            assert set(told) <= {503, None}
            assert 50 < told.count(503) < 100
            assert sockets(program) < 150
        held.release()
        assert (await busy.read_response()).status == 200
        assert await busy.wait_for_end() == "closed"
    assert (await get(program.port, "/")).status == 200


async def answer_to(client: Client) -> int | None:
    """The status that a connection was told; None when it was broken off."""
    try:
        return (await client.read_response()).status
    except NoResponseError:
        return None


async def test_handshakes_count_as_connections(gateway: StartGateway, tmp_path: Path) -> None:
    """Whoever connects and says nothing must not cost more because TLS would come first."""
    authority = Authority(tmp_path)
    server = {"max_connections": 10, "head_timeout": "500ms", **server_tls(authority.issue("gateway"))}
    program = await gateway(server=server)
    before = sockets(program)
    async with AsyncExitStack() as stack:
        for _ in range(300):
            await stack.enter_async_context(Client(program.port))
        for _ in range(3):  # it has looked at all of them by then
            assert (await get(program.admin_port, "/livez")).status == 200
        assert sockets(program) - before < 100
    await until_gone(program, before)
    async with TlsClient(program.port, trusting(authority.file)) as client:
        assert (await client.request("GET", "/")).status == 200


async def until_gone(program: GatewayProgram, count: int) -> None:
    """Wait until no more than `count` sockets are left, asking the operator's listener meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while sockets(program) > count:
            assert (await get(program.admin_port, "/livez")).status == 200
