# What a connection leaves behind: nothing; after one that is cut off, nothing that the garbage collector cannot find.

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gateway.config.schema import Config, UpstreamConfig
from gateway.front.connection import ClientConnection
from gateway.front.exchange import Exchange
from gateway.proxy.context import RequestContext
from gateway.proxy.handler import Handler
from gateway.stores.memory import MemoryStore
from gateway.upstream.open import open_upstreams
from tests.support import behaviours as do
from tests.support.client import Client, request_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.tally import PATIENCE
from tests.support.upstream import At, RawUpstream, Stage

Talk = Callable[[Client, RawUpstream], Awaitable[None]]


async def kept(client: Client, _upstream: RawUpstream) -> None:
    for _ in range(2):
        assert (await client.request("GET", "/x")).status == 200


async def closed(client: Client, _upstream: RawUpstream) -> None:
    assert (await client.request("GET", "/x", [("Connection", "close")])).status == 200
    assert await client.wait_for_end() == "closed"


async def left_before_the_answer(client: Client, upstream: RawUpstream) -> None:
    await client.send_raw(request_bytes("GET", "/x"))
    await upstream.started.reach(1)
    await client.reset()


async def left_amid_its_body(client: Client, upstream: RawUpstream) -> None:
    head = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    await client.send_raw(head + b"x" * 1000)
    await upstream.started.reach(1)
    await client.reset()


async def left_amid_its_answer(client: Client, _upstream: RawUpstream) -> None:
    """More than the sockets hold: the handler waits until the client takes more."""
    await client.send_raw(request_bytes("GET", "/x"))
    await client.reader.readexactly(1000)
    await client.reset()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector does not run by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("talk", [kept, closed, left_before_the_answer, left_amid_its_body, left_amid_its_answer])
@pytest.mark.usefixtures("uncollected")
async def test_a_connection_leaves_nothing_behind(upstream: RawUpstream, talk: Talk) -> None:
    """A cancelled handler is in its own traceback: that takes the collector, and types that it can look into."""
    is_cut_off = talk not in {kept, closed}
    if talk is left_amid_its_answer:
        upstream.script(do.streamed(200 * 100_000, [b"x" * 100_000] * 200))
    elif is_cut_off:
        upstream.script(At(Stage.HEAD, do.never))
    upstreams = open_upstreams(Config(upstream=UpstreamConfig(url=upstream.url)))
    handler = Handler(make_rooms(Config(), MemoryStore(), upstreams))
    ended = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        try:
            await handler(exchange)
        finally:
            ended.set()

    async with fronted(handle) as port:
        async with Client(port) as client:
            await talk(client, upstream)
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    upstreams.close()
    await asyncio.sleep(0)
    if is_cut_off:
        gc.collect()
    left = [found for found in gc.get_objects() if isinstance(found, ClientConnection | Exchange | RequestContext)]
    assert left == []
