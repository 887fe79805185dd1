# Out of file descriptors: clients wait in the backlog until there are some again, and the log says so.

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support.authority import Authority
from tests.support.client import Client, Response, create, create_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import expect_proxy_status, get
from tests.support.tls import TlsClient, server_tls, trusting
from tests.support.upstream import RawUpstream

DESCRIPTORS = 128
SERVER = {"head_timeout": "1h", "max_connections": 1500}

Connect = Callable[[], Client]


@pytest.fixture(params=["tcp", "unix", "tls"])
async def served(
    request: pytest.FixtureRequest, tmp_path: Path, gateway: StartGateway
) -> tuple[GatewayProgram, Connect]:
    """A gateway with few descriptors on one kind of socket, and what makes a client of it."""
    if request.param == "tcp":
        program = await gateway(server=SERVER, descriptors=DESCRIPTORS)
        return program, lambda: Client(program.port)
    if request.param == "unix":
        path = tmp_path / "gateway.sock"
        server = {**SERVER, "listen": f"unix:{path}"}
        return await gateway(server=server, descriptors=DESCRIPTORS), lambda: Client(path)
    authority = Authority(tmp_path)
    server = {**SERVER, **server_tls(authority.issue("gateway"))}
    program = await gateway(server=server, descriptors=DESCRIPTORS)
    return program, lambda: TlsClient(program.port, trusting(authority.file))


@contextlib.asynccontextmanager
async def crowded(program: GatewayProgram, connect: Connect) -> AsyncIterator[None]:
    """Have clients take all descriptors that they get, and others wait for one, while inside."""
    holding = [asyncio.create_task(hold(connect)) for _ in range(DESCRIPTORS)]
    await program.wait_for_log(event="accept-failed")
    yield
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)


async def hold(connect: Connect) -> None:
    """Take a connection, and do not finish the head of a request on it."""
    async with connect() as client:
        await client.send_raw(b"GET / HTTP/1.1\r\nHost: ")
        await asyncio.Event().wait()


async def ask(connect: Connect) -> Response:
    async with connect() as client:
        return await client.request("GET", "/")


async def test_clients_wait_until_there_are_descriptors_again(served: tuple[GatewayProgram, Connect]) -> None:
    program, connect = served
    async with crowded(program, connect):
        waiting = [asyncio.create_task(ask(connect)) for _ in range(100)]
        counted = await program.log.first(lambda line: line["event"] == "accept-failed" and "times" in line)
        assert not any(task.done() for task in waiting)
    assert [(await task).status for task in waiting] == [200] * 100
    first = await program.wait_for_log(event="accept-failed")
    assert (first["level"], first["reason"], "times" in first) == ("error", "EMFILE", False)
    assert "server.max_connections" in first["note"]
    assert counted["times"] > 1, "a line for each attempt"
    assert await program.stop() == 0
    assert "Traceback" not in program.whole_output


async def test_the_operator_is_served_while_clients_wait(gateway: StartGateway) -> None:
    program = await gateway(server=SERVER, descriptors=DESCRIPTORS)
    async with crowded(program, lambda: Client(program.port)):
        for _ in range(10):
            answer = await get(program.admin_port, "/metrics")
            assert answer.status == 200
        assert b'gateway_events_total{event="accept-failed"}' in answer.body
        assert (await get(program.admin_port, "/readyz")).status == 200


async def test_a_create_for_which_no_connection_can_be_opened_is_free_again(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"keepalive_connections": 0, "connect_timeout": "300ms"})
    async with Client(program.port) as client:
        assert (await client.request("GET", "/")).status == 200
        before = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        for _ in range(2):
            await client.send_raw(create_bytes("ada@example.org"))
            seen = await client.read_response("POST")
            assert (seen.status, seen.slug) == (502, "upstream-unreachable")
            expect_proxy_status(seen, "proxy_internal_error")
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, before)
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).status == 201
    assert (await create(program.port, "ada@example.org")).slug == "duplicate"
    assert [request.method for request in upstream.requests] == ["GET", "POST"]
