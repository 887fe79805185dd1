# Several gateways, one store, one API: copies of creates come to all of them at once, while gateways are killed, and
# then while they are restarted one after the other. Run it with `make cluster`.

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from campaigns.cluster.nodes import Cluster
from campaigns.cluster.records import Figures, Plan
from campaigns.crash.upstream import CountingUpstream
from campaigns.verdicts import tell
from tests.support.burst import burst
from tests.support.client import create_bytes
from tests.support.shared import BACKENDS, own_server

_CONNECTIONS = 16
"""To each gateway."""
_AT_ONCE = 100
"""Identities of which copies are under way together."""


async def run(directory: Path, plan: Plan) -> Figures:
    """Carry a plan out, in `directory`."""
    chance, figures = random.Random(plan.seed), Figures()
    async with own_server(plan.backend) as server, CountingUpstream(random.Random(f"API {plan.seed}")) as api:
        store = {"url": server.url, "node_timeout": "2s", "failover_grace": "500ms"}
        async with Cluster(directory, plan.nodes, api.port, store) as cluster:
            for phase in ("kills", "restarts"):
                names = [f"{phase}-{number}" for number in range(plan.identities)]
                before = figures.kills + figures.restarts
                disturbing = asyncio.create_task(_disturb(cluster, phase, plan, figures, chance))
                for at in range(0, len(names), _AT_ONCE):
                    await _send(cluster, names[at : at + _AT_ONCE], plan.copies, phase, figures, chance)
                # A short load may be over before the first gateway was up again: it is sent once more until then.
                while figures.kills + figures.restarts == before and not disturbing.done():
                    await _send(cluster, names[-_AT_ONCE:], plan.copies, phase, figures, chance)
                disturbing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await disturbing
                await cluster.all_up()
            await ask_all_again(cluster, api, figures, figures.told)
        figures.counts = api.counts
    return figures


async def _send(
    cluster: Cluster, names: Sequence[str], copies: int, phase: str, figures: Figures, chance: random.Random
) -> None:
    """Send copies of each create, spread over all gateways."""
    sends: list[list[str]] = [[] for _ in cluster.ports]
    for copy in range(copies):
        for at, name in enumerate(names):
            sends[(at + copy) % len(sends)].append(name)
    for each in sends:
        chance.shuffle(each)
    answers = await asyncio.gather(
        *[
            burst(port, [create_of(name) for name in each], _CONNECTIONS)
            for port, each in zip(cluster.ports, sends, strict=True)
        ]
    )
    for each, outcomes in zip(sends, answers, strict=True):
        for outcome in outcomes:
            figures.note(phase, each[outcome.index], outcome)


def create_of(name: str) -> bytes:
    """The bytes of a create, which the API counts by its name."""
    return create_bytes(name, headers=[("X-Identity", name)])


async def _disturb(cluster: Cluster, phase: str, plan: Plan, figures: Figures, chance: random.Random) -> None:
    """Kill gateways at random moments, or restart one after the other, until it is cancelled."""
    turn = 0
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * plan.pause)
        if phase == "kills":
            await cluster.kill(chance.randrange(plan.nodes))
            figures.kills += 1
        else:
            figures.codes.add(await cluster.restart(turn % plan.nodes))
            figures.restarts += 1
            turn += 1


async def ask_all_again(cluster: Cluster, api: CountingUpstream, figures: Figures, names: Iterable[str]) -> None:
    """Send each create to each gateway once more: whatever was created is known to all of them."""
    counted, again = api.counts.total(), [*names]
    for port in cluster.ports:
        for outcome in await burst(port, [create_of(name) for name in again], _CONNECTIONS):
            figures.note_again(again[outcome.index], outcome)
    figures.forwarded_again += api.counts.total() - counted


def table(figures: Figures) -> list[str]:
    """Lines that a person can read."""
    lines = [f"{'':10}{'answers':>10}"]
    for phase in ("kills", "restarts"):
        met = ", ".join(f"{times:,} x {what}" for (of, what), times in figures.answers.most_common() if of == phase)
        lines.append(f"{phase:10}{sum(n for (of, _), n in figures.answers.items() if of == phase):>10,}  {met}")
    return [*lines, f"{figures.kills} kills, {figures.restarts} restarts"]


def verdicts(plan: Plan, figures: Figures) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    twice = [name for name, count in figures.counts.items() if count > 1]
    refused = [what for (phase, what) in figures.answers if phase == "restarts" and what in {"refused", "no answer"}]
    return [
        (f"{len(figures.told):,} identities were answered, of {2 * plan.identities:,}", len(figures.told) > 0),
        (f"{len(twice)} reached the API more than once {twice[:5]}", not twice),
        (f"{len(figures.wrong)} wrong answers {figures.wrong[:5]}", not figures.wrong),
        (f"{figures.forwarded_again} of those that were known were forwarded again", not figures.forwarded_again),
        (f"{len(refused)} kinds of broken requests in restarts {refused}", not refused),
        (f"exit codes of restarts: {sorted(figures.codes)}", figures.codes <= {0}),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.cluster", description=__doc__)
    parser.add_argument("--identities", type=int, default=10_000, help="of each of the two phases")
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two kills or restarts")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(20))
    parser.add_argument("--backend", choices=BACKENDS, default="valkey", help="what keeps the claims")
    plan = Plan(**vars(parser.parse_args(arguments)))
    print(f"seed {plan.seed}")
    with tempfile.TemporaryDirectory(prefix="cluster-") as directory:
        figures = asyncio.run(run(Path(directory), plan))
    print("\n".join(table(figures)))
    return 0 if tell(verdicts(plan, figures)) else 1


if __name__ == "__main__":
    sys.exit(main())
