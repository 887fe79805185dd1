# Reloads and restarts a gateway repeatedly under load, and counts refused, lost and repeated requests.
# Run it with `make restarts`.

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from campaigns.restarts.load import Habit, SlowUpstream, Traffic, create_of
from campaigns.restarts.operator import Operator, Plan
from campaigns.restarts.records import Figures
from campaigns.verdicts import tell
from tests.support.burst import burst
from tests.support.program import GatewayProgram
from tests.support.supervisor import Supervisor

_SHOWN = 20
_EXPECTED = {"loop-stalled", "reload-refused", "descriptors-low", "identity-changed"}
"""Warnings that are the machine's, or asked for."""


async def restart(program: GatewayProgram, traffic: Traffic, number: int) -> None:
    """Stop the gateway, start the next one at once on the same socket, and wait until it answers."""
    figures = traffic.figures
    traffic.order(f"SIGTERM {number}")
    code = await program.stop()
    if code:
        figures.wrong.append(f"restart {number}: exit code {code}")
    _look_at_log(program, figures)
    await program.start()
    await traffic.next_answer()
    figures.pauses.append(traffic.clock.longest_pause)
    figures.restarts += 1


def _look_at_log(program: GatewayProgram, figures: Figures) -> None:
    """Nothing may have gone wrong inside; that a machine stood still, or what files say, is no wrong of it."""
    complaints = [
        line for line in program.log if line.get("level") in {"warning", "error"} and line.get("event") not in _EXPECTED
    ]
    figures.wrong += [f"the gateway said {line}" for line in complaints]


async def run(directory: Path, plan: Plan) -> Figures:
    """Carry a plan out, in `directory`."""
    chance = random.Random(plan.seed)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    with Supervisor(directory, {"server": listener}) as supervisor:
        async with SlowUpstream(random.Random(f"API {plan.seed}")) as api:
            traffic = Traffic(supervisor.port, plan.seed)
            program = GatewayProgram(directory / "gateway", "", supervisor=supervisor)
            operator = Operator(plan, program, traffic, api.port)
            program.file.write_text(operator.file_for(-1), encoding="utf-8")
            async with program:
                async with asyncio.TaskGroup() as group:
                    for number, habit in enumerate(_habits(plan)):
                        group.create_task(traffic.client(number, habit))
                    await traffic.next_answer()
                    for turn in range(plan.reloads):
                        await asyncio.sleep(chance.uniform(0, 0.05))
                        await operator.reload(turn)
                    for number in range(plan.restarts):
                        await asyncio.sleep(plan.most_pause * chance.uniform(0.5, 2))  # connections are kept again
                        await restart(program, traffic, number)
                    traffic.over.set()
                await _settle_accounts(program, traffic, api.counts)
    return traffic.figures


def _habits(plan: Plan) -> list[Habit]:
    pausing = [Habit(keeps=True, most_pause=plan.most_pause)] * plan.pausing
    busy = [Habit(keeps=True, most_pause=0)] * plan.busy
    return [*pausing, *busy, *[Habit(keeps=False, most_pause=plan.most_pause / 5)] * plan.new]


async def _settle_accounts(program: GatewayProgram, traffic: Traffic, counts: Counter[str]) -> None:
    """Send every create once more, and compare all responses with the API's count."""
    figures, created = traffic.figures, traffic.creates.created
    traffic.clock.order("the end")
    for outcome in await burst(program.port, [create_of(each) for each in created], 16):
        met = outcome.slug or outcome.status or outcome.error
        figures.asked_again += 1
        if met != "duplicate":
            figures.wrong.append(f"{created[outcome.index]} was created, and in the end is answered {met}")
    _look_at_log(program, figures)
    figures.created = len(created)
    figures.duplicates, wrong = traffic.creates.against(counts)
    figures.wrong += wrong


def table(figures: Figures) -> list[str]:
    """Lines that a person can read: what was sent and what was ordered."""
    lines = [f"{'':10}{'requests':>10}  answers"]
    for kind, count in figures.requests.most_common():
        found = [(key.partition(": "), times) for key, times in figures.answers.most_common()]
        answers = ", ".join(f"{times:,} x {met}" for (of, _, met), times in found if of == kind)
        lines.append(f"{kind:10}{count:>10,}  {answers}")
    connections = (
        f"{figures.connections:,} connections; {figures.reused:,} requests over one that had carried another; "
        f"{figures.told_to_close:,} answers were the last on theirs; {figures.closed_idle} closed while idle"
    )
    reloads = ", ".join(f"{times} x {means}" for means, times in figures.reloads.items())
    taken = f"{figures.reloads.total()} reloads ({reloads}), {figures.refused_files.total()} files refused"
    pauses = (
        f"{figures.restarts} restarts; longest pause in all answers {max(figures.pauses, default=0):.2f} s, "
        f"{sum(figures.pauses) / max(1, len(figures.pauses)):.2f} s in the mean"
    )
    met = (
        f"when one was ordered, {_spread(figures.under_way)} requests were under way, "
        f"{_spread(figures.idle)} connections idle"
    )
    return [*lines, connections, taken, pauses, met]


def _spread(counts: Sequence[int]) -> str:
    return f"{min(counts, default=0)} to {max(counts, default=0)}"


def verdicts(plan: Plan, figures: Figures) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    return [
        (f"{figures.requests.total():,} requests, {figures.created:,} created", figures.created > 0),
        (f"{len(figures.refused)} connections refused", not figures.refused),
        (f"{len(figures.dropped)} requests dropped", not figures.dropped),
        (f"{len(figures.duplicates)} identities reached the API twice", not figures.duplicates),
        (f"{len(figures.wrong)} wrong answers", not figures.wrong),
        (f"{figures.asked_again:,} creates asked for again", figures.asked_again == figures.created),
        (
            f"{figures.reloads.total()} of {plan.reloads} reloads, {figures.restarts} of {plan.restarts} restarts",
            figures.reloads.total() == plan.reloads and figures.restarts == plan.restarts,
        ),
    ]


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.restarts",
        description="Reloads and restarts a gateway under load: who is turned away, what is lost, what goes twice.",
    )
    parser.add_argument("--reloads", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--restarts", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--grace", type=float, default=1.0, help="drain_grace in seconds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def main() -> int:
    """Exit code 0 when no request was refused, repeated or lost; otherwise 1."""
    options = arguments()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    plan = Plan(options.reloads, options.restarts, seed, options.grace)
    print(f"seed {seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        figures = asyncio.run(run(Path(directory), plan))
    seconds = round(time.monotonic() - started)
    print("\n".join([*table(figures), f"{seconds} s"]))
    told = verdicts(plan, figures)
    all_hold = tell(told)
    for line in [*figures.refused, *figures.dropped, *figures.duplicates, *figures.wrong][:_SHOWN]:
        print(f"     {line}")
    if options.json:
        found = msgspec.json.encode({"seed": seed, "seconds": seconds, **msgspec.to_builtins(figures)})
        options.json.write_bytes(msgspec.json.format(found) + b"\n")
    return not all_hold


if __name__ == "__main__":
    sys.exit(main())
