# The event stream of the admin listener, over real sockets.

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.process.admin.answers import Refused, failure
from gateway.process.admin.events import MAX_READERS, EventStream
from tests.support.client import Client, Response
from tests.support.tally import PATIENCE, Tally

ASK = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Watched:
    """How things are, and how often somebody looked."""

    def __init__(self) -> None:
        self.state: Any = 0
        self.looks: Tally[Any] = Tally()

    async def look(self) -> Mapping[str, Any]:
        self.looks.add(self.state)
        return {"steady": "always", "state": self.state}


@asynccontextmanager
async def served(stream: EventStream) -> AsyncIterator[tuple[int, web.AppRunner]]:
    """Serve a stream as the admin listener does, but with all the time in the world at the end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await stream.answer(request)
        except Refused as refused:
            return failure(refused.status, str(refused), refused.headers)

    async def end(_app: web.Application) -> None:
        await stream.close()

    app = web.Application()
    app.router.add_get("/events", answer)
    app.on_shutdown.append(end)
    runner = web.AppRunner(app, shutdown_timeout=PATIENCE)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], runner
    finally:
        await runner.cleanup()


class Reader(Client):
    """Reads a stream, whose chunks are those of its frames."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._rest = b""

    async def begin(self) -> Response:
        """Ask for the stream, and read the head of the answer."""
        await self.send_raw(ASK)
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        lines = [line.partition(b": ") for line in head.splitlines()[1:-1]]
        return Response(200, "OK", [(name.decode(), value.decode()) for name, _, value in lines], head)

    async def frame(self) -> str:
        """The next frame, without the chunk that it came in."""
        async with asyncio.timeout(PATIENCE):
            while b"\n\n" not in self._rest:
                piece = await self.reader.read(2**20)
                assert piece, "the stream has ended"
                self._rest += piece
        text, _, self._rest = self._rest.partition(b"\n\n")
        fields = (b"event:", b"data:", b":", b"retry:")
        return b"\n".join([line for line in text.split(b"\n") if line.startswith(fields)]).decode()

    async def event(self) -> tuple[str, Any]:
        """The next event."""
        while True:
            name, _, data = (await self.frame()).partition("\n")
            if name.startswith("event: "):
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def until_end(self) -> None:
        """Read until the stream has ended."""
        async with asyncio.timeout(PATIENCE):
            while await self.reader.read(2**16):
                pass


async def test_a_reader_gets_how_things_are_and_then_what_changes() -> None:
    watched = Watched()
    async with served(EventStream(watched.look, every=0.01)) as (port, _), Reader(port) as client:
        head = await client.begin()
        assert head.header("Content-Type") == "text/event-stream; charset=utf-8"
        assert await client.frame() == "retry: 2000"
        assert await client.frame() == 'event: steady\ndata: "always"'
        assert await client.frame() == "event: state\ndata: 0"
        await watched.looks.reach(len(watched.looks) + 3)
        watched.state = ["a\nb", "\u2028"]
        assert await client.event() == ("state", ["a\nb", "\u2028"])
        async with Reader(port) as late:
            await late.begin()
            assert [await late.event(), await late.event()] == [("steady", "always"), ("state", watched.state)]


async def test_nothing_is_looked_at_while_nobody_reads() -> None:
    watched = Watched()
    stream = EventStream(watched.look, every=0.01)
    async with served(stream) as (port, _):
        async with Reader(port) as client:
            assert not watched.looks
            await client.begin()
            await client.event()
        watched.state = "the reader has left"
        async with asyncio.timeout(PATIENCE):
            while repr(stream) != "EventStream(0 readers)":  # noqa: ASYNC110
                await asyncio.sleep(0)
        looks = len(watched.looks)
        await asyncio.sleep(0.05)  # five looks long
        assert len(watched.looks) == looks
        async with Reader(port) as client:
            await client.begin()
            assert await client.event() == ("steady", "always")


async def test_there_are_only_so_many_readers() -> None:
    stream = EventStream(Watched().look, every=0.01)
    async with served(stream) as (port, _):
        readers = [Reader(port) for _ in range(MAX_READERS)]
        for reader in readers:
            await reader.__aenter__()
            await reader.begin()
        async with Reader(port) as client:
            refused = await client.request("GET", "/events")
            assert (refused.status, refused.header("Retry-After")) == (429, "5")
            assert "error" in refused.json()
            await readers.pop().leave()
            async with asyncio.timeout(PATIENCE):
                while (await client.request("HEAD", "/events")).status == 429:
                    pass
        for reader in readers:
            await reader.leave()


@pytest.mark.parametrize("is_ending", [False, True], ids=["amid the stream", "at the end"])
async def test_a_slow_reader_is_cut_off_and_holds_up_nobody(is_ending: bool) -> None:
    watched = Watched()
    stream = EventStream(watched.look, every=0.01, write_timeout=PATIENCE if is_ending else 0.1)
    async with served(stream) as (port, runner), Reader(port) as slow, Reader(port) as quick:
        await slow.begin()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await quick.begin()
        for number in range(40):  # more than all buffers between the two hold
            watched.state = [number, "x" * 2**20]
            while (await quick.event())[0] != "state":
                pass
        if is_ending:
            async with asyncio.timeout(PATIENCE / 2):
                await runner.cleanup()
        else:
            async with asyncio.timeout(PATIENCE):
                while repr(stream) != "EventStream(1 readers)":  # noqa: ASYNC110
                    await asyncio.sleep(0)
            watched.state = "goes on"
            assert await quick.event() == ("state", "goes on")


async def test_a_comment_is_sent_while_nothing_happens() -> None:
    async with served(EventStream(Watched().look, every=0.01, heartbeat=0.05)) as (port, _), Reader(port) as client:
        await client.begin()
        await client.event()
        await client.event()
        assert [await client.frame(), await client.frame()] == [": still here", ": still here"]


async def test_the_end_of_the_server_ends_the_stream_at_once() -> None:
    async with (
        served(EventStream(Watched().look, every=PATIENCE, heartbeat=PATIENCE)) as (port, runner),
        Reader(port) as client,
    ):
        await client.begin()
        await client.event()
        async with asyncio.timeout(PATIENCE / 2):
            await runner.cleanup()
        await client.until_end()
