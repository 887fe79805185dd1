# Kills the gateway at each crash point, under load, repeatedly on the same store; everything is retried as clients
# would, and all earlier results must still hold. Run it with `make crash`.

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import uvloop

from campaigns.crash.chain import Chain
from campaigns.crash.records import Campaign, Row
from campaigns.crash.stores import STORES, Claims, ClaimsOnServer, serving
from gateway.process.crash import POINTS
from tests.support.shared import OwnServer

DURABILITIES = ("process", "power")
READY = 2.0
"""Seconds after which a gateway must be ready, on a machine that is not overloaded."""


async def run(campaign: Campaign, directory: Path) -> None:
    """Carry a campaign out, in `directory`."""
    async with serving(campaign.store) as server:
        await _run(campaign, directory, server)


async def _run(campaign: Campaign, directory: Path, server: OwnServer | None) -> None:
    started = time.perf_counter()
    chains: list[list[Chain]] = [[] for _ in range(campaign.workers)]
    for durability in campaign.durabilities:
        for point in campaign.points:
            campaign.rows[point, durability] = Row(point, durability)
        points = [point for point in campaign.points for _ in range(campaign.kills)]
        random.Random(f"{campaign.seed} {durability}").shuffle(points)
        for worker in range(campaign.workers):
            if mine := points[worker :: campaign.workers]:
                name = f"{durability}-{worker}"
                place = directory / name
                claims = Claims(place) if server is None else ClaimsOnServer(place, server)
                chain = Chain(campaign, durability, mine, place, claims, f"{campaign.seed} {name}")
                chains[worker].append(chain)

    async def work(mine: list[Chain]) -> None:
        for chain in mine:
            await chain.run()

    async with asyncio.TaskGroup() as group:
        for chain_of_worker in chains:
            group.create_task(work(chain_of_worker))
    campaign.seconds = time.perf_counter() - started


def show(campaign: Campaign) -> None:
    """Print the table."""
    heads = ("kills", "ready, s", "duplicates", "forgotten", "foreign", "unclean", "other")
    print(f"{'point':26}  {'durability':10}" + "".join(f"{head:>12}" for head in heads))
    for row in campaign.rows.values():
        broken = row.broken
        figures = [row.kills, f"{row.longest_ready:.2f}", *(getattr(broken, head) for head in heads[2:])]
        print(f"{row.point:26}  {row.durability:10}" + "".join(f"{figure:>12}" for figure in figures))
    each = campaign.seconds / max(1, campaign.total)
    print(
        f"{campaign.total} kills in {campaign.seconds:.0f} s, {each:.2f} s each with {campaign.workers} at once;"
        f" longest start {campaign.longest_ready:.2f} s; seed {campaign.seed}"
    )
    print(f"{campaign.told['created']} creates succeeded; the outcome of {campaign.told['unknown']} stayed unknown")
    met = campaign.met
    print(
        f"{met['replayed']} replays, each the API's answer to that create; {met['another-caller']} times 409 to others"
    )
    asked = [f"{met[f'verified: {what}']} {what}" for what in ("created", "duplicate", "outcome-unknown")]
    print(f"creates whose unknown outcome is found out: {', '.join(asked)}")
    accounts = {what.removeprefix("accounts: "): count for what, count in met.items() if what.startswith("accounts: ")}
    print(f"accounts: {', '.join(f'{count} {what}' for what, count in sorted(accounts.items()))}")
    print(
        f"rounds of load to a kill: {', '.join(f'{many} x {count}' for count, many in sorted(campaign.rounds.items()))}"
    )
    for line in campaign.wrong[:20]:
        print(f"NOT  {line}")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.crash",
        description="Kills the gateway at each point of a create's life, under load, and checks what survived.",
    )
    parser.add_argument("--store", choices=STORES, default="sqlite", help="where claims are (default: %(default)s)")
    parser.add_argument("--points", default="all", metavar="A,B", help=f"all, or some of {', '.join(POINTS)}")
    parser.add_argument("--kills", type=int, default=200, help="for each point and durability (default: %(default)s)")
    parser.add_argument("--durability", default=",".join(DURABILITIES), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="gateways at once (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args()
    options.points = POINTS if options.points == "all" else options.points.split(",")
    options.durability = options.durability.split(",")
    if not (set(options.points) <= set(POINTS) and set(options.durability) <= set(DURABILITIES)):
        parser.error(f"points are {', '.join(POINTS)}; durabilities are {', '.join(DURABILITIES)}")
    return options


def main() -> int:
    """Exit code 0 when nothing was created twice or forgotten and every start was clean and quick; 1 when not."""
    options = arguments()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    campaign = Campaign(options.points, options.durability, options.kills, options.workers, seed, options.store)
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        try:
            uvloop.run(run(campaign, Path(directory)))
        finally:
            show(campaign)  # what was wrong before a point was not reached may say why
    if options.json:
        rows = [asdict(row) for row in campaign.rows.values()]
        told = {"seed": seed, "seconds": round(campaign.seconds), "told": campaign.told, "rows": rows}
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return campaign.is_broken or campaign.longest_ready >= READY


if __name__ == "__main__":
    sys.exit(main())
