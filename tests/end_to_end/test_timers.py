# Who may take how long: heads, bodies, idle connections, handshakes, and how many connections there may be.

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.authority import Authority
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.pace import StandingClient, drip, dripping
from tests.support.shorthands import expect_proxy_status, get
from tests.support.sockets import most_unsent, sockets, until_sockets
from tests.support.upstream import At, Call, RawUpstream, Stage

GET = request_bytes("GET", "/")
CLOSING = request_bytes("GET", "/", [("Connection", "close")])


def endless_head() -> Iterator[bytes]:
    """The bytes of a head that never ends, one at a time."""
    for byte in b"GET / HTTP/1.1\r\nHost: api.example\r\nX-Slow: ":
        yield bytes([byte])
    while True:
        yield b"a"


async def flood(call: Call) -> None:
    """Answer with more than anybody keeps, for as long as somebody takes it."""
    await call.send(wire.render_head("HTTP/1.1 200 OK", [("Content-Length", str(2**40))]))
    while True:
        await call.send(b"x" * 65536)


# Heads


@pytest.mark.parametrize("earlier", [0, 1, 2])
async def test_a_head_that_comes_byte_by_byte_is_answered_408_and_its_connection_closed(
    earlier: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also when it is not the first one of its connection."""
    program = await gateway(server={"head_timeout": "300ms"})
    async with Client(program.port) as client:
        for _ in range(earlier):
            assert (await client.request("GET", "/")).status == 200
        async with dripping(client, endless_head()):
            seen = await client.read_response()
            assert (seen.status, seen.slug, seen.header("Connection")) == (408, "request-timeout", "close")
            expect_proxy_status(seen, "http_request_error")
            assert await client.wait_for_end() == "closed"
    assert len(upstream.started) == earlier
    line = (await program.request_lines(earlier + 1))[-1]
    assert (line["status"], line["outcome"]) == (408, "request-timeout")


async def test_a_head_that_stops_amid_its_first_line_is_answered_408(gateway: StartGateway) -> None:
    program = await gateway(server={"head_timeout": "100ms"})
    async with Client(program.port) as client:
        await client.send_raw(b"GET / HT")
        assert (await client.read_response()).status == 408
        assert await client.wait_for_end() == "closed"


async def test_a_head_that_came_behind_another_request_has_its_full_time_after_that_one_is_answered(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It could not be looked at before: that is not the client's doing. Then it is cut as any other."""
    program = await gateway(server={"head_timeout": "300ms"})
    held = behaviours.Held(behaviours.answer(200))
    upstream.script(held)
    async with Client(program.port) as client, Client(program.port) as measure:
        await client.send_raw(GET + GET[:-2])
        await held.waiting.reach(1)
        assert await measure.wait_for_end() == "closed", "a silent connection shows that the time of a head is over"
        held.release()
        assert (await client.read_response()).status == 200
        assert (await client.read_response()).status == 408
        assert await client.wait_for_end() == "closed"


async def test_a_connection_that_sends_nothing_is_closed_without_a_word(gateway: StartGateway) -> None:
    program = await gateway(server={"head_timeout": "100ms", "keepalive_timeout": "1h"})
    async with Client(program.port) as silent, Client(program.port) as blank:
        await blank.send_raw(b"\r\n")
        assert await silent.wait_for_end() == "closed"
        assert await blank.wait_for_end() == "closed", "an empty line before a request is nothing"
    assert (await get(program.port, "/")).status == 200
    assert len(await program.request_lines(1)) == 1


async def test_two_hundred_slow_heads_are_all_cut_while_others_are_served(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"head_timeout": "2s"})

    async def slow(client: Client, rest: Iterator[bytes]) -> int:
        async with dripping(client, rest, every=0.2):
            status = (await client.read_response()).status
            assert await client.wait_for_end() == "closed"
            return status

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks, Client(program.port) as good:
        cut = []
        for _ in range(200):
            client = await stack.enter_async_context(Client(program.port))
            head = endless_head()
            await client.send_raw(next(head))  # at once: one that sends nothing is not told
            cut.append(tasks.create_task(slow(client, head)))
        while not all(task.done() for task in cut):
            assert (await good.request("GET", "/good")).status == 200
    assert {task.result() for task in cut} == {408}
    assert {request.target for request in upstream.started} == {"/good"}


# Idle connections


async def test_an_idle_connection_is_closed_without_a_word(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(server={"keepalive_timeout": "500ms", "head_timeout": "1h"})
    async with Client(program.port) as client:
        for _ in range(3):
            assert (await client.request("GET", "/")).status == 200
        assert await client.wait_for_end() == "closed"
    assert len(upstream.requests) == len(await program.request_lines(3)) == 3


async def test_the_time_for_a_head_does_not_count_while_a_connection_is_idle(gateway: StartGateway) -> None:
    program = await gateway(server={"keepalive_timeout": "1h", "head_timeout": "500ms"})
    async with Client(program.port) as idle:
        assert (await idle.request("GET", "/")).status == 200
        async with Client(program.port) as measure:
            assert await measure.wait_for_end() == "closed"
        assert (await idle.request("GET", "/")).status == 200


async def test_an_idle_connection_is_not_measured_while_its_request_is_under_way(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"keepalive_timeout": "500ms", "head_timeout": "500ms", "body_timeout": "500ms"})
    held = behaviours.Held(behaviours.answer(200))
    async with Client(program.port) as client:
        assert (await client.request("GET", "/")).status == 200
        upstream.script(held)
        await client.send_raw(GET)
        await held.waiting.reach(1)
        async with Client(program.port) as measure:
            assert await measure.wait_for_end() == "closed"
        held.release()
        assert (await client.read_response()).status == 200
        assert await client.wait_for_end() == "closed"


async def test_a_client_that_says_that_it_sends_nothing_more_is_answered_and_not_waited_for(
    gateway: StartGateway,
) -> None:
    """As `nc -N` does: there is no next request to keep the connection for."""
    program = await gateway(server={"keepalive_timeout": "1h", "head_timeout": "1h"})
    async with Client(program.port) as client:
        await client.send_raw(GET + GET)
        client.writer.write_eof()
        assert (await client.read_response()).status == 200
        assert (await client.read_response()).status == 200
        assert await client.wait_for_end() == "closed"


# Bodies


@pytest.mark.parametrize("framing", [("Content-Length", "10"), ("Transfer-Encoding", "chunked")], ids=lambda it: it[0])
async def test_a_body_that_stands_still_is_given_up_and_the_api_never_takes_it_for_whole(
    framing: tuple[str, str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"body_timeout": "200ms"})
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("PUT /x HTTP/1.1", [("Host", "api.example"), framing]) + b"3\r\n")
        seen = await client.read_response("PUT")
        assert (seen.status, seen.slug, seen.header("Connection")) == (400, "request-incomplete", "close")
        assert await client.wait_for_end() == "closed"
    await upstream.aborted.reach(1)
    assert not upstream.requests


async def test_a_create_whose_body_stands_still_is_not_sent_and_stays_free(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"body_timeout": "200ms"})
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org")[:-5])
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug) == (400, "request-incomplete")
        assert await client.wait_for_end() == "closed"
    assert not upstream.started
    assert (await create(program.port, "ada@example.org")).status == 201


async def test_a_body_that_comes_slowly_and_steadily_is_not_cut(upstream: RawUpstream, gateway: StartGateway) -> None:
    """It takes twice as long as a body may stand still."""
    program = await gateway(server={"body_timeout": "2s"})
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("PUT", "/x", [("Content-Length", "40")]))
        await drip(client, [b"x"] * 40, every=0.1)
        assert (await client.read_response("PUT")).status == 200
    assert upstream.requests[0].body == b"x" * 40


async def test_a_body_that_nobody_reads_is_not_cut_for_the_apis_slowness(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It stands still because the API does: the client could send on at any time."""
    program = await gateway(server={"body_timeout": "1s", "head_timeout": "1500ms"}, upstream={"idle_timeout": "1h"})
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        call.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream.script(At(Stage.HEAD, slow))
    body = b"x" * 32 * 2**20
    async with Client(program.port) as client, Client(program.port) as measure:
        uploading = asyncio.create_task(client.request("PUT", "/x", (), body))
        await upstream.started.reach(1)
        assert await measure.wait_for_end() == "closed"
        go_on.set()
        assert (await uploading).status == 200
    assert upstream.requests[0].body_length == len(body)


async def test_a_client_that_reads_nothing_of_its_answer_is_cut_and_the_api_freed(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"body_timeout": "300ms"})
    upstream.script(flood)
    async with StandingClient(program.port) as client:
        await client.send_raw(GET)
        await upstream.ended.reach(1)
    (line,) = await program.request_lines(1)
    assert line["client_gone"] is True


async def test_a_client_that_reads_slowly_and_steadily_is_not_cut(upstream: RawUpstream, gateway: StartGateway) -> None:
    """It takes twice as long as an answer may stand still, and there is never a pause of that length in it."""
    program = await gateway(server={"body_timeout": "2s"})
    size = 5_000_000  # more than the kernel keeps, which would hide it from the gateway
    upstream.script(behaviours.answer(200, body=b"x" * size))
    loop = asyncio.get_running_loop()
    left = size
    with socket.socket() as own:
        own.setblocking(False)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await loop.sock_connect(own, ("127.0.0.1", program.port))
        await loop.sock_sendall(own, GET)
        head, _, body = (await loop.sock_recv(own, 1024)).partition(b"\r\n\r\n")
        assert b" 200 " in head
        left -= len(body)
        while left and (piece := await loop.sock_recv(own, 20_000)):
            left -= len(piece)
            await asyncio.sleep(0.02)
    assert left == 0
    (line,) = await program.request_lines(1)
    assert line["status"] == 200


@pytest.mark.parametrize("request_", [GET, CLOSING], ids=["kept", "closing"])
async def test_a_client_that_does_not_fetch_the_end_of_its_answer_is_let_go(
    request_: bytes, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also when so little is left that nobody waits for room to write it."""
    times = {"body_timeout": "2s", "keepalive_timeout": "2s", "head_timeout": "2s"}
    program = await gateway(server=times, upstream={"keepalive_connections": 0})
    before = sockets(program)
    async with StandingClient(program.port) as client:
        upstream.script(flood)
        await client.send_raw(GET)
        await upstream.ended.reach(1)
        kept = most_unsent(program.port)
    async with AsyncExitStack() as stack:
        for number in range(16):
            upstream.script(behaviours.answer(200, body=b"x" * (kept + 8000 * number)))
            client = await stack.enter_async_context(StandingClient(program.port))
            await client.send_raw(request_)
        await upstream.requests.reach(17)
        await until_sockets(program, before)


# Handshakes


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\x02", GET, b"\x16\x03\x01\x00\x05hello"], ids=["nothing", "half", "plain", "garbage"]
)
async def test_a_handshake_that_never_comes_is_given_up_and_nothing_is_written_about_it(
    sent: bytes, gateway: StartGateway, tmp_path: Path
) -> None:
    certificate, key = Authority(tmp_path).issue("gateway")
    program = await gateway(server={"head_timeout": "300ms", "tls": {"certificate": certificate, "key": key}})
    async with Client(program.port) as client:
        await client.send_raw(sent)
        with contextlib.suppress(ConnectionError):
            await client.reader.read()  # an alert, perhaps
    assert await program.stop() == 0
    assert program.events()[-3:] == ["listening", "draining", "stopped"]
    assert "Traceback" not in program.whole_output
