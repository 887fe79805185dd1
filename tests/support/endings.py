# What the tests of waiting for other gateways share.

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import redis.asyncio as redis

from gateway.stores.base import Store
from tests.support import postgresql, valkey
from tests.support.shared import Backend, channel
from tests.support.stores import claim, owner
from tests.support.tally import PATIENCE

NEVER = 3600.0
UNHURRIED = {"commit_timeout": 30.0}
"""For stores of tests that never look again after one look that took too long."""


def waiting(store: Store, name: str, number: int) -> "asyncio.Task[None]":
    """Wait for the end of an operation."""
    return asyncio.ensure_future(store.until_ended(claim(name).fingerprint, owner(number)))


async def ended(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE):
        await task


async def is_awaited(backend: Backend, prefix: str, name: str) -> bool:
    """Whether the end of a claim is told."""
    if backend == "valkey":
        with valkey.server().client() as client:
            record = client.get(b"{%b}:c:%b" % (prefix.encode(), claim(name).fingerprint))
        assert isinstance(record, bytes)
        return record[55:60] == b"----+"
    statement = f'SELECT is_awaited FROM "{prefix}".claims WHERE fingerprint = %s'
    found = await asyncio.to_thread(postgresql.server().ask, statement, claim(name).fingerprint)
    return bool(found[0][0])


@contextlib.asynccontextmanager
async def overheard(backend: Backend, prefix: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """What the server tells gateways, one call after the other."""
    if backend == "valkey":
        client = redis.Redis(port=valkey.server().port)
        async with client, client.pubsub() as heard:
            await heard.subscribe(channel(prefix))

            async def next_message() -> bytes:
                while (message := await heard.get_message(timeout=None)) is None or message["type"] != "message":
                    pass
                return bytes(message["data"])

            yield next_message
        return
    async with await psycopg.AsyncConnection.connect(postgresql.server().url, autocommit=True) as connection:
        await connection.execute('LISTEN "idempotency-gateway"')

        async def next_notification() -> bytes:
            async for notification in connection.notifies():
                return bytes.fromhex(notification.payload)
            raise AssertionError

        yield next_notification
