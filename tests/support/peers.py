# Stores of gateways that share a server, one step at a time: nothing happens there by itself.

import asyncio

from gateway.model import State
from gateway.stores.postgresql import PostgresqlStore
from gateway.stores.shared import SharedStore
from gateway.stores.valkey import ValkeyStore


async def let_alone(store: SharedStore) -> None:
    """Stop its heartbeat."""
    store._beat.cancel()
    await asyncio.wait([store._beat])


async def look_for_stopped(store: SharedStore) -> int:
    """Have it see that the others have stood still for its `node_timeout`; gives of how many claims they let go."""
    assert isinstance(store, ValkeyStore | PostgresqlStore)
    before = await _in_flight(store)
    await store._job(store._beat_once)
    nodes = store._server._nodes
    nodes._seen = {node: (count, since - nodes._timeout) for node, (count, since) in nodes._seen.items()}
    await store._job(store._beat_once)
    return before - await _in_flight(store)


async def _in_flight(store: SharedStore) -> int:
    return sum(record.state is State.IN_FLIGHT for record in await store.scan(b"", 1000, 0))


async def kill(store: SharedStore) -> None:
    """End it as its process would, killed: nothing more is sent."""
    assert isinstance(store, ValkeyStore | PostgresqlStore)
    for task in (store._beat, store._writer):
        task.cancel()
    await asyncio.wait([store._beat, store._writer])
    await store._link.close()
