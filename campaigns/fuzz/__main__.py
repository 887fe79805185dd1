# Changed and enlarged inputs for everything that reads what a stranger sends: bodies of every kind, and paths.
# Run it with `make fuzz`.

import argparse
import random
import sys

from campaigns.fuzz.batches import Items, Lines
from campaigns.fuzz.common import Reader
from campaigns.fuzz.documents import JsonBody, MsgpackBody
from campaigns.fuzz.engine import Tally, fuzz
from campaigns.fuzz.forms import Multipart, Urlencoded
from campaigns.fuzz.paths import Paths
from campaigns.fuzz.xml import Xml

READERS: tuple[Reader, ...] = (Multipart(), Urlencoded(), Xml(), MsgpackBody(), JsonBody(), Items(), Lines(), Paths())


def table(tallies: list[Tally]) -> str:
    """What was done, a line each."""
    rows = [f"  {'reader':<10}  {'inputs':>9}  {'accepted':>9}  {'refused':>9}  {'kinds':>5}  {'ms':>6}  {'memory':>6}"]
    for tally in tallies:
        refused, costs = tally.inputs - tally.accepted, tally.costs
        rows.append(
            f"  {tally.reader:<10}  {tally.inputs:>9,}  {tally.accepted:>9,}  {refused:>9,}  {len(tally.outcomes):>5}"
            f"  {costs.slowest:>6.1f}  {costs.memory:>5.1f}x"
        )
    return "\n".join(rows)


def main() -> int:
    """Exit code 0 when all held for each input; 1 when not, with the smallest input found."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.fuzz", description="Odd inputs for the readers of bodies and paths."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for all readers together (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of an earlier campaign, to repeat it (default: a new one)")
    parser.add_argument("--only", choices=[reader.name for reader in READERS], help="only this one")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    readers = [reader for reader in READERS if options.only in {None, reader.name}]
    print(f"{len(readers)} readers, {options.minutes:g} minutes, --seed {seed}", flush=True)
    tallies = []
    for reader in readers:
        tallies.append(fuzz(reader, seed, seconds=options.minutes * 60 / len(readers)))
        failures = list(tallies[-1].failures.values())
        told = [line for failure in failures for line in failure.lines(seed)] or [f"ok   {reader.name}"]
        print("\n".join(told), flush=True)
    print(table(tallies))
    print(
        "ms: CPU of the slowest input of 1 MiB, or path of 8 KiB; memory: the most that reading takes, times the input"
    )
    return any(tally.failures for tally in tallies)


if __name__ == "__main__":
    sys.exit(main())
