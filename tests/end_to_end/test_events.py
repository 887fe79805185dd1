# Answers that take their time: events are forwarded when they are sent, and a client that leaves is not waited for.

import asyncio
import itertools
import socket
import struct

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, request_bytes
from tests.support.pace import StandingClient
from tests.support.shorthands import started
from tests.support.upstream import Behaviour, Call, RawUpstream

MIB = 2**20
GROWTH = 64 * MIB
EVENT_STREAM = ("Content-Type", "text/event-stream")
EVENTS = [b"data: %d\n\n" % number for number in range(20)]
GET = request_bytes("GET", "/events", [("Accept", "text/event-stream")])


def on_demand(framing: str, wanted: "asyncio.Queue[None]") -> Behaviour:
    """Send the head at once, and each event when it is asked for; with Content-Length, chunks, or until the end."""

    async def act(call: Call) -> None:
        fields = {
            "length": [("Content-Length", str(sum(map(len, EVENTS))))],
            "chunked": [("Transfer-Encoding", "chunked")],
            "close": [],
        }[framing]
        await call.send(wire.render_head("HTTP/1.1 200 OK", [EVENT_STREAM, *fields]))
        for event in EVENTS:
            await wanted.get()
            await call.send(wire.render_chunk(event) if framing == "chunked" else event)
        await wanted.get()
        if framing == "chunked":
            await call.send(wire.render_chunk(b""))
        if framing == "close":
            call.close()

    return act


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_each_event_is_forwarded_when_it_is_sent(
    framing: str, version: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The head too: the API sends no event before the client has the one before it."""
    wanted: asyncio.Queue[None] = asyncio.Queue()
    upstream.script(on_demand(framing, wanted))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(GET.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        head = (await wire.read_head(client.reader)).lower()
        assert b"content-type: text/event-stream\r\n" in head
        assert (b"transfer-encoding: chunked\r\n" in head) == (framing != "length" and version == "1.1")
        for event in EVENTS:
            wanted.put_nowait(None)
            if b"chunked" in head:
                assert await client.reader.readuntil(b"\r\n") == b"%x\r\n" % len(event)
            assert await client.reader.readexactly(len(event)) == event
            if b"chunked" in head:
                assert await client.reader.readexactly(2) == b"\r\n"
        wanted.put_nowait(None)
        if b"chunked" in head:
            assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        elif framing != "length":
            assert await client.wait_for_end() == "closed"


async def test_events_of_a_guarded_create_are_forwarded_when_they_are_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    wanted: asyncio.Queue[None] = asyncio.Queue()
    upstream.script(on_demand("chunked", wanted))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(
            request_bytes("POST", "/users", [("Content-Type", "application/json")], b'{"email": "a"}')
        )
        assert b"200 OK" in await wire.read_head(client.reader)
        for event in EVENTS:
            wanted.put_nowait(None)
            assert (await client.reader.readuntil(event)).endswith(event)
        wanted.put_nowait(None)
        assert (await client.reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")


async def test_an_event_stream_that_rests_for_longer_than_a_client_may_stand_still_goes_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It is the API that rests: only its own time counts."""
    wanted: asyncio.Queue[None] = asyncio.Queue()
    upstream.script(on_demand("chunked", wanted))
    times = {"head_timeout": "400ms", "body_timeout": "400ms", "keepalive_timeout": "400ms"}
    program = await gateway(server=times, upstream={"idle_timeout": "1h", "response_timeout": "400ms"})
    async with Client(program.port) as client:
        await client.send_raw(GET)
        await wire.read_head(client.reader)
        for event in EVENTS[:3]:
            async with Client(program.port) as measure:
                assert await measure.wait_for_end() == "closed"
            wanted.put_nowait(None)
            assert (await client.reader.readuntil(event)).endswith(event)


async def test_an_event_stream_that_rests_for_too_long_is_broken_off(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """So that it does not look whole."""
    wanted: asyncio.Queue[None] = asyncio.Queue()
    upstream.script(on_demand("chunked", wanted))
    program = await gateway(upstream={"idle_timeout": "200ms"})
    async with Client(program.port) as client:
        await client.send_raw(GET)
        await wire.read_head(client.reader)
        wanted.put_nowait(None)
        assert (await client.reader.readuntil(EVENTS[0])).endswith(EVENTS[0])
        try:
            rest = await client.reader.read()
        except ConnectionError:
            rest = b""
        assert rest in {b"", b"\r\n"}, "no last chunk"
    for _ in EVENTS:
        wanted.put_nowait(None)
    await upstream.ended.reach(1)


# Clients that leave


@pytest.mark.parametrize("end", ["reset", "close"])
async def test_a_client_that_leaves_a_stream_of_events_frees_the_api_by_the_next_ones(
    end: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    async def endless(call: Call) -> None:
        await call.send(wire.render_head("HTTP/1.1 200 OK", [EVENT_STREAM, ("Transfer-Encoding", "chunked")]))
        for number in itertools.count():
            await call.send(wire.render_chunk(b"data: %d\n\n" % number))
            await asyncio.sleep(0.01)

    upstream.script(endless)
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(GET)
        await client.reader.readuntil(b"data: 3\n\n")
        if end == "reset":
            client.writer.transport.abort()
    await upstream.ended.reach(1)
    (line,) = await program.request_lines(1)
    assert (line["outcome"], line["client_gone"]) == ("cancelled", True)


async def test_a_long_poll_whose_client_breaks_off_frees_the_api_at_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.never)
    program = await gateway(upstream={"response_timeout": "1h"})
    async with StandingClient(program.port) as client:
        await client.send_raw(GET)
        await upstream.requests.reach(1)
        reset(client)
        await upstream.ended.reach(1)
    (line,) = await program.request_lines(1)
    assert (line["outcome"], line["status"], line["client_gone"]) == ("cancelled", None, True)


def reset(client: Client) -> None:
    """End a connection with RST."""
    connection = client.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def test_a_long_poll_whose_client_closes_frees_the_api_when_its_time_is_over(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nobody can tell it from one that only sends nothing more, and still waits for its answer."""
    upstream.script(behaviours.never)
    program = await gateway(upstream={"response_timeout": "300ms"})
    async with Client(program.port) as client:
        await client.send_raw(GET)
        await upstream.requests.reach(1)
    await upstream.ended.reach(1)
    (line,) = await program.request_lines(1)
    assert (line["outcome"], line["client_gone"]) == ("outcome-unknown", True)


async def test_a_long_poll_of_a_client_that_sends_nothing_more_is_answered(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    held = behaviours.Held(behaviours.answer(200, body=b"at last"))
    upstream.script(held)
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(GET)
        client.writer.write_eof()
        await held.waiting.reach(1)
        held.release()
        assert (await client.read_response()).body == b"at last"


async def test_the_connection_of_an_answer_that_nobody_waited_for_is_not_used_again(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """What the API still says on it belongs to nobody else."""
    held = behaviours.Held(behaviours.answer(200, body=b"for another"))
    upstream.script(held)
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(GET)
        await held.waiting.reach(1)
        reset(client)
    await program.wait_for_log(event="request", outcome="cancelled")
    held.release()
    async with Client(program.port) as client:
        for _ in range(5):
            assert (await client.request("GET", "/")).body != b"for another"
    assert upstream.requests[-1].connection > 0


# Clients that read nothing


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_client_that_reads_nothing_of_ten_gibibytes_costs_no_memory(
    framing: str, api: RawUpstream, gateway: StartGateway
) -> None:
    """The API makes them as they are taken: it is held back long before the end."""
    program, growth = await started(gateway, api)
    size, sent = 10 * 2**30, 0
    fields = {
        "length": ("Content-Length", str(size)),
        "chunked": ("Transfer-Encoding", "chunked"),
        "close": EVENT_STREAM,
    }
    piece = b"x" * 65536

    async def endless(call: Call) -> None:
        nonlocal sent
        await call.send(wire.render_head("HTTP/1.1 200 OK", [fields[framing]]))
        while sent < size:
            await call.send(wire.render_chunk(piece) if framing == "chunked" else piece)
            sent += len(piece)

    api.script(endless)
    async with StandingClient(program.port) as client, Client(program.port) as bystander:
        await client.send_raw(GET)
        await api.started.reach(2)  # the bystander reads its whole answer, and must not get this one
        came = -1
        while (came != sent or not sent) and sent < GROWTH:
            came = sent
            for _ in range(200):
                assert (await bystander.request("GET", "/bystander")).status == 200
        assert sent < GROWTH
        assert growth() < GROWTH
    await api.ended.reach(1)


async def test_fifty_clients_that_read_nothing_cost_no_more_than_their_buffers(
    api: RawUpstream, gateway: StartGateway
) -> None:
    """About a mebibyte each."""
    program, growth = await started(gateway, api)
    sent = [0] * 50
    numbers = itertools.count()

    async def endless(call: Call) -> None:
        number = next(numbers)
        await call.send(wire.render_head("HTTP/1.1 200 OK", [("Content-Length", str(10 * 2**30))]))
        while True:
            await call.send(b"x" * 65536)
            sent[number] += 65536

    api.script(*[endless] * 50)
    clients = [StandingClient(program.port) for _ in sent]
    try:
        for client in clients:
            await client.__aenter__()
            await client.send_raw(GET)
        await api.started.reach(1 + len(sent))
        async with Client(program.port) as bystander:
            came: list[int] = []
            while came != sent or not all(sent):
                came = list(sent)
                for _ in range(200):
                    assert (await bystander.request("GET", "/bystander")).status == 200
        assert growth() < GROWTH
    finally:
        for client in clients:
            await client.leave()


async def test_a_head_that_never_comes_whole_is_no_event(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Nothing is forwarded of it, and the client hears of it when the time is over."""
    upstream.script(behaviours.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"))
    program = await gateway(upstream={"response_timeout": "300ms"})
    async with Client(program.port) as client:
        await client.send_raw(GET)
        seen = await client.read_response()
        assert (seen.status, seen.slug) == (504, "outcome-unknown")
