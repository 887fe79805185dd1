# Connections between gateways, primary, replica and Sentinels are cut at random moments under load: their bytes are
# held back and come late, or the connections are reset.

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from campaigns.cluster.nodes import Cluster
from campaigns.failover.api import Api
from campaigns.failover.load import Load
from campaigns.failover.records import Figures
from campaigns.failover.servers import Servers
from tests.support.relay import Relay, Who
from tests.support.upstream import RawUpstream

NODES = 3
_FELT = 1.2
"""Seconds after which a cut is felt by all: what was under way has failed by then."""


@dataclass
class Scene:
    """What a cut is done to."""

    servers: Servers
    cluster: Cluster
    relays: list[Relay]
    """Of each gateway, one in front of the primary."""
    load: Load
    api: Api
    figures: Figures
    chance: random.Random
    long: float
    """Seconds that a cut lasts at most."""


@dataclass(frozen=True)
class Cut:
    """One kind of cut."""

    name: str
    what: str
    act: Callable[[Scene], Awaitable[None]]
    replicas: tuple[int, ...] = (0, 1)
    """The values of store.replicas that it is done with."""
    sentinels: bool = False
    """Whether gateways find the primary by Sentinels."""


def _between(which: str, how: str) -> Callable[[Scene], Awaitable[None]]:
    async def act(scene: Scene) -> None:
        relays, who = _side(which, scene)
        await asyncio.sleep(scene.chance.uniform(0.2, 0.8))
        for relay in relays:
            relay.change(**{how: {who}})
        lasts = scene.chance.uniform(0.3, scene.long)
        if which == "one gateway" or (which == "replica" and not scene.figures.replicas):
            await asyncio.sleep(lasts)  # others go on
        else:
            await asyncio.sleep(_FELT)
            before = scene.api.created.total()
            await asyncio.sleep(lasts)
            scene.figures.uncommitted += scene.api.created.total() - before
        ended = asyncio.get_running_loop().time()
        for relay in relays:
            relay.hold(is_late=who == "client")  # a replica would wait for a minute, and not connect anew
            relay.change()
        await scene.load.until_all_take()
        scene.figures.pauses.append(asyncio.get_running_loop().time() - ended)
        for relay in relays:
            relay.hold(is_late=False)

    return act


def _side(which: str, scene: Scene) -> tuple[list[Relay], Who]:
    if which == "replica":
        return [scene.servers.primary.relay], "replica"
    if which == "one gateway":
        return [scene.chance.choice(scene.relays)], "client"
    return scene.relays, "client"


async def _primary_from_sentinels(scene: Scene) -> None:
    """They have the replica take over, while the old one goes on; then it is made the replica."""
    servers = scene.servers
    await asyncio.sleep(scene.chance.uniform(0.2, 0.8))
    began = asyncio.get_running_loop().time()
    servers.primary.relay.change(stalled={"sentinel"})
    await servers.replica.until(role="master")
    servers.primary, servers.replica = servers.replica, servers.primary
    await asyncio.sleep(scene.chance.uniform(0.3, scene.long))
    servers.replica.relay.change()
    with contextlib.suppress(OSError):
        await servers.replica.ask("REPLICAOF", "127.0.0.1", servers.primary.relay.port)
    await scene.load.until_all_take()
    scene.figures.pauses.append(asyncio.get_running_loop().time() - began)
    await servers.all_known()


async def _replica_then_all_killed(scene: Scene) -> None:
    """The replica gets nothing any more; then primary and gateways are killed, so that nobody can put anything back."""
    await asyncio.sleep(scene.chance.uniform(0.2, 0.8))
    scene.servers.primary.relay.change(lagging={"replica"})
    await asyncio.sleep(scene.chance.uniform(0.1, 1.0))
    killed = asyncio.get_running_loop().time()
    scene.figures.gateways_killed = True
    await scene.cluster.kill_all()
    await scene.servers.fail_over()
    await scene.servers.bring_back()
    await scene.cluster.all_up()
    await scene.load.until_all_take()
    scene.figures.pauses.append(asyncio.get_running_loop().time() - killed)


CUTS = (
    Cut("gateway-stalled", "one gateway from the primary; its bytes come late", _between("one gateway", "stalled")),
    Cut("gateway-reset", "one gateway from the primary; reset", _between("one gateway", "cut_off")),
    Cut("gateways-stalled", "all gateways; their bytes come late", _between("all gateways", "stalled")),
    Cut("gateways-reset", "all gateways; reset", _between("all gateways", "cut_off")),
    Cut("replica-stalled", "the replica from the primary; bytes come late", _between("replica", "stalled")),
    Cut("replica-reset", "the replica from the primary; reset", _between("replica", "cut_off")),
    Cut(
        "sentinels",
        "Sentinels from the primary, so that there are two",
        _primary_from_sentinels,
        sentinels=True,
    ),
    Cut(
        "all-killed",
        "the replica from the primary, then all are killed",
        _replica_then_all_killed,
        replicas=(1,),
        sentinels=True,
    ),
)


async def cuts(directory: Path, cut: Cut, replicas: int, times: int, long: float, chance: random.Random) -> Figures:
    """Make one kind of cut so often, each for `long` seconds at most."""
    figures, api = Figures(replicas=replicas), Api()
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RawUpstream(api))
        servers = await stack.enter_async_context(Servers(directory, sentinels=cut.sentinels))
        port = servers.primary.relay.port
        relays = [await stack.enter_async_context(Relay(port)) for _ in range(0 if cut.sentinels else NODES)]
        urls = [f"redis://127.0.0.1:{relay.port}" for relay in relays] or [servers.url] * NODES
        settings = {"replicas": replicas, "failover_grace": "2s", "node_timeout": "10s"}  # a busy machine adds to a cut
        cluster = await stack.enter_async_context(
            Cluster(directory, NODES, upstream.port, [{**settings, "url": url} for url in urls])
        )
        load = Load(cluster.ports, figures, cut.name, chance)
        scene = Scene(servers, cluster, relays, load, api, figures, chance, long)
        for _ in range(times):
            async with load.running():
                await cut.act(scene)
            await load.ask_again()
            figures.kills += 1
        restored = cluster.events("store-restored")
        figures.put_back = sum(line["claims"] for line in restored)
        figures.taken = sum(line["held_by_others"] for line in restored)
    figures.kept = api.created
    return figures
