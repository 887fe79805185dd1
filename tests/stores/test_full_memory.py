# A Valkey server whose memory is full: what it refuses is not done, and the gateway keeps its connection.

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreError
from gateway.model import FREE, Change, Reserved, State
from gateway.stores.base import Store
from tests.support import valkey
from tests.support.postgresql_store import until
from tests.support.stores import CREATED, NOW, claim, claims, create, open_shared, owner, state_of, take


async def test_a_server_without_memory_refuses_and_is_not_connected_to_anew(tmp_path: Path) -> None:
    server = await asyncio.to_thread(valkey.new_server, tmp_path)
    try:
        url = ValkeyStoreUrl((("127.0.0.1", server.port),))
        store = (await open_shared(valkey.new_prefix(), at=url)).store
        await create(store, "a", 1)
        await take(store, ("moved",), 3)
        others = (Change(claim("a").fingerprint, owner(1), State.CREATED, FREE),)
        with server.client() as client:
            before = client.info("stats")["total_connections_received"]
            client.config_set("maxmemory", "1")
            while not client.info("commandstats").get("cmdstat_hincrby", {}).get("rejected_calls"):  # noqa: ASYNC110
                await asyncio.sleep(0)  # until it has refused to count that the gateway lives
            for name in ("b", "c", "d"):
                with pytest.raises(StoreError, match="'maxmemory'"):
                    await store.reserve(claims(name), owner(2), NOW)
                assert await state_of(store, name) is None
            ended = msgspec.structs.replace(CREATED, others=others)
            with pytest.raises(StoreError, match="'maxmemory'"):
                await store.settle(owner(3), claims("moved"), ended, NOW)
            assert await state_of(store, "a") is State.CREATED, "it changes with all of the rest"
            client.config_set("maxmemory", "0")
            assert await store.reserve(claims("b"), owner(2), NOW) == Reserved()
            assert client.info("stats")["total_connections_received"] == before
            await until(lambda: is_free(store, "a"))
            assert await state_of(store, "moved") is State.CREATED
        await store.close()
    finally:
        server.stop()


async def is_free(store: Store, name: str) -> bool:
    return await state_of(store, name) is None
