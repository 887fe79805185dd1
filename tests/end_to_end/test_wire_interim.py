# What comes before an answer: interim answers from the API, and the 100 that a client waits for with its body.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, create_bytes, request_bytes
from tests.support.program import UNMARKED, create_user_rule
from tests.support.shorthands import HOST, exchange
from tests.support.upstream import At, Call, RawUpstream, Stage

# Expect


BODY = b'{"email": "ada@example.org"}'
EXPECTS = [HOST, ("Expect", "100-Continue"), ("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_client_that_waits_for_100_with_a_create_is_told_to_go_on_and_the_api_hears_nothing_of_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding=UNMARKED)
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("POST /users HTTP/1.1", EXPECTS))
        assert await client.reader.readuntil(b"\r\n\r\n") == CONTINUE
        assert not upstream.connections, "the body decides whether it goes there"
        await client.send_raw(BODY)
        response = await client.read_response("POST")
        assert (response.status, response.interim) == (201, [])
        assert (await client.request("GET", "/")).interim == []
    assert upstream.requests[0].headers == [EXPECTS[0], *EXPECTS[2:]]
    assert bytes(upstream.requests[0].body) == BODY


async def test_a_client_that_waits_for_100_with_anything_else_is_answered_by_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding=UNMARKED)
    asked = asyncio.Event()

    async def go_on(call: Call) -> None:
        asked.set()
        await call.send(CONTINUE)
        await call.read_body()
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    upstream.script(At(Stage.HEAD, go_on))
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("POST /any HTTP/1.1", EXPECTS))
        assert await client.reader.readuntil(b"\r\n\r\n") == CONTINUE
        assert asked.is_set()
        await client.send_raw(BODY)
        response = await client.read_response("POST")
        assert (response.status, response.interim) == (201, [])
        assert (await client.request("GET", "/")).interim == []
    assert upstream.requests[0].headers == EXPECTS
    assert bytes(upstream.requests[0].body) == BODY


@pytest.mark.parametrize("status", [417, 200])
async def test_a_client_that_waits_for_100_gets_the_final_answer_that_comes_instead_and_its_body_is_not_wanted(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()

    async def decline(call: Call) -> None:
        await call.send(b"HTTP/1.1 %d Whatever\r\nContent-Length: 3\r\n\r\nno!" % status)

    upstream.script(At(Stage.HEAD, decline))
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("POST /any HTTP/1.1", EXPECTS))
        response = await client.read_response("POST")
        assert (response.status, response.body, response.interim) == (status, b"no!", [])
        assert response.header("Connection") == "close", "nobody knows whether the body will come"
        assert await client.wait_for_end() == "closed"
    assert (await exchange(program.port, request_bytes("GET", "/"))).status == 200
    await upstream.aborted.reach(1)
    assert len(upstream.requests) == 1


async def test_an_expectation_with_a_body_that_came_along_or_of_http_1_0_is_met_without_100(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9110 10.1.1: 100 may be left out for a body that is there, and HTTP/1.0 does not know it."""
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("POST /users HTTP/1.1", EXPECTS) + BODY)
        response = await client.read_response("POST")
        assert (response.status, response.interim) == (201, [])
        await client.send_raw(wire.render_head("POST /users HTTP/1.0", EXPECTS) + BODY[:5])
        await client.send_raw(BODY[5:])
        response = await client.read_response("POST")
        assert (response.slug, response.interim) == ("duplicate", [])
    assert upstream.requests[0].header("Expect") is None


async def test_a_client_that_waits_for_100_and_will_be_refused_need_not_send_its_body(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(body_limit="1KiB", scope=["header.X-Tenant"])])
    expects = [HOST, ("Expect", "100-continue"), ("Content-Type", "application/json")]
    for target, headers, slug in (
        ("/users", [("Content-Length", "1025")], "body-too-large"),
        ("/users;x", [("Content-Length", "5")], "ambiguous-path"),
        ("/users", [("Content-Length", "5"), ("Connection", "X-Tenant"), ("X-Tenant", "a")], "hidden-field"),
    ):
        async with Client(program.port) as client:
            await client.send_raw(wire.render_head(f"POST {target} HTTP/1.1", [*expects, *headers]))
            response = await client.read_response("POST")
            assert (response.slug, response.interim, response.header("Connection")) == (slug, [], "close")
    assert not upstream.connections


# Interim answers


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_interim_answers_are_passed_on_in_their_order_before_the_final_one_exists(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding=UNMARKED, server={"status_header": "off"})
    go_on = asyncio.Event()
    link = ("Link", "</style.css>; rel=preload")

    async def hints(call: Call) -> None:
        await call.send(wire.render_head("HTTP/1.1 102 Still at it", [("Connection", "X-Hop"), ("X-Hop", "1")]))
        await call.send(wire.render_head("HTTP/1.1 103 Early Hints", [link, ("Content-Length", "5"), link]))
        await go_on.wait()
        await call.send(wire.render_head("HTTP/1.1 201 Created", [("Content-Length", "2")]) + b"ok")

    upstream.script(hints)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", path=target))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 102 Still at it\r\n\r\n"
        early = await client.reader.readuntil(b"\r\n\r\n")
        assert early == wire.render_head("HTTP/1.1 103 Early Hints", [link, link])
        go_on.set()
        response = await client.read_response("POST")
        assert (response.status, response.body, response.headers) == (201, b"ok", [("Content-Length", "2")])


async def test_a_client_of_http_1_0_gets_no_interim_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    """RFC 9110 15.2."""
    program = await gateway()
    upstream.script(behaviours.interim(behaviours.interim(behaviours.answer(200, (), b"four")), 100))
    response = await exchange(program.port, b"GET / HTTP/1.0\r\n\r\n")
    assert (response.status, response.body, response.interim) == (200, b"four", [])


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_hundred_that_nobody_waits_for_does_no_harm(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """For a create the gateway has met the expectation itself; else the client takes it as RFC 9110 15.2 says."""
    program = await gateway()
    upstream.script(behaviours.interim(behaviours.answer(201, (), b"four"), 100))
    response = await exchange(program.port, create_bytes("ada@example.org", path=target), "POST")
    assert (response.status, response.body) == (201, b"four")
    assert [interim.status for interim in response.interim] == ([] if target == "/users" else [100])
