# A Valkey primary, its replica and three Sentinels under load: the primary is killed again and again, connections are
# cut, and the server fails in other ways. Run it with `make failover`.

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from campaigns.failover.cuts import CUTS, cuts
from campaigns.failover.faults import FAULTS, Bench, Seen
from campaigns.failover.kills import kills
from campaigns.failover.records import Figures
from campaigns.verdicts import tell

PHASES = ("kills", "compare", "cuts", "faults")
_TRUSTING = "campaigns.failover.trusting"
HEALTHY_WITHIN = 5.0
"""Seconds after the end of a fault in which creates must be taken again."""


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    kills: int
    compared: int
    cuts: int
    longest: float
    held: float
    seed: int
    phases: Sequence[str] = PHASES


def seconds(pauses: Sequence[float]) -> str:
    """The median and the longest of them."""
    return f"{statistics.median(pauses):.1f} s at the median, {max(pauses):.1f} s at most" if pauses else "never"


def told(figures: Figures) -> str:
    """What was done, and what came of it."""
    return (
        f"{figures.kills} failovers, {figures.lagging} of them with a replica that lacked something; "
        f"{figures.answers.total():,} answers about {len(figures.kept):,} identities; {figures.put_back:,} claims put "
        f"back, {figures.taken} held by others by then; creates again after {seconds(figures.pauses)}"
    )


def run_kills(plan: Plan) -> bool:
    """Whether nothing was lost."""
    with tempfile.TemporaryDirectory(prefix="failover-") as directory:
        figures = asyncio.run(kills(Path(directory), plan.kills, random.Random(plan.seed)))
    print(told(figures))
    return tell(figures.verdicts())


def run_comparison(plan: Plan) -> bool:
    """Whether the kills have any effect at all."""
    with tempfile.TemporaryDirectory(prefix="failover-") as directory:
        figures = asyncio.run(kills(Path(directory), plan.compared, random.Random(plan.seed), module=_TRUSTING))
    twice = len(figures.twice())
    print(f"without putting back: {told(figures)}")
    return tell(
        [(f"{twice} of {len(figures.kept):,} were created twice, as there is nothing to prevent it", twice > 0)]
    )


def run_cuts(plan: Plan) -> bool:
    """Whether no cut let a create go on without a commit."""
    holds = True
    print(f"{'cut':<18}{'replicas':>9}{'cuts':>6}{'created':>9}{'503s':>7}{'put back':>10}{'pause':>8}")
    for cut in CUTS:
        for replicas in cut.replicas:
            with tempfile.TemporaryDirectory(prefix="failover-") as directory:
                chance = random.Random(f"{plan.seed} {cut.name} {replicas}")
                figures = asyncio.run(cuts(Path(directory), cut, replicas, plan.cuts, plan.longest, chance))
            refused = figures.answers[cut.name, "store-unavailable"]
            print(
                f"{cut.name:<18}{replicas:>9}{figures.kills:>6}{figures.kept.total():>9,}{refused:>7,}"
                f"{figures.put_back:>10}{max(figures.pauses):>8.2f}",
                flush=True,
            )
            broken = [line for line in figures.verdicts() if not line[1]]
            holds = tell(broken) and holds
    return holds


def run_faults(plan: Plan) -> bool:
    """Whether creates are refused for each fault of the server, and taken soon after it."""
    print(f"{'fault':<18}{'noticed after':>14}{'503s':>7}{'healthy after':>14}  reason")
    with tempfile.TemporaryDirectory(prefix="failover-") as directory:
        found = asyncio.run(_faults(Path(directory), plan.held))
    broken = [(f"{seen.fault}: {broken}", False) for seen in found for broken in seen.broken]
    slow = [seen for seen in found if seen.healthy_after > HEALTHY_WITHIN]
    return tell([*broken, *[(f"{seen.fault}: healthy only after {seen.healthy_after:.1f} s", False) for seen in slow]])


async def _faults(directory: Path, seconds: float) -> list[Seen]:
    found: list[Seen] = []
    async with Bench(directory) as bench:
        for fault in FAULTS:
            if lacks := fault.lacks():
                print(f"{fault.name:<18} not looked at: needs {lacks}")
                continue
            seen = await bench.look_at(fault, seconds)
            print(
                f"{seen.fault:<18}{seen.noticed_after:>12.2f} s{seen.refused:>7}{seen.healthy_after:>12.2f} s  "
                f"{seen.reason}",
                flush=True,
            )
            found.append(seen)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.failover",
        description="A Valkey server that fails, is cut off, or loses what it confirmed.",
        epilog="\n".join(f"{one.name:<18} {one.what}" for one in (*CUTS, *FAULTS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100, help="of the primary (default: %(default)s)")
    parser.add_argument("--compared", type=int, default=20, help="kills without putting back (default: %(default)s)")
    parser.add_argument("--cuts", type=int, default=5, help="of each kind (default: %(default)s)")
    parser.add_argument("--longest", type=float, default=3.0, help="seconds that a cut lasts (default: %(default)s)")
    parser.add_argument("--held", type=float, default=5.0, help="seconds that a fault lasts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(20))
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    plan = Plan(**vars(parser.parse_args(arguments)))
    print(f"seed {plan.seed}", flush=True)
    phases = {"kills": run_kills, "compare": run_comparison, "cuts": run_cuts, "faults": run_faults}
    hold = [phases[name](plan) for name in plan.phases]
    return 0 if all(hold) else 1


if __name__ == "__main__":
    sys.exit(main())
