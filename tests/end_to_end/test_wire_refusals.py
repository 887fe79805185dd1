# What is no HTTP, or no HTTP that can be forwarded, from the client: it is refused and harms no one.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.support import wire
from tests.support.client import Client, create, create_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import HOST, exchange
from tests.support.upstream import RawUpstream


async def test_connect_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    for target in ("api.example:443", "/users"):
        async with Client(program.port) as client:
            await client.send_raw(f"CONNECT {target} HTTP/1.1\r\nHost: api.example:443\r\n\r\n".encode())
            response = await client.read_response("POST")
            assert (response.status, response.slug) == (501, "not-supported")
            assert response.header("Connection") == "close"
            assert await client.wait_for_end() == "closed"
    assert not upstream.connections


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"
MALFORMED = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    b"GET / HTTX/1.1\r\nHost: x\r\n\r\n",
    b"GET / http/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1,1\r\nHost: x\r\n\r\n",
    b"GET /\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\tX: y\r\nHost: x\r\n\r\n",
    b"\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"1ET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"!ET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET example.org HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:/x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://a,b/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://a@b@c/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
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
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x1bb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX\xe9: b\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n",
    *[
        b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host
        for host in (b"", b"x,y", b"x, y", b"x y", b"u@x", b"x/", b"x/y", b"x?y", b"x#y", b"http://x", b"x:y", b"x:1:2")
    ],
    *[
        b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host
        for host in (
            b":80",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[x]",
            b"x:123456",
            b'"x"',
            b"x\\y",
            b"x\x7fy",
            b"x\xe9y",
            b"x\ty",
        )
    ],
    GET + b"Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    POST + b"Content-Length: 5 5\r\n\r\nabcde",
    POST + b"Content-Length: 5_0\r\n\r\nabcde",
    POST + b"Content-Length: \xb2\r\n\r\nab",
    POST + b"Content-Length : 5\r\n\r\nabcde",
    POST + b"Content-Length: -5\r\n\r\nabcde",
    POST + b"Content-Length: +5\r\n\r\nabcde",
    POST + b"Content-Length: 0x5\r\n\r\nabcde",
    POST + b"Content-Length: \r\n\r\nabcde",
    POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: \r\n\r\n",
    POST + b"Transfer-Encoding: \r\nContent-Length: 5\r\n\r\nabcde",
    POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST /x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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


LIMITS = {"max_line": "1KiB", "max_head": "3KiB", "max_fields": 5}


def long_head(line: int = 20, fields: list[int] | None = None) -> bytes:
    """A head whose request line and field lines have these lengths, line ends not counted."""
    lines = [b"GET /" + b"a" * (line - 14) + b" HTTP/1.1", b"Host: x", *[b"X: " + b"a" * n for n in fields or []]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def test_a_head_up_to_each_bound_passes_and_beyond_it_is_refused_as_a_problem(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 3 for the line, RFC 6585 5 for the fields."""
    program = await gateway(server=LIMITS)
    upright = [long_head(1024), long_head(20, [1023]), long_head(20, [1] * 4)]
    used = len(long_head(20, [1000, 1000, 500, 0])) - len(b"\r\n\r\n")
    upright.append(long_head(20, [1000, 1000, 500, 3 * 1024 - used]))
    for sent in upright:
        assert (await exchange(program.port, sent)).status == 200, len(sent)
    known = len(upstream.requests)
    await expect_refused(program.port, long_head(1025), 414, "target-too-long")
    await expect_refused(program.port, long_head(5000), 414, "target-too-long")
    await expect_refused(program.port, long_head(20, [1024]), 431, "head-too-large")
    await expect_refused(program.port, long_head(20, [5000]), 431, "head-too-large")
    await expect_refused(program.port, long_head(20, [1000, 1000, 500, 3 * 1024 - used + 1]), 431, "head-too-large")
    await expect_refused(program.port, long_head(20, [1] * 5), 431, "head-too-large")
    assert len(upstream.requests) == known


async def test_a_head_that_never_ends_is_refused_once_it_is_beyond_its_bound(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server=LIMITS)
    await expect_refused(program.port, b"GET /" + b"a" * 4000, 414, "target-too-long")
    await expect_refused(program.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 4000, 431, "head-too-large")
    await expect_refused(program.port, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 600, 431, "head-too-large")
    assert not upstream.connections


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0", b"9.9"])
async def test_other_versions_of_http_are_refused(version: bytes, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    await expect_refused(program.port, b"GET /x HTTP/" + version + b"\r\nHost: x\r\n\r\n", 505, "version-not-supported")
    assert not upstream.connections


async def test_a_transfer_coding_that_is_not_known_here_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 6.1: 501. What it hides could be another body than the one that a rule reads."""
    program = await gateway()
    for coding in (b"br, chunked", b"zstd,chunked", b"gzip, br, chunked", b"gzip;q=1, chunked", b"compress, chunked"):
        sent = POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        await expect_refused(program.port, sent, 501, "not-supported")
    assert not upstream.connections


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_more_after_the_last_request_of_a_connection_is_refused_and_that_one_answered(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Whoever wrote it may have meant it as a part of the first one; nobody may take it for a request."""
    program = await gateway()
    last = create_bytes("ada@example.org", path=target, headers=[("Connection", "close")])
    async with Client(program.port) as client:
        await client.send_raw(last + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.read_response("POST")).status == 201
        assert (await client.read_response()).slug == "bad-request"
        assert await client.wait_for_end() == "closed"
    assert [request.target for request in upstream.requests] == [target]


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
