# Where Sentinels say that the primary is, asked by several at once; and a gateway that cannot ask them lives on.

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from campaigns.failover.servers import Servers
from gateway.config.valkey_url import parse_valkey
from gateway.stores.shared import SharedStore
from gateway.stores.valkey import ValkeyStore
from gateway.stores.valkey_find import Finder, closed
from gateway.stores.valkey_records import Keys
from tests.support import valkey
from tests.support.stores import open_shared
from tests.support.tally import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    async with Servers(tmp_path, down_after=300) as started:
        yield started


@pytest.fixture
async def finder(servers: Servers) -> AsyncIterator[Finder]:
    found = Finder(parse_valkey(servers.url, "valkey+sentinel"), PATIENCE, b"")
    yield found
    await found.close()


async def test_a_server_is_found_and_watched_at_the_same_time(finder: Finder, servers: Servers) -> None:
    """By three tasks of a gateway: the writer, the heartbeat, and who hears of ends."""
    first = await finder.find()
    for _ in range(100):
        one, has_moved, two = await asyncio.gather(finder.find(), finder.has_moved(first), finder.find())
        found = {client.connection_pool.connection_kwargs["port"] for client in (one, two)}
        assert (found, has_moved) == ({servers.primary.relay.port}, False)
    await closed(first)


async def test_who_is_connected_to_the_old_primary_hears_of_that_even_when_others_know_the_new_one(
    finder: Finder, servers: Servers
) -> None:
    connected = await finder.find()
    await servers.fail_over()
    async with asyncio.timeout(PATIENCE):
        while not await finder.has_moved(connected):
            pass  # Sentinels may hear of it a moment later
    again = await finder.find()
    assert await finder.has_moved(connected)
    assert not await finder.has_moved(again)


async def test_a_gateway_counts_on_whatever_becomes_of_its_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would take it for stopped, and what it has in flight for unknown."""

    async def broken(_: SharedStore) -> None:
        raise KeyError("of a client that two used at once")

    monkeypatch.setattr(ValkeyStore, "_watch", broken)
    prefix = valkey.new_prefix()
    await open_shared(prefix)
    with valkey.server().client() as client:
        async with asyncio.timeout(PATIENCE):
            while max(map(int, await asyncio.to_thread(client.hvals, Keys(prefix).nodes))) < 3:
                pass  # each round trip takes its time
