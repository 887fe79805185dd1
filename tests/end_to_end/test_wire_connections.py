# Connections to the API that fail, die or say what nobody asked for, and unix sockets on both sides.

import asyncio
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import rules
from tests.support.shorthands import exchange
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage, refused_port

# An API out of reach


async def test_what_no_rule_guards_is_told_whether_it_was_sent(upstream: RawUpstream, gateway: StartGateway) -> None:
    with refused_port() as port:
        nobody = await gateway(rules(port))
        response = await exchange(nobody.port, request_bytes("PUT", "/any", (), b"x"))
        assert (response.status, response.slug, response.json().get("rule")) == (502, "upstream-unreachable", None)
        proxy_status = 'idempotency-gateway; error=connection_refused; details="upstream-unreachable"'
        assert response.header("Proxy-Status") == proxy_status
    program = await gateway(upstream={"response_timeout": "300ms"})
    for behaviour, status in ((behaviours.close_without_answer(), 502), (behaviours.never, 504)):
        upstream.script(behaviour)
        response = await exchange(program.port, request_bytes("PUT", "/any", (), b"x"))
        assert (response.status, response.slug) == (status, "outcome-unknown")
    assert len(upstream.requests) == 2, "a PUT was sent again"


# Kept connections that die


def closes_after(status: int) -> Behaviour:
    """Answer as if the connection were kept, and close it."""
    return behaviours.raw(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status, "close")


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_connection_that_was_seen_to_close_carries_no_create(
    end: behaviours.End, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = behaviours.raw(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", end)
    program = await gateway()
    async with Client(program.port) as client:
        for number in range(50):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            try:
                response = await client.read_response("POST")
            except ConnectionError:
                assert end == "reset", "the answer was complete"
                continue
            assert response.status == 201, f"create {number} met a connection that had been closed"
            await upstream.ended.reach(number + 1)
    assert len(upstream.requests) == 50


async def test_no_get_is_lost_to_an_api_that_closes_idle_connections_at_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = closes_after(200)
    program = await gateway()
    async with Client(program.port) as client:
        for _ in range(200):
            assert (await client.request("GET", "/any")).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_safe_request_is_sent_again_when_its_kept_connection_dies_under_it(
    method: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for end in (Call.close, Call.reset):
        upstream.started.clear()
        async with Client(program.port) as client:
            assert (await client.request("GET", "/warm-up")).status == 200
            upstream.script(At(Stage.HEAD, end))
            assert (await client.request(method, "/any")).status == 200
            assert len(upstream.started) == 3
            upstream.script(At(Stage.HEAD, end), At(Stage.HEAD, end))
            response = await client.request(method, "/any")
            assert response.status == 502, "once is enough"
            assert len(upstream.started) == 5


async def test_an_unsafe_request_is_never_sent_twice(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    methods = ["POST", "PUT", "DELETE", "PATCH", "PURGE"]
    async with Client(program.port) as client:
        for method in methods:
            assert (await client.request("GET", "/warm-up")).status == 200
            upstream.script(At(Stage.HEAD, Call.close))
            response = await client.request(method, "/any")
            assert (response.status, response.slug) == (502, "outcome-unknown")
    assert [request.method for request in upstream.started] == [name for method in methods for name in ("GET", method)]


async def test_a_create_whose_kept_connection_dies_under_it_is_unknown_and_not_sent_again(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port, "warm-up@example.org")).status == 201
    upstream.script(At(Stage.HEAD, Call.close))
    assert (await create(program.port)).slug == "outcome-unknown"
    assert (await create(program.port)).slug == "outcome-unknown"
    assert len(upstream.started) == 2


async def test_what_an_api_says_on_an_idle_connection_answers_nobody(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """As servers do that say 408 before they close: the next create must neither get it nor go there."""

    async def then_408(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        go_on.set()
        await told.wait()
        await call.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        call.close()

    program = await gateway()
    for number in range(10):
        go_on, told = asyncio.Event(), asyncio.Event()
        upstream.script(then_408)
        assert (await create(program.port, f"first-{number}@example.org")).status == 201
        await go_on.wait()
        told.set()
        await upstream.ended.reach(number + 1)
        assert (await create(program.port, f"second-{number}@example.org")).status == 201
        async with Client(program.port) as client:  # takes the second one's connection out of the pool
            upstream.script(closes_after(200))
            assert (await client.request("GET", "/")).status == 200
        await upstream.ended.reach(number + 1)


# Unix sockets


async def test_unix_sockets_serve_on_both_sides(gateway: StartGateway, tmp_path: Path) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as upstream:
        program = await gateway(rules(upstream.url, server={"listen": f"unix:{tmp_path}/gateway.sock"}))
        async with Client(tmp_path / "gateway.sock") as client:
            for expected in (201, 409):
                await client.send_raw(create_bytes("ada@example.org"))
                assert (await client.read_response("POST")).status == expected
            await client.send_raw(b"GET /old HTTP/1.0\r\n\r\n")
            assert (await client.read_response()).status == 200
        assert len(upstream.requests) == 2
        assert upstream.requests[1].header("Host") is not None
        upstream.script(behaviours.close_without_answer())
        async with Client(tmp_path / "gateway.sock") as client:
            await client.send_raw(create_bytes("bob@example.org"))
            assert (await client.read_response("POST")).slug == "outcome-unknown"
        assert await program.stop() == 0
        assert not (tmp_path / "gateway.sock").exists()


async def test_a_unix_socket_left_behind_by_a_kill_does_not_keep_the_gateway_from_starting(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    program = await gateway(server={"listen": f"unix:{tmp_path}/gateway.sock"})
    await program.kill()
    assert (tmp_path / "gateway.sock").exists()
    await program.start()
    async with Client(tmp_path / "gateway.sock") as client:
        assert (await client.request("GET", "/")).status == 200
