# What follows a 101: bytes of another protocol, carried as they come, at the pace of the slower side, until one ends.

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from gateway.tunnel import tunnel
from tests.conftest import StartGateway
from tests.gateway.shorthands import expect_next, expect_proxy_status, get, started
from tests.support import behaviours, wire
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.pace import StandingClient, drip
from tests.support.program import GatewayProgram, rules
from tests.support.sockets import sockets, until_sockets
from tests.support.tally import Tally
from tests.support.upstream import Act, Call, RawUpstream

MIB = 2**20
GROWTH = 64 * MIB
"""Bytes by which no tunnel may make the gateway grow."""
PIECE = bytes(range(251)) * 261


def asking(protocol: str = "raw") -> bytes:
    """A request to change to another protocol."""
    return request_bytes("GET", "/socket", [("Connection", "Upgrade"), ("Upgrade", protocol)])


SWITCHING = wire.render_head("HTTP/1.1 101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "raw")])


def switched(then: Callable[[Call], Awaitable[None]], first: bytes = b"") -> Act:
    """Change to the protocol "raw", with `first` in the same segment, and then speak it."""

    async def act(call: Call) -> None:
        await call.send(SWITCHING + first)
        await then(call)
        if not call.ended:
            call.close()

    return act


async def upgraded(client: Client) -> None:
    """Ask for the protocol "raw", and get it."""
    await client.send_raw(asking())
    seen = await client.read_response()
    assert (seen.status, seen.reason, seen.header("Upgrade")) == (101, "Switching Protocols", "raw")
    assert seen.header("Connection") == "Upgrade"


async def echo(call: Call) -> None:
    """Send back what comes, until nothing more does."""
    while data := await call.reader.read(65536):
        await call.send(data)


# WebSockets


@contextlib.asynccontextmanager
async def websocket(
    gateway: StartGateway, speak: Callable[[ServerConnection], Awaitable[None]], **server: str
) -> AsyncIterator[tuple[GatewayProgram, ClientConnection]]:
    """A WebSocket through a gateway to an API that speaks."""
    async with serve(speak, "127.0.0.1", 0, max_size=None, subprotocols=["chat"]) as api:  # type: ignore[list-item]
        (own,) = api.sockets
        program = await gateway(rules(own.getsockname()[1], server=server))
        url = f"ws://127.0.0.1:{program.port}/socket?x=1"
        async with connect(url, max_size=None, subprotocols=["other", "chat"]) as client:  # type: ignore[list-item]
            yield program, client


async def echo_messages(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize(
    "message",
    ["", "text", "naïve café 🎈", b"", b"\x00\xff" * 100, "x" * MIB, b"y" * MIB],
    ids=["empty", "text", "unicode", "no-bytes", "bytes", "long-text", "long-bytes"],
)
async def test_a_websocket_message_comes_back_as_it_was(message: str | bytes, gateway: StartGateway) -> None:
    async with websocket(gateway, echo_messages) as (_, client):
        for _ in range(3):
            await client.send(message)
            assert await client.recv() == message
        assert client.subprotocol == "chat"
        await client.ping()


async def test_a_websocket_that_the_client_closes_is_closed_for_the_api(gateway: StartGateway) -> None:
    closed = Tally[tuple[int | None, str | None]]()

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.add((connection.close_code, connection.close_reason))

    async with websocket(gateway, listen) as (program, client):
        await client.close(4321, "enough")
        assert client.close_code == 4321
    await closed.reach(1)
    assert closed == [(4321, "enough")]
    line = await program.wait_for_log(event="request")
    assert (line["outcome"], line["status"], line["upstream_status"]) == ("upgraded", 101, 101)


async def test_a_websocket_that_the_api_closes_is_closed_for_the_client(gateway: StartGateway) -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(4000, "not today")

    async with websocket(gateway, refuse) as (program, client):
        with pytest.raises(ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "not today")
    await program.wait_for_log(event="request", outcome="upgraded")


async def test_a_client_that_vanishes_is_missed_by_the_api_at_once(gateway: StartGateway) -> None:
    closed = Tally[int | None]()

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.add(connection.close_code)

    async with websocket(gateway, listen) as (program, client):
        client.transport.abort()
        await closed.reach(1)
    assert closed == [1006]
    await program.wait_for_log(event="request", outcome="upgraded")


async def test_an_api_that_vanishes_is_missed_by_the_client_at_once(gateway: StartGateway) -> None:
    async def vanish(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with websocket(gateway, vanish) as (program, client):
        await client.send("hello")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
    await program.wait_for_log(event="request", outcome="upgraded")


async def test_fifty_websockets_at_once_do_not_hear_each_other(gateway: StartGateway) -> None:
    async with websocket(gateway, echo_messages) as (program, _):

        async def talk(number: int) -> None:
            url = f"ws://127.0.0.1:{program.port}/"
            async with connect(url, subprotocols=["chat"]) as client:  # type: ignore[list-item]
                for turn in range(20):
                    await client.send(f"{number} {turn}")
                    assert await client.recv() == f"{number} {turn}"

        async with asyncio.TaskGroup() as tasks:
            for number in range(50):
                tasks.create_task(talk(number))


# Any other protocol


async def test_what_one_side_ends_the_other_may_go_on_with(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The client has said all it has to say, and hears the answer to it."""

    async def answer_at_the_end(call: Call) -> None:
        data = await call.reader.read()
        await call.send(data[::-1] * 1000)

    upstream.script(switched(answer_at_the_end))
    program = await gateway()
    async with Client(program.port) as client:
        await upgraded(client)
        await client.send_raw(b"abc")
        client.writer.write_eof()
        assert await client.reader.read() == b"cba" * 1000
    await program.wait_for_log(event="request", outcome="upgraded", status=101)


async def test_what_the_api_ends_the_client_may_go_on_with(upstream: RawUpstream, gateway: StartGateway) -> None:
    heard = Tally[bytes]()

    async def speak_first(call: Call) -> None:
        await call.send(b"over to you")
        call.writer.write_eof()
        heard.add(await call.reader.read())

    upstream.script(switched(speak_first))
    program = await gateway()
    async with Client(program.port) as client:
        await upgraded(client)
        assert await client.reader.read() == b"over to you"
        for word in (b"and ", b"on ", b"it ", b"goes"):
            await client.send_raw(word)
        client.writer.write_eof()
        await heard.reach(1)
    assert heard == [b"and on it goes"]


@pytest.mark.parametrize("who", ["client", "api"])
async def test_a_reset_of_one_side_ends_the_other(who: str, upstream: RawUpstream, gateway: StartGateway) -> None:
    async def reset(call: Call) -> None:
        await call.reader.readexactly(1)
        if who == "api":
            call.reset()
        else:
            await call.reader.read()

    upstream.script(switched(reset))
    program = await gateway()
    async with Client(program.port) as client:
        await upgraded(client)
        await client.send_raw(b"x")
        if who == "client":
            client.writer.transport.abort()
            await upstream.ended.reach(1)
        else:
            await client.wait_for_end()
    await program.wait_for_log(event="request", outcome="upgraded")


@pytest.mark.parametrize("size", [5, 100_000, 250_000])
async def test_what_the_api_says_right_behind_its_101_is_not_lost(
    size: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    first = (PIECE * 4)[:size]
    upstream.script(switched(echo, first))
    program = await gateway()
    async with Client(program.port) as client:
        await upgraded(client)
        assert await client.reader.readexactly(size) == first
        await client.send_raw(b"and back")
        assert await client.reader.readexactly(8) == b"and back"


@pytest.mark.parametrize("size", [5, 60_000, 250_000])
async def test_what_the_client_says_right_behind_its_request_is_not_lost(
    size: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also when the API takes its time to agree, and when it is more than a head may be."""
    held = behaviours.Held(switched(echo))
    upstream.script(held)
    program = await gateway()
    first = (PIECE * 4)[:size]
    async with Client(program.port) as client:
        sending = asyncio.create_task(client.send_raw(asking() + first))
        await held.waiting.reach(1)
        held.release()
        assert (await client.read_response()).status == 101
        assert await client.reader.readexactly(size) == first
        await sending
    assert bytes(upstream.requests[0].raw).endswith(b"\r\n\r\n"), "the API was sent them before it agreed"


# Pace


class Flood:
    """Endless bytes, and how many have been taken of them."""

    def __init__(self) -> None:
        self.sent = 0
        self.is_over = asyncio.Event()

    def __iter__(self) -> Iterator[bytes]:
        while not self.is_over.is_set():
            yield PIECE
            self.sent += len(PIECE)

    def digest(self) -> str:
        """Of all that was taken."""
        hasher = hashlib.sha256()
        for _ in range(self.sent // len(PIECE)):
            hasher.update(PIECE)
        return hasher.hexdigest()


async def until_still(program: GatewayProgram, flood: Flood) -> int:
    """Wait until nothing more is taken while two hundred other requests come and go; how much was."""
    came = -1
    async with Client(program.port) as bystander:
        while came != flood.sent:
            came = flood.sent
            for _ in range(200):
                assert (await bystander.request("GET", "/bystander")).status == 200
    return came


async def digest_of(reader: asyncio.StreamReader) -> str:
    """Of all that comes until the end."""
    hasher = hashlib.sha256()
    while data := await reader.read(MIB):
        hasher.update(data)
    return hasher.hexdigest()


async def test_a_client_that_reads_nothing_holds_back_the_api_and_costs_no_memory(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, upstream)
    flood = Flood()

    async def pour(call: Call) -> None:
        for piece in flood:
            await call.send(piece)

    upstream.script(switched(pour))
    async with StandingClient(program.port) as client:
        await client.send_raw(asking())
        assert 0 < await until_still(program, flood) < GROWTH
        flood.is_over.set()
        client.read_on()
        assert (await client.read_response()).status == 101
        assert await digest_of(client.reader) == flood.digest(), "what waited was lost or doubled"
    assert growth() < GROWTH


async def test_an_api_that_reads_nothing_holds_back_the_client_and_costs_no_memory(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, upstream)
    flood = Flood()
    go_on = asyncio.Event()
    taken = Tally[str]()

    async def stand(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        call.writer.transport.resume_reading()  # type: ignore[attr-defined]
        taken.add(await digest_of(call.reader))

    upstream.script(switched(stand))
    async with Client(program.port) as client:

        async def pour() -> None:
            for piece in flood:
                await client.send_raw(piece)
            client.writer.write_eof()

        await client.send_raw(asking())
        pouring = asyncio.create_task(pour())
        assert (await client.read_response()).status == 101
        assert 0 < await until_still(program, flood) < GROWTH
        flood.is_over.set()
        go_on.set()
        await pouring
        await taken.reach(1)
    assert taken == [flood.digest()], "what waited was lost or doubled"
    assert growth() < GROWTH


@pytest.mark.parametrize("slow", ["client", "api"])
async def test_a_side_that_does_not_take_the_first_bytes_holds_back_the_other_from_then_on(slow: str) -> None:
    """What came with the 101, or behind the request, may be more than the kernel takes: nothing more is read then."""
    loop = asyncio.get_running_loop()
    standing, far_end = socket.socketpair()
    standing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    other, source = socket.socketpair()
    source.setblocking(False)
    first, second = [(await loop.create_connection(asyncio.Protocol, sock=own))[0] for own in (standing, other)]
    for transport in (first, second):
        transport.pause_reading()
    early = PIECE * 4
    if slow == "client":
        carrying = tunnel(first, second, to_client=early, to_upstream=b"", idle_timeout=3600)
    else:
        carrying = tunnel(second, first, to_client=b"", to_upstream=early, idle_timeout=3600)
    task = asyncio.create_task(carrying)
    with source, far_end:
        await asyncio.sleep(0)  # the tunnel begins
        taken = -1
        while first.get_write_buffer_size() < GROWTH and taken != first.get_write_buffer_size():
            taken = first.get_write_buffer_size()
            with contextlib.suppress(BlockingIOError):
                source.send(PIECE)
            for _ in range(100):
                await asyncio.sleep(0)
        assert first.get_write_buffer_size() < len(early) + 2 * MIB
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    first.abort()


# Time


async def test_a_tunnel_in_which_nothing_moves_is_closed_for_both(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.script(switched(echo))
    program = await gateway(server={"tunnel_timeout": "200ms"})
    async with Client(program.port) as client:
        await upgraded(client)
        assert await client.wait_for_end() == "closed"
        await upstream.ended.reach(1)
    await program.wait_for_log(event="request", outcome="upgraded", status=101)


@pytest.mark.parametrize("who", ["client", "api"])
async def test_a_tunnel_in_which_only_one_side_speaks_is_not_closed(
    who: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """For longer than it may stand still."""

    async def speak(call: Call) -> None:
        if who == "client":
            await call.send(await call.reader.readexactly(25))
        else:
            for _ in range(25):
                await call.send(b"x")
                await asyncio.sleep(0.1)

    upstream.script(switched(speak))
    program = await gateway(server={"tunnel_timeout": "1s"})
    async with Client(program.port) as client:
        await upgraded(client)
        if who == "client":
            await drip(client, [b"x"] * 25, every=0.1)
        assert await client.reader.read() == b"x" * 25


async def test_the_times_for_requests_and_answers_do_not_hold_in_a_tunnel(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    times = {"head_timeout": "200ms", "body_timeout": "200ms", "keepalive_timeout": "200ms"}
    program = await gateway(server=times, upstream={"idle_timeout": "200ms", "response_timeout": "200ms"})
    async with Client(program.port) as client:
        await upgraded(client)
        for _ in range(2):
            async with Client(program.port) as measure:
                assert await measure.wait_for_end() == "closed"
        await client.send_raw(b"still here")
        assert await client.reader.readexactly(10) == b"still here"


async def test_a_tunnel_whose_client_takes_nothing_leaves_no_socket_behind(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """What it would not take is not kept for it."""
    flood = Flood()

    async def pour(call: Call) -> None:
        for piece in flood:
            await call.send(piece)

    program = await gateway(server={"tunnel_timeout": "300ms"}, upstream={"keepalive_connections": 0})
    before = sockets(program)
    upstream.script(switched(pour))
    async with StandingClient(program.port) as client:
        await client.send_raw(asking())
        await upstream.ended.reach(1)
        await until_sockets(program, before)


# What is offered, and what is believed


@pytest.mark.parametrize(
    "protocol", ["h2c", "H2C", "HTTP/2.0", "http/1.1", "TLS/1.0", "tls/1.2, h2c", "one, two"], ids=lambda it: str(it)
)
async def test_a_protocol_that_would_lead_past_the_gateway_is_not_offered(
    protocol: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nor several, of which nobody knows which one the API takes. The request is an ordinary one then."""
    program = await gateway()
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("GET", "/socket", fields))
        assert (await client.read_response()).status == 200
        assert (await client.request("GET", "/next")).status == 200
    request = upstream.requests[0]
    for name in ("Upgrade", "Connection", "HTTP2-Settings"):
        assert request.header(name) is None


async def test_of_several_protocols_the_one_that_may_be_offered_is(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(asking("h2c, raw"))
        assert (await client.read_response()).status == 101
    assert (upstream.requests[0].header("Upgrade"), upstream.requests[0].header("Connection")) == ("raw", "Upgrade")


@pytest.mark.parametrize(
    "request_",
    [
        asking().replace(b"HTTP/1.1", b"HTTP/1.0"),
        asking().replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        request_bytes("POST", "/socket", [("Connection", "Upgrade"), ("Upgrade", "raw")], b"body"),
    ],
    ids=["http-1.0", "not-in-connection", "with-a-body"],
)
async def test_an_upgrade_that_cannot_be_carried_is_not_offered(
    request_: bytes, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(request_)
        assert (await client.read_response()).status in {200, 201}
    (request,) = upstream.requests
    assert (request.header("Upgrade"), request.header("Connection")) == (None, None)


async def test_an_upgrade_of_a_guarded_create_is_not_offered(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    assert (await create(program.port, "ada@example.org", headers=headers)).status == 201
    (request,) = upstream.requests
    assert (request.header("Upgrade"), request.header("Connection")) == (None, None)
    assert (await create(program.port, "ada@example.org", headers=headers)).slug == "duplicate"


@pytest.mark.parametrize("status", [200, 400, 426, 503])
async def test_an_upgrade_that_the_api_declines_is_an_ordinary_answer(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.answer(status, [("X-Why", "because")], b"no"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(asking() + request_bytes("GET", "/next"))
        seen = await client.read_response()
        assert (seen.status, seen.body, seen.header("X-Why")) == (status, b"no", "because")
        assert (await client.read_response()).status == 200
    assert [request.target for request in upstream.requests] == ["/socket", "/next"]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (request_bytes("GET", "/"), SWITCHING),
        (asking("websocket"), SWITCHING),
        (asking("h2c"), SWITCHING.replace(b"raw", b"h2c")),
        (asking(), b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        (asking(), SWITCHING.replace(b"raw", b"raw, other")),
    ],
    ids=["nobody-asked", "another-one", "not-offered", "unnamed", "two"],
)
async def test_a_101_that_nobody_asked_for_is_a_bad_gateway(
    request_: bytes, answer: bytes, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.raw(answer + b"what follows", "close"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(request_)
        seen = await client.read_response()
        assert (seen.status, seen.slug) == (502, "outcome-unknown")
        expect_proxy_status(seen, "http_protocol_error")
        assert b"what follows" not in seen.body
        assert (await client.request("GET", "/")).status == 200


async def test_a_101_for_a_guarded_create_leaves_its_outcome_unknown(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.raw(SWITCHING, "close"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", headers=[("Connection", "Upgrade"), ("Upgrade", "raw")]))
        assert (await client.read_response("POST")).slug == "outcome-unknown"
    await expect_next(program.port, upstream, "ada@example.org", "unknown")


# How many, and the end


async def test_a_tunnel_counts_as_a_connection_for_as_long_as_it_is_open(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    program = await gateway(server={"max_connections": 1})
    async with Client(program.port) as client:
        await upgraded(client)
        assert (await get(program.port, "/")).slug == "too-many-connections"
    await program.wait_for_log(event="request", outcome="upgraded")
    assert (await get(program.port, "/")).status == 200


async def test_an_open_tunnel_is_cut_when_the_time_for_the_drain_is_over(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    program = await gateway(server={"drain_timeout": "200ms"})
    async with Client(program.port) as client:
        await upgraded(client)
        assert await program.stop() == 0
        await client.wait_for_end()
        await upstream.ended.reach(1)
    assert any(line["event"] == "drain-timeout" for line in program.log)


async def test_a_tunnel_that_ends_in_the_drain_ends_the_drain(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Until then it is carried on."""
    upstream.script(switched(echo))
    program = await gateway(server={"drain_timeout": "1h"})
    async with Client(program.port) as client:
        await upgraded(client)
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        await client.send_raw(b"still here")
        assert await client.reader.readexactly(10) == b"still here"
        assert not stopping.done()
    assert await stopping == 0
    assert not any(line["event"] == "drain-timeout" for line in program.log)
