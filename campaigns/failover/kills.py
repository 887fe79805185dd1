# The primary is killed again and again, mostly when the replica lacks its last commits.

import asyncio
import random
from pathlib import Path

from campaigns.cluster.nodes import Cluster
from campaigns.failover.api import Api
from campaigns.failover.load import Load
from campaigns.failover.records import Figures
from campaigns.failover.servers import Servers
from tests.support.upstream import RawUpstream

NODES = 3
LAGGING = 0.75
"""In how many rounds the replica gets nothing of the last moments."""


async def kills(
    directory: Path,
    number: int,
    chance: random.Random,
    *,
    grace: str = "2s",
    down_after: int = 1000,
    module: str = "gateway",
) -> Figures:
    """Kill the primary so often, under load; each time the old one comes back as the replica of the new one.

    `down_after` are the milliseconds after which Sentinels take it for dead: long enough for a busy machine.
    """
    figures, api = Figures(), Api()
    async with RawUpstream(api) as upstream, Servers(directory, down_after=down_after) as servers:
        store = {"url": servers.url, "failover_grace": grace}
        async with Cluster(directory, NODES, upstream.port, store, module) as cluster:
            load = Load(cluster.ports, figures, "kills", chance)
            for at in range(number):
                async with load.running():
                    if at:
                        await servers.bring_back()
                    await _fail_over(servers, load, figures, chance)
                await load.ask_again()
            restored = cluster.events("store-restored")
            figures.kills = number
            figures.put_back = sum(line["claims"] for line in restored)
            figures.taken = sum(line["held_by_others"] for line in restored)
    figures.kept = api.created
    return figures


async def _fail_over(servers: Servers, load: Load, figures: Figures, chance: random.Random) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(chance.uniform(0.3, 1.0))
    if chance.random() < LAGGING:
        figures.lagging += 1
        servers.primary.relay.change(lagging={"replica"})
        await asyncio.sleep(chance.uniform(0.2, 1.2))
        await servers.until_behind()
    killed = loop.time()
    await servers.fail_over()
    await load.until_all_take()
    figures.pauses.append(loop.time() - killed)
