# Gateways on a PostgreSQL server that restarts, fails over, is held up or cannot keep claims, while copies of creates
# come to all of them. Run it with `make promotions`.

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from campaigns.cluster.__main__ import ask_all_again
from campaigns.cluster.nodes import Cluster
from campaigns.crash.upstream import CountingUpstream
from campaigns.promotions.faults import FAULTS, look_at, small
from campaigns.promotions.load import Load
from campaigns.promotions.pooler import lacks_pooler
from campaigns.promotions.records import HEADING, Report, Seen, verdicts
from campaigns.promotions.sites import Site, direct, pair, pooled, relayed
from campaigns.verdicts import tell
from tests.support import faults

_BETWEEN = 20
"""Creates that must have passed between two disturbances."""
_STORE = {"node_timeout": "2s", "failover_grace": "500ms"}
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idempotency-gateway'"
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"


@dataclass(frozen=True)
class Group:
    """What is done on one site."""

    site: Callable[[], AbstractAsyncContextManager[Site]]
    times: Mapping[str, int] = field(default_factory=dict)
    """How often it is disturbed, by the way."""
    faults: Sequence[str] = ()
    lacks: Callable[[], str | None] = lambda: None
    """What it needs and this machine does not give."""

    @property
    def names(self) -> list[str]:
        """All that is done."""
        return [*self.times, *self.faults]


FULL = (
    Group(direct, {"restarts": 100}, ("read-only", "hot-standby", "asynchronous-commits")),
    Group(pair, {"promotions": 20}, ("no-standby",)),
    Group(pooled, {"pooler-restarts": 20}, lacks=lacks_pooler),
    Group(relayed, {"cuts": 100, "timeouts": 10, "locks": 10, "deadlocks": 10}),
    Group(small, {}, ("disk-full",), faults.lacks_mount),
)


async def run(
    directory: Path,
    groups: Sequence[Group],
    seed: int,
    *,
    nodes: int = 3,
    tell_of: Callable[[Sequence[str]], None] = lambda _: None,
) -> Report:
    """Carry out what is asked for, in `directory`; `tell_of` gets the lines on each thing that was done."""
    chance, report = random.Random(seed), Report()
    async with CountingUpstream(random.Random(f"API {seed}")) as api:
        for number, group in enumerate(groups):
            if lacks := group.lacks():
                report.skipped.append(f"{', '.join(group.names)}: {lacks}")
                continue
            home = directory / str(number)
            home.mkdir()
            async with (
                group.site() as site,
                Cluster(home, nodes, api.port, {**_STORE, **site.store}) as cluster,
                _counting_sessions(site, report),
            ):
                for name in group.names:
                    try:
                        await _disturb(name, group.times.get(name, 0), site, cluster, api, report, chance)
                    except (AssertionError, TimeoutError, RuntimeError, psycopg.Error) as error:
                        report.stuck.append(f"{name}: {error!r}")  # the others are to be seen all the same
                    tell_of(report.lines(name))
                told = [name for name in report.figures.told if name.rpartition("-")[0] in group.names]
                await ask_all_again(cluster, api, report.figures, told)
                ((deadlocks,),) = await asyncio.to_thread(site.primary.ask, _DEADLOCKS)
                report.deadlocks += deadlocks
    report.figures.counts = api.counts
    return report


async def _disturb(
    name: str,
    times: int,
    site: Site,
    cluster: Cluster,
    api: CountingUpstream,
    report: Report,
    chance: random.Random,
) -> None:
    """Disturb so often in one way, or have one fault, under load."""
    seen, before = report.phases.setdefault(name, Seen()), [id(event) for event in cluster.events("store-restored")]
    loop, load = asyncio.get_running_loop(), Load(cluster.ports, name, report.figures, chance)
    async with load.running():
        await load.until_created(_BETWEEN)
        if name in FAULTS:
            report.refusals.append(await look_at(name, site, cluster, api))
            seen.ways[name] += 1
        for _ in range(times):
            await asyncio.sleep(chance.uniform(0, 0.3))
            seen.ways[await site.ways[name](chance)] += 1
            ended = loop.time()
            await load.until_created(1)
            seen.longest = max(seen.longest, loop.time() - ended)
            await load.until_created(_BETWEEN)
    seen.identities = len(load.names)
    restored = [event for event in cluster.events("store-restored") if id(event) not in before]
    seen.put_back = sum(event["claims"] for event in restored)
    seen.taken = sum(event["held_by_others"] for event in restored)


@contextlib.asynccontextmanager
async def _counting_sessions(site: Site, report: Report) -> Any:
    """Look now and then how many sessions the gateways have."""

    async def count() -> None:
        while True:
            await asyncio.sleep(0.25)
            with contextlib.suppress(psycopg.Error):
                ((found,),) = await asyncio.to_thread(site.primary.ask, _SESSIONS)
                report.sessions = max(report.sessions, found)

    counting = asyncio.create_task(count())
    try:
        yield
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


def _chosen(names: str) -> list[str]:
    known = [name for group in FULL for name in group.names]
    if unknown := [name for name in names.split(",") if name not in known]:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names.split(",")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.promotions", description=__doc__)
    parser.add_argument("--only", type=_chosen, help="what is done, with commas between (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="of the number of times (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(20))
    options = parser.parse_args(arguments)
    groups = []
    for group in FULL:
        times = {
            name: max(1, round(count * options.share))
            for name, count in group.times.items()
            if not options.only or name in options.only
        }
        chosen = [name for name in group.faults if not options.only or name in options.only]
        if times or chosen:
            groups.append(Group(group.site, times, chosen, group.lacks))
    print(f"seed {options.seed}\n{HEADING}")
    with tempfile.TemporaryDirectory(prefix="promotions-") as directory:
        report = asyncio.run(run(Path(directory), groups, options.seed, tell_of=lambda lines: print(*lines, sep="\n")))
    print("\n".join(report.rest()))
    return 0 if tell(verdicts(report)) else 1


if __name__ == "__main__":
    sys.exit(main())
