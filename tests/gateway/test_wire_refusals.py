# What is no HTTP, or no HTTP that can be forwarded, from the client as from the API: it is refused and harms no one.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.gateway.shorthands import HOST, exchange
from tests.support import behaviours, wire
from tests.support.client import Client, create, create_bytes
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream


async def test_connect_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    for target in ("api.example:443", "/users"):
        async with Client(program.port) as client:
            await client.send_raw(f"CONNECT {target} HTTP/1.1\r\nHost: api.example:443\r\n\r\n".encode())
            response = await client.read_response("POST")
            assert response.status in {400, 501}
            assert response.header("Connection") == "close"
            assert await client.wait_for_end() == "closed"
            if target != "/users":
                assert response.slug == "not-supported"
    assert not upstream.connections


POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"
MALFORMED = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    b"GET / HTTX/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX(Y): z\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    POST + b"Content-Length: -5\r\n\r\nabcde",
    POST + b"Content-Length: +5\r\n\r\nabcde",
    POST + b"Content-Length: 0x5\r\n\r\nabcde",
    POST + b"Content-Length: \r\n\r\nabcde",
    POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
]
TOO_LARGE = [
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
]


async def expect_refused(port: int, sent: bytes, status: int, slug: str) -> None:
    async with Client(port) as client:
        await client.send_raw(sent)
        response = await client.read_response()
        assert (response.status, response.slug) == (status, slug), sent[:100]
        assert response.header("Content-Type") == "application/problem+json"
        assert response.header("Connection") == "close"
        assert response.header("Proxy-Status") == f'idempotency-gateway; error=http_request_error; details="{slug}"'
        assert await client.wait_for_end() in {"closed", "reset"}


async def test_what_is_no_request_is_refused_as_a_problem_and_ends_the_connection(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in MALFORMED:
        await expect_refused(program.port, sent, 400, "bad-request")
    assert not upstream.connections
    assert (await create(program.port)).status == 201


async def test_a_head_beyond_all_bounds_is_refused_as_a_problem_and_ends_the_connection(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in TOO_LARGE:
        await expect_refused(program.port, sent, 431, "head-too-large")
    await expect_refused(
        program.port, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 400, "bad-request"
    )
    assert not upstream.connections


@pytest.mark.parametrize("version", [b"", b" HTTP/0.9", b" HTTP/2.0"])
async def test_other_versions_of_http_are_refused(version: bytes, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    seen = await exchange(program.port, b"GET /x" + version + b"\r\nHost: x\r\n\r\n")
    assert seen.status in {400, 505}
    assert not upstream.connections


BAD_CHUNKS = [
    b"5\r\nabcdefgh\r\n0\r\n\r\n",
    b"x\r\n",
    b"-1\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5 5\r\nabcde\r\n",
    b"5\r\nabcde0\r\n\r\n",
    b"fffffffffffffffff\r\na",
    b"5\nabcde\n0\n\n",
    b"0\r\nbad trailer\r\n\r\n",
]


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_malformed_chunk_ends_the_request_and_never_looks_whole_to_the_api(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(missing="forward")])
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    for chunks in BAD_CHUNKS:
        await expect_refused(program.port, head + chunks, 400, "bad-request")
    assert not upstream.requests
    assert (await create(program.port)).status == 201


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_malformed_chunk_that_comes_late_ends_the_request_at_once(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """At once: before a few hundred other requests have come and gone."""
    program = await gateway(rules=[create_user_rule(missing="forward")])
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    async with Client(program.port) as client, Client(program.port) as bystander:
        await client.send_raw(head + wire.render_chunk(b'{"email": "ada@example.org"}'))
        assert (await bystander.request("GET", "/bystander")).status == 200
        await client.send_raw(b"x\r\n")
        answer = asyncio.create_task(client.read_response("POST"))
        for _ in range(300):
            assert (await bystander.request("GET", "/bystander")).status == 200
        assert answer.done(), "it still waits for the rest of a body that cannot come"
        assert (await answer).status in {400, 502}
    assert not any(request.target == target for request in upstream.requests)


@pytest.mark.parametrize("target", ["/any", "/users"])
async def test_an_answer_that_is_no_http_never_reaches_the_client(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    answers = [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
    ]
    for number, answer in enumerate(answers):
        upstream.script(behaviours.raw(answer, "close"))
        sent = create_bytes(f"user-{number}@example.org", path=target)
        response = await exchange(program.port, sent, "POST")
        assert (response.status, response.slug) == (502, "outcome-unknown"), answer[:50]


async def test_bytes_after_an_answer_are_never_taken_for_the_answer_to_another_request(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    forged = b"HTTP/1.1 200 OK\r\nX-Forged: 1\r\nContent-Length: 0\r\n\r\n"
    honest = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    upstream.script(
        behaviours.raw(honest + forged),
        behaviours.raw(honest + b"x"),
        behaviours.raw(b"HTTP/1.1 204 No Content\r\n\r\nx" + forged),
    )
    async with Client(program.port) as client:
        for number in range(6):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            response = await client.read_response("POST")
            assert response.status in {201, 204}
            assert response.header("X-Forged") is None
    assert len(upstream.requests) == 6
    assert len(upstream.connections) == 4
