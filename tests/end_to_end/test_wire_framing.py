# Where each message ends, which connection outlives it, and that each answer finds its request.

import asyncio
import contextlib
import socket

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import UNMARKED, create_user_rule, rules
from tests.support.shorthands import HOST, exchange
from tests.support.upstream import Call, RawUpstream, refused_port


async def test_answers_are_framed_as_they_must_be_and_connections_kept_on_both_sides(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.answer(200, (), b"four"),
        behaviours.chunked([b"ab", b"c", b"d" * 70_000], 200, [("X-A", "1")]),
        behaviours.answer(204, [("X-B", "2")]),
        behaviours.answer(304, [("Content-Length", "4"), ("ETag", '"x"')]),
        behaviours.answer(304, [("ETag", '"x"')]),
        behaviours.answer(200, (), b""),
        behaviours.chunked([], 201),
        behaviours.answer(205, (), b""),
    )
    async with Client(program.port) as client:
        for status, body in (
            (200, b"four"),
            (200, b"abc" + b"d" * 70_000),
            (204, b""),
            (304, b""),
            (304, b""),
            (200, b""),
            (201, b""),
            (205, b""),
        ):
            response = await client.request("GET", "/any")
            assert (response.status, response.body) == (status, body)
            assert response.header("Connection") is None
            if status == 204:
                assert response.headers == [("X-B", "2")]
    assert upstream.connections == [0]


async def test_head_is_answered_without_a_body_whatever_the_fields_say(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.answer(200, [("Content-Length", "1000")]),
        behaviours.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        behaviours.raw(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\n\r\n"),
        behaviours.answer(200, (), b"four"),
    )
    async with Client(program.port) as client:
        response = await client.request("HEAD", "/1")
        assert response.headers == [("Content-Length", "1000")]
        assert (await client.request("HEAD", "/2")).status == 200
        assert (await client.request("HEAD", "/3")).header("X-A") == "1"
        assert (await client.request("GET", "/4")).body == b"four"
    assert [request.method for request in upstream.requests] == ["HEAD", "HEAD", "HEAD", "GET"]
    with refused_port() as port:
        nobody = await gateway(rules(port))
        async with Client(nobody.port) as client:
            for _ in range(2):
                response = await client.request("HEAD", "/users")
                assert (response.status, response.body) == (502, b"")
                assert int(response.header("Content-Length") or 0) > 0


@pytest.mark.parametrize("target", ["/any", "/users"])
async def test_chunked_requests_arrive_whole_without_their_extensions_and_trailers(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    body = b'{"email": "ada@example.org"}'
    framing = ("Transfer-Encoding", "chunked")
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Content-Type", "application/json"), framing])
    chunks = b'00A;ext="1";x\r\n%b\r\n1\r\n%b\r\n%x\r\n%b\r\n000\r\nX-First: 1\r\nX-Last: 2\r\n\r\n'
    async with Client(program.port) as client:
        await client.send_raw(head + chunks % (body[:10], body[10:11], len(body) - 11, body[11:]))
        assert (await client.read_response("POST")).status == 201
    (request,) = upstream.requests
    assert bytes(request.body) == body
    assert request.header("Content-Type") == "application/json"
    assert not {"X-First", "X-Last"} & {name for name, _ in request.headers}
    assert b"X-Last" not in request.raw


@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_the_trailers_of_a_request_are_not_taken_for_headers_of_the_next_one(
    upstream: RawUpstream, gateway: StartGateway, *, is_pipelined: bool
) -> None:
    program = await gateway(rules=[create_user_rule(scope=["header.X-Tenant"])])
    first = wire.render_head("POST /any HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    first += b"1\r\na\r\n0\r\nX-Tenant: forged\r\n\r\n"
    async with Client(program.port) as client:
        if is_pipelined:
            await client.send_raw(first + create_bytes("ada@example.org"))
        else:
            await client.send_raw(first)
        response = await client.read_response("POST")
        assert response.status == 201
        with contextlib.suppress(ConnectionError):  # ending the connection would be an answer to this, too
            if not is_pipelined:
                await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).slug == "missing-identity"
    assert len(upstream.requests) == 1


async def test_the_trailers_of_an_answer_are_not_taken_for_headers(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"status_header": "off"})
    head = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    last = b"0\r\nX-T: 1\r\nSet-Cookie: a=forged\r\nLocation: /forged\r\n\r\n"

    async def in_pieces(call: Call) -> None:
        await call.send(head)
        await call.send(b"2\r\nok\r\n")
        await call.send(last)

    upstream.script(behaviours.raw(head + b"2\r\nok\r\n" + last), in_pieces, behaviours.raw(head + last))
    async with Client(program.port) as client:
        for number, body in enumerate([b"ok", b"ok", b""]):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            response = await client.read_response("POST")
            assert (response.headers, response.body) == ([("Transfer-Encoding", "chunked")], body)
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            assert "existingResourceLink" not in (await client.read_response("POST")).json()
        assert (await client.request("GET", "/")).header("Set-Cookie") is None


async def test_an_answer_that_ends_with_its_connection_arrives_whole_over_a_kept_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.until_close(b"the rest"),
        behaviours.raw(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nold", "close"),
        behaviours.until_close(b"created", 201),
        behaviours.answer(200, [("Connection", "close")], b"said so"),
    )
    async with Client(program.port) as client:
        assert (await client.request("GET", "/1")).body == b"the rest"
        old = await client.request("GET", "/2")
        assert (old.raw_head[:9], old.header("X-Old"), old.body) == (b"HTTP/1.1 ", "1", b"old")
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).body == b"created"
        closed = await client.request("GET", "/3")
        assert (closed.body, closed.header("Connection")) == (b"said so", None)
        assert (await client.request("GET", "/4")).status == 200
    assert upstream.connections == [0, 1, 2, 3, 4]


async def test_a_client_of_http_1_0_gets_what_it_can_read(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=UNMARKED)
    upstream.script(behaviours.chunked([b"ab", b"c"]), behaviours.answer(200, (), b"four"))
    async with Client(program.port) as client:
        await client.send_raw(b"GET /1 HTTP/1.0\r\n\r\n")
        response = await client.read_response()
        assert (response.body, response.header("Transfer-Encoding")) == (b"abc", None)
        assert response.header("Connection") == "close"
        assert await client.wait_for_end() == "closed"
    async with Client(program.port) as client:
        await client.send_raw(b"GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await client.read_response()
        assert (response.body, response.header("Connection")) == (b"four", "keep-alive")
        await client.send_raw(create_bytes("ada@example.org").replace(b"HTTP/1.1", b"HTTP/1.0"))
        response = await client.read_response("POST")
        assert (response.status, response.header("Connection")) == (201, "close")
        assert await client.wait_for_end() == "closed"
    first, second, third = upstream.requests
    assert first.headers == [("Host", f"127.0.0.1:{upstream.port}")]
    assert (first.version, second.version, third.header("Host")) == ("HTTP/1.1", "HTTP/1.1", "api.example")


async def test_a_client_that_asks_for_the_end_of_the_connection_gets_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in (
        request_bytes("GET", "/", [("Connection", "close")]),
        create_bytes("a", headers=[("connection", "Close")]),
    ):
        async with Client(program.port) as client:
            await client.send_raw(sent)
            assert (await client.read_response()).header("Connection") == "close"
            assert await client.wait_for_end() == "closed"
    assert all(request.header("Connection") is None for request in upstream.requests)


async def test_pipelined_requests_are_answered_one_by_one_in_their_order(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201, (), b"first"))
    upstream.script(held)
    ada, bob = create_bytes("ada@example.org"), create_bytes("bob@example.org")
    async with Client(program.port) as client:
        await client.send_raw(ada + ada + request_bytes("GET", "/x") + bob)
        await held.waiting.reach(1)
        await client.send_raw(b"not HTTP\r\n\r\n")
        assert len(upstream.started) == 1
        held.release()
        answers = [await client.read_response(method) for method in ("POST", "POST", "GET", "POST", "GET")]
        assert [answer.slug or answer.status for answer in answers] == [201, "duplicate", 200, 201, "bad-request"]
        assert answers[0].body == b"first"
        assert await client.wait_for_end() == "closed"
    assert [request.target for request in upstream.requests] == ["/users", "/x", "/users"]


async def test_a_request_that_comes_byte_by_byte_is_a_request(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for byte in create_bytes("ada@example.org"):
            await client.send_raw(bytes([byte]))
        assert (await client.read_response("POST")).status == 201
    assert (await create(program.port)).slug == "duplicate"


async def test_an_answer_that_comes_byte_by_byte_is_an_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    async def trickle(call: Call) -> None:
        call.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 2\r\n\r\nok":
            await call.send(bytes([byte]))
            await asyncio.sleep(0)

    program = await gateway(server={"status_header": "off"})
    upstream.script(trickle, trickle)
    for sent in (create_bytes("ada@example.org"), request_bytes("PUT", "/x", (), b"")):
        response = await exchange(program.port, sent, "POST")
        assert (response.status, response.reason, response.body) == (201, "Created", b"ok")
        assert response.headers == [("A", "b"), ("Content-Length", "2")]
        assert len(response.interim) == (1 if sent.startswith(b"PUT") else 0)
    assert upstream.connections == [0]
