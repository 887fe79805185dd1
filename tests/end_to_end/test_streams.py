# What no rule guards, and every answer, flows through: whole, in order, and at the pace of the slower side.

import asyncio
import hashlib
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import GIB, started
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage

MIB = 2**20
GROWTH = 64 * MIB
"""Bytes by which no stream may make the gateway grow."""
_BLOCK = bytes(range(256)) * 1021  # a prime number of times: no piece of it looks like another at a power of two


def pieces(size: int) -> Iterator[bytes]:
    """Bytes without a pattern that a lost or doubled piece would keep, in pieces of odd sizes."""
    number = 0
    while size:
        piece = memoryview(_BLOCK)[: min(size, len(_BLOCK) - number % 977)]
        yield bytes(piece)
        size -= len(piece)
        number += 1


def digest(size: int) -> str:
    hasher = hashlib.sha256()
    for piece in pieces(size):
        hasher.update(piece)
    return hasher.hexdigest()


@pytest.mark.parametrize(("is_chunked", "size"), [(False, GIB), (True, GIB)], ids=["length", "chunked"])
async def test_an_upload_arrives_byte_for_byte_within_bounded_memory(
    size: int, api: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program, growth = await started(gateway, api)
    framing = [] if is_chunked else [("Content-Length", str(size))]
    async with Client(program.port) as client:
        assert (await client.request("PUT", "/big", framing, pieces(size))).status == 200
    request = api.requests[-1]
    assert (request.body_length, request.digest) == (size, digest(size))
    assert request.header("Transfer-Encoding") == ("chunked" if is_chunked else None)
    assert request.header("Content-Length") == (None if is_chunked else str(size))
    assert growth() < GROWTH


@pytest.mark.parametrize(
    ("framing", "size"), [("length", GIB), ("chunked", GIB), ("close", GIB)], ids=lambda value: str(value)
)
async def test_a_download_arrives_byte_for_byte_within_bounded_memory(
    framing: str, size: int, api: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, api)
    api.script(answer_of(framing, size))
    hasher = hashlib.sha256()
    async with Client(program.port) as client:
        response = await client.request("GET", "/big", sink=hasher.update)
        assert response.status == 200
        assert (await client.request("GET", "/")).status == 200, "the connection is kept"
    assert hasher.hexdigest() == digest(size)
    assert response.header("Content-Length") == (str(size) if framing == "length" else None)
    assert response.header("Transfer-Encoding") == (None if framing == "length" else "chunked")
    assert growth() < GROWTH


def answer_of(framing: str, size: int) -> Behaviour:
    match framing:
        case "length":
            return behaviours.streamed(size, pieces(size))
        case "chunked":
            return behaviours.chunked(pieces(size))

    async def until_close(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece in pieces(size):
            await call.send(piece)
        call.close()

    return until_close


# Pace


async def until_still(program: GatewayProgram, progress: Callable[[], int]) -> int:
    """Wait until `progress` stands still while a hundred other requests come and go; what it came to."""
    async with Client(program.port) as bystander:
        came = -1
        while came != progress():
            came = progress()
            for _ in range(100):
                assert (await bystander.request("GET", "/bystander")).status == 200
    return came


async def test_a_client_that_reads_nothing_holds_back_the_api_and_costs_no_memory(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, api)
    sent = 0

    async def endless(call: Call) -> None:
        nonlocal sent
        await call.send(wire.render_head("HTTP/1.1 200 OK", [("Content-Length", str(GIB // 4))]))
        for piece in pieces(GIB // 4):
            await call.send(piece)
            sent += len(piece)

    api.script(endless)
    hasher = hashlib.sha256()
    async with Client(program.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send_raw(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        stopped_at = await until_still(program, lambda: sent)
        assert 0 < stopped_at < GROWTH
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await client.read_response(sink=hasher.update)
    assert hasher.hexdigest() == digest(GIB // 4), "what waited was lost or doubled"
    assert growth() < GROWTH


async def test_an_api_that_reads_nothing_holds_back_the_client_and_costs_no_memory(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program, growth = await started(gateway, api)
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        call.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    api.script(At(Stage.HEAD, slow))
    size, sent = GIB // 4, 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for piece in pieces(size):
            yield piece
            sent += len(piece)

    async def upload() -> Response:
        async with Client(program.port) as client:
            return await client.request("PUT", "/big", [("Content-Length", str(size))], counted())

    uploading = asyncio.create_task(upload())
    await api.started.reach(2)
    stopped_at = await until_still(program, lambda: sent)
    assert 0 < stopped_at < GROWTH
    go_on.set()
    assert (await uploading).status == 200
    assert api.requests[-1].digest == digest(size), "what waited was lost or doubled"
    assert growth() < GROWTH


async def test_each_piece_of_an_answer_is_passed_on_before_the_next_one_exists(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program, _ = await started(gateway, api)
    taken = [asyncio.Event() for _ in range(5)]

    async def events(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, event in enumerate(taken):
            await call.send(wire.render_chunk(b"data: %d\n\n" % number))
            await event.wait()
        await call.send(wire.render_chunk(b""))

    api.script(events)
    seen = []

    def take(piece: bytes) -> None:
        if piece:
            seen.append(piece)
            taken[len(seen) - 1].set()

    async with Client(program.port) as client:
        await client.request("GET", "/events", sink=take)
    assert b"".join(seen) == b"".join(b"data: %d\n\n" % number for number in range(5))


async def test_each_piece_of_an_upload_is_passed_on_before_the_next_one_exists(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program, _ = await started(gateway, api)
    seen: list[bytes] = []
    taken = asyncio.Queue[bytes]()

    async def echo(call: Call) -> None:
        async for _, piece in wire.body_pieces(call.reader, "chunked"):
            if piece:
                taken.put_nowait(piece)
        call.body_is_read = True
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    api.script(At(Stage.HEAD, echo))
    async with Client(program.port) as client:
        await client.send_raw(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            await client.send_raw(wire.render_chunk(b"piece %d" % number))
            seen.append(await taken.get())
        await client.send_raw(wire.render_chunk(b""))
        assert (await client.read_response("PUT")).status == 200
    assert seen == [b"piece %d" % number for number in range(5)]
