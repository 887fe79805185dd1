# Which connections go on after an answer, on either side, and what may stand between two requests.

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, create_bytes, request_bytes
from tests.support.program import UNMARKED
from tests.support.shorthands import HOST
from tests.support.upstream import RawUpstream


async def test_empty_lines_before_a_request_are_skipped(upstream: RawUpstream, gateway: StartGateway) -> None:
    """RFC 9112 2.2: clients of old sent one behind a body."""
    program = await gateway(forwarding=UNMARKED)
    async with Client(program.port) as client:
        await client.send_raw(b"\r\n" + request_bytes("PUT", "/1", [HOST], b"one") + b"\r\n")
        assert (await client.read_response("PUT")).status == 200
        await client.send_raw(b"\r")
        await client.send_raw(b"\n")
        await client.send_raw(request_bytes("GET", "/2", [HOST]) + b"\r\n" + request_bytes("GET", "/3", [HOST]))
        for _ in range(2):
            assert (await client.read_response()).status == 200
    assert [bytes(request.body) for request in upstream.requests] == [b"one", b"", b""]
    assert [request.headers for request in upstream.requests[1:]] == [[HOST], [HOST]]


async def test_what_came_before_malformed_bytes_in_one_segment_is_answered_first(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        create = create_bytes("ada@example.org")
        await client.send_raw(create + create + request_bytes("GET", "/x") + b"GET /y HTTP/1.1\r\nHost : x\r\n\r\n")
        answers = [await client.read_response(method) for method in ("POST", "POST", "GET", "GET")]
        assert [answer.slug or answer.status for answer in answers] == [201, "duplicate", 200, "bad-request"]
        assert await client.wait_for_end() == "closed"
    assert [request.target for request in upstream.requests] == ["/users", "/x"]


@pytest.mark.parametrize(
    ("options", "persists"),
    [
        ([("Connection", "keep-alive")], True),
        ([("Connection", "Keep-Alive"), ("Keep-Alive", "timeout=5")], True),
        ([], False),
        ([("Connection", "close")], False),
        ([("Connection", "keep-alive, close")], False),
    ],
)
async def test_an_api_of_http_1_0_keeps_its_connection_only_when_it_says_so(
    options: wire.Headers, upstream: RawUpstream, gateway: StartGateway, *, persists: bool
) -> None:
    """RFC 9112 9.3. The client's connection goes on either way."""
    program = await gateway(forwarding=UNMARKED)
    head = wire.render_head("HTTP/1.0 200 OK", [*options, ("Content-Length", "2")])
    upstream.default = behaviours.raw(head + b"ok")
    async with Client(program.port) as client:
        for _ in range(3):
            seen = await client.request("GET", "/")
            assert (seen.status, seen.body, seen.headers) == (200, b"ok", [("Content-Length", "2")])
    assert len(upstream.connections) == (1 if persists else 3)


@pytest.mark.parametrize("connection", ["close", "Close", "keep-alive, close", "x, CLOSE ,y"])
async def test_a_connection_that_the_api_ends_is_not_used_again_and_the_client_s_goes_on(
    connection: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    head = wire.render_head("HTTP/1.1 200 OK", [("Connection", connection), ("Content-Length", "2")])
    upstream.default = behaviours.raw(head + b"ok")
    async with Client(program.port) as client:
        for _ in range(3):
            seen = await client.request("GET", "/")
            assert (seen.body, seen.header("Connection")) == (b"ok", None)
    assert len(upstream.connections) == 3
