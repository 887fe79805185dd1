# What follows a 101: a WebSocket, or bytes of any other protocol, carried as they come until one side ends.

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client
from tests.support.program import GatewayProgram, rules
from tests.support.shorthands import get
from tests.support.tally import Tally
from tests.support.tunnels import PIECE, asking, echo, switched, upgraded
from tests.support.upstream import Call, RawUpstream

MIB = 2**20


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
