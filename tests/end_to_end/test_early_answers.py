# Answers that come before the request is whole: from the API or the gateway itself, with and without an expectation.

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import rules
from tests.support.shorthands import entry, expect_proxy_status, get, rule
from tests.support.upstream import At, Call, RawUpstream, Stage

TOO_LARGE = wire.render_head(
    "HTTP/1.1 413 Content Too Large", [("Content-Length", "9"), ("X-Api", "yes"), ("Connection", "close")]
)
UPLOAD = 20 * 2**20
EXPECT = ("Expect", "100-continue")
JSON = ("Content-Type", "application/json")


def pieces(size: int = UPLOAD) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


async def upload(port: int, framing: Iterable[tuple[str, str]], pieces: Iterable[bytes]) -> tuple[int, bytes]:
    """Send an upload, as a client does that goes on until it has an answer; the answer's status and body."""
    is_chunked = ("Transfer-Encoding", "chunked") in framing

    async def send(client: Client) -> None:
        try:
            for piece in pieces:
                await client.send_raw(wire.render_chunk(piece) if is_chunked else piece)
            if is_chunked:
                await client.send_raw(wire.render_chunk(b""))
        except ConnectionError:
            return

    async with Client(port) as client:
        await client.send_raw(wire.render_head("PUT /big HTTP/1.1", [("Host", "api.example"), *framing]))
        sending = asyncio.create_task(send(client))
        seen = await client.read_response("PUT")
        sending.cancel()
        return seen.status, seen.body


def refuse(end: str, after: int) -> At:
    """Answer 413 when so many bytes of the body have come, and end the connection at once."""

    async def act(call: Call) -> None:
        await call.reader.readexactly(after)
        await call.send(TOO_LARGE + b"too large")
        if end == "reset":
            call.reset()
        elif end == "close":
            call.close()
        else:
            await call.reader.read()
            call.close()

    return At(Stage.HEAD, act)


@pytest.mark.parametrize(
    "framing", [("Content-Length", str(UPLOAD)), ("Transfer-Encoding", "chunked")], ids=["length", "chunked"]
)
@pytest.mark.parametrize("after", [0, 1, 2**20])
@pytest.mark.parametrize("end", ["stay", "close"])
async def test_an_answer_that_comes_amid_an_upload_reaches_the_client(
    end: str, after: int, framing: tuple[str, str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also when the API closes with bytes unread, so that the kernel adds a reset to what it said."""
    program = await gateway()
    for _ in range(10):
        upstream.script(refuse(end, after))
        assert await upload(program.port, [framing], pieces()) == (413, b"too large")
    assert (await get(program.port, "/")).status == 200
    assert not upstream.requests[:-1], "no upload was taken for whole"
    assert {line["upstream_status"] for line in await program.request_lines(11)} == {413, 200}


async def test_an_answer_amid_an_upload_is_passed_on_as_it_comes(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The upload goes on meanwhile, if the API goes on reading: what it sends and what it gets are not in step."""

    async def both(call: Call) -> None:
        await call.send(wire.render_head("HTTP/1.1 200 OK", [("Transfer-Encoding", "chunked")]))
        async for _, piece in wire.body_pieces(call.reader, "chunked"):
            if piece:
                await call.send(wire.render_chunk(piece))
        call.body_is_read = True
        await call.send(wire.render_chunk(b""))

    upstream.script(At(Stage.HEAD, both))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 200 " in await wire.read_head(client.reader)
        for number in range(20):
            await client.send_raw(wire.render_chunk(b"piece %d" % number))
            assert (await client.reader.readuntil(b"piece %d\r\n" % number)).endswith(b"piece %d\r\n" % number)
        await client.send_raw(wire.render_chunk(b""))
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_client_that_sends_on_after_an_early_answer_can_read_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The gateway goes on taking what it sends: cut at once, the answer would be lost (RFC 9112 9.6)."""
    program = await gateway()
    upstream.script(refuse("close", 1))
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("PUT", "/big", [("Content-Length", str(UPLOAD))]))
        for piece in pieces():
            await client.send_raw(piece)
        seen = await client.read_response("PUT")
        assert (seen.status, seen.body, seen.header("Connection")) == (413, b"too large", "close")
        assert await client.wait_for_end() == "closed"


async def test_a_create_that_is_answered_amid_its_body_is_settled_by_that_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    filler = "x" * 900_000
    for _ in range(5):
        upstream.script(refuse("close", 1))
        assert (await create(program.port, "ada@example.org", filler=filler)).status == 413
    assert (await create(program.port, "ada@example.org", filler=filler)).status == 201
    assert (await create(program.port, "ada@example.org", filler=filler)).slug == "duplicate"


# Expect: 100-continue


def expecting(target: str, length: int, *more: tuple[str, str]) -> bytes:
    """The head of a request whose client waits before it sends the body."""
    return request_bytes("POST", target, [JSON, EXPECT, ("Content-Length", str(length)), *more])


async def expect_no_more(client: Client) -> None:
    """The connection ends with the answer: nobody could tell a body that comes late from another request."""
    assert await client.wait_for_end() == "closed"


async def test_the_apis_100_is_passed_on_and_then_the_body(upstream: RawUpstream, gateway: StartGateway) -> None:
    asked = asyncio.Event()

    async def agree(call: Call) -> None:
        assert call.request.header("Expect") == "100-continue"
        asked.set()
        await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream.script(At(Stage.HEAD, agree))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(expecting("/any", 4))
        assert await wire.read_head(client.reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert asked.is_set()
        await client.send_raw(b"body")
        assert (await client.read_response("POST")).status == 200
        assert (await client.request("GET", "/")).status == 200, "the connection goes on"
    assert upstream.requests[0].body == b"body"


@pytest.mark.parametrize("status", [401, 413, 417])
async def test_a_refusal_of_the_api_comes_instead_of_its_100(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(At(Stage.HEAD, behaviours.answer(status, [("Connection", "close")], b"no")))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(expecting("/any", 1000))
        seen = await client.read_response("POST")
        assert (seen.status, seen.body, seen.interim, seen.header("Connection")) == (status, b"no", [], "close")
        await expect_no_more(client)
    assert (await get(program.port, "/")).status == 200


async def test_a_client_that_does_not_wait_for_its_100_is_served_all_the_same(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for target in ("/any", "/users"):
            body = b'{"email": "ada@example.org"}'
            await client.send_raw(expecting(target, len(body)) + body)
            assert (await client.read_response("POST")).status == 201
        assert (await client.request("GET", "/")).status == 200
    assert [bytes(request.body) for request in upstream.requests[:2]] == [body, body]


async def test_a_create_is_told_to_go_on_by_the_gateway_and_the_api_hears_nothing_of_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    body = b'{"email": "ada@example.org"}'
    async with Client(program.port) as client:
        for status in (201, 409):
            await client.send_raw(expecting("/users", len(body)))
            assert await wire.read_head(client.reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send_raw(body)
            seen = await client.read_response("POST")
            assert (seen.status, seen.interim) == (status, [])
        assert (await client.request("GET", "/")).status == 200
    assert [request.header("Expect") for request in upstream.requests] == [None, None]


async def test_a_100_that_the_api_sends_for_a_create_is_not_a_second_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The gateway has said it already, or nobody asked. Any other interim answer is passed on."""
    program = await gateway()
    hints = behaviours.interim(behaviours.answer(201), 103, [("Link", "</style.css>; rel=preload")])
    upstream.script(behaviours.interim(hints, 100), behaviours.interim(hints, 100))
    async with Client(program.port) as client:
        body = b'{"email": "ada@example.org"}'
        await client.send_raw(expecting("/users", len(body)))
        assert await wire.read_head(client.reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_raw(body)
        seen = await client.read_response("POST")
        assert (seen.status, [each.status for each in seen.interim]) == (201, [103])
        await client.send_raw(create_bytes("bob@example.org"))
        seen = await client.read_response("POST")
        assert (seen.status, [each.status for each in seen.interim]) == (201, [103])


async def test_a_create_whose_body_would_be_too_large_is_refused_before_it_is_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(expecting("/users", 2**30))
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug, seen.interim, seen.header("Connection")) == (413, "body-too-large", [], "close")
        expect_proxy_status(seen, "http_request_denied")
        await expect_no_more(client)
    assert not upstream.started


async def test_a_duplicate_that_its_header_shows_is_refused_before_its_body_is_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A rule that reads nothing of the body can decide before it comes."""
    program = await gateway(
        rules(upstream.url, rules=[rule("order", "/orders/{id}", entry("path.id", "header.X-Shop"))])
    )
    shop = ("X-Shop", "7")
    async with Client(program.port) as client:
        assert (await client.request("POST", "/orders/17", [shop], b"first")).status == 201
    async with Client(program.port) as client:
        await client.send_raw(expecting("/orders/17", 1000, shop))
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug, seen.interim) == (409, "duplicate", [])
        await expect_no_more(client)
    async with Client(program.port) as client:
        await client.send_raw(expecting("/orders/18", 5, shop))
        assert await wire.read_head(client.reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_raw(b"other")
        assert (await client.read_response("POST")).status == 201
    assert [bytes(request.body) for request in upstream.requests] == [b"first", b"other"]


@pytest.mark.parametrize(
    ("target", "more", "status", "slug"),
    [
        ("/users//", [], 400, "ambiguous-path"),
        ("/users", [("X-HTTP-Method-Override", "PUT")], 400, "method-override"),
    ],
    ids=["ambiguous-path", "method-override"],
)
async def test_what_the_head_alone_shows_to_be_wrong_is_refused_before_the_body_is_sent(
    target: str, more: list[tuple[str, str]], status: int, slug: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(expecting(target, 1000, *more))
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug, seen.interim, seen.header("Connection")) == (status, slug, [], "close")
        await expect_no_more(client)
    assert not upstream.started


async def test_an_old_client_is_never_told_to_go_on(upstream: RawUpstream, gateway: StartGateway) -> None:
    """RFC 9110 10.1.1: an expectation in HTTP/1.0 is to be ignored."""
    program = await gateway()
    for target in ("/any", "/users"):
        body = b'{"email": "ada@example.org"}'
        async with Client(program.port) as client:
            await client.send_raw(expecting(target, len(body)).replace(b"HTTP/1.1", b"HTTP/1.0"))
            await client.send_raw(body)
            seen = await client.read_response("POST")
            assert (seen.status, seen.interim) == (201, [])


async def test_a_body_that_never_comes_after_100_is_given_up(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(server={"body_timeout": "200ms"})
    async with Client(program.port) as client:
        await client.send_raw(expecting("/users", 28))
        seen = await client.read_response("POST")
        assert [each.status for each in seen.interim] == [100]
        assert (seen.status, seen.slug) == (400, "request-incomplete")
    assert not upstream.started
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).status == 201
