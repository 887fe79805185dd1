# What the tests of the handler share: a front in the test's own loop, with any handler behind it.

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.forwarding import Forwarding
from gateway.front.connection import Limits
from gateway.front.exchange import Exchange
from gateway.front.house import Front, Watcher
from gateway.front.intake import Bounds

LIMITS = Limits(
    head_timeout=5,
    body_timeout=5,
    keepalive_timeout=5,
    max_connections=10,
    max_buffered=2**30,
    bounds=Bounds(head=65536, line=8192, fields=100),
)


def refused(slug: str, _status: int) -> None:
    raise AssertionError(f"the request was refused as {slug}")


def failed(error: BaseException) -> None:
    raise AssertionError("the handler failed") from error


@asynccontextmanager
async def fronted(
    handle: Callable[[Exchange], Awaitable[None]], *, failed: Callable[[BaseException], None] = failed
) -> AsyncIterator[int]:
    """Serve with `handle` on a port. The clients' requests are expected to be good ones."""
    front = Front(handle, Watcher(refused, failed), LIMITS, Forwarding((), (), "off", "off"))
    server = await asyncio.get_running_loop().create_server(front, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await front.drain(1)
