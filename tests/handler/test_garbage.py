# What a connection leaves behind: nothing, however it ended. The garbage collector is off: it runs rarely in the
# program, and what waits for it may be large.

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gateway.config.schema import Config
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Duration
from gateway.front.connection import ClientConnection
from gateway.front.exchange import Exchange
from gateway.proxy.context import RequestContext
from gateway.proxy.handler import Handler
from gateway.stores.memory import MemoryStore
from gateway.transport.stream import Stream
from gateway.upstream.connection import Connection
from gateway.upstream.open import open_upstreams
from gateway.upstream.results import UpstreamResponse
from tests.support import behaviours as do
from tests.support.client import Client, request_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.pace import StandingClient
from tests.support.tally import PATIENCE
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage, perform

Talk = Callable[[Client, RawUpstream], Awaitable[None]]
KINDS = (ClientConnection, Exchange, RequestContext, Connection, Stream, UpstreamResponse)
SIZE = 20_000_000
"""Bytes of an answer: more than the sockets hold, so that the handler waits until the client takes more."""
DRAIN = 0.1
"""Seconds that the front waits in the end for an exchange that is under way."""


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


async def taken_slowly(client: Client, _upstream: RawUpstream) -> None:
    """The handler has waited for the client more than once, and all has come in the end."""
    assert isinstance(client, StandingClient)
    await begun(client, _upstream)
    client.read_on()
    assert len((await client.read_response()).body) == SIZE


async def reset_amid_its_answer(client: Client, upstream: RawUpstream) -> None:
    await begun(client, upstream)
    await client.reset()


async def closed_amid_its_answer(client: Client, upstream: RawUpstream) -> None:
    await begun(client, upstream)
    await client.leave()


async def stood_still(client: Client, upstream: RawUpstream) -> None:
    """It is cut."""
    await begun(client, upstream)
    await upstream.ended.reach(1)


async def drained(client: Client, upstream: RawUpstream) -> None:
    """It is there still when the front ends."""
    await begun(client, upstream)


async def broken_off(client: Client, upstream: RawUpstream) -> None:
    await client.send_raw(request_bytes("GET", "/x"))
    await upstream.ended.reach(1)


async def begun(client: Client, upstream: RawUpstream) -> None:
    await client.send_raw(request_bytes("GET", "/x"))
    await upstream.started.reach(1)


async def half_of_it(call: Call) -> None:
    await perform(do.streamed(SIZE, [b"x" * 100_000] * 5), call)
    call.reset()


LONG = do.streamed(SIZE, [b"x" * 100_000] * (SIZE // 100_000))
WAITING: dict[Talk, Behaviour | None] = {
    kept: None,
    closed: None,
    left_before_the_answer: At(Stage.HEAD, do.never),
    left_amid_its_body: At(Stage.HEAD, do.never),
    taken_slowly: LONG,
    reset_amid_its_answer: LONG,
    closed_amid_its_answer: LONG,
    stood_still: LONG,
    drained: LONG,
    broken_off: half_of_it,
}
"""What the API does meanwhile."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector does not run by itself, and lists nothing that was there before."""
    gc.collect()
    gc.freeze()  # what other tests have left is none of its business
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("talk", WAITING, ids=lambda talk: talk.__name__)
@pytest.mark.usefixtures("uncollected")
async def test_a_connection_leaves_nothing_for_the_garbage_collector(upstream: RawUpstream, talk: Talk) -> None:
    if behaviour := WAITING[talk]:
        upstream.script(behaviour)
    upstreams = open_upstreams(Config(upstream=UpstreamConfig(url=upstream.url, keepalive_connections=0)))
    answers = upstreams.shared.answers
    body_timeout = Duration(0.2 if talk is stood_still else PATIENCE)
    handler = Handler(make_rooms(Config(), MemoryStore(), upstreams, body_timeout=body_timeout))
    ended = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        try:
            await handler(exchange)
        finally:
            ended.set()

    make = Client if WAITING[talk] is not LONG else StandingClient
    async with fronted(handle, answers=answers, patience=DRAIN) as port, make(port) as client:
        await talk(client, upstream)
        if talk is not drained:
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
    upstreams.close()
    async with asyncio.timeout(PATIENCE):
        while any(isinstance(found, KINDS) for found in gc.get_objects()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert answers.used == 0
