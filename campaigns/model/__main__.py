# A long run of the model in tests/model: every outcome, fault, restart and clock jump against the reference.
# Run it with `make model`.

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

from tests.model.campaign import run
from tests.model.lives import Kind

EXAMPLES: dict[Kind, int] = {"sqlite": 10_000, "memory": 10_000, "valkey": 1_000, "postgresql": 1_000}
COUNTED = ("runs", "whole runs", "steps")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.model",
        description="The decision core against its reference, step by step, for many runs.",
    )
    usual = ", ".join([f"{runs:,} over {kind}" for kind, runs in EXAMPLES.items()])
    parser.add_argument("--examples", type=int, help=f"runs with all their steps (default: {usual})")
    parser.add_argument("--steps", type=int, default=50, help="of each run (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of an earlier campaign, to repeat it (default: a new one)")
    parser.add_argument("--store", choices=EXAMPLES, help="only over this one (default: one after the other)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def table(seen: Counter[str]) -> str:
    """What was met and how often, in columns."""
    rows = [(name, count) for name, count in sorted(seen.items()) if name not in COUNTED]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {count:>9,}" for name, count in rows)


def main() -> int:
    """Exit code 0 when the gateway did what the reference does; 1 when not, with the shortest way there."""
    options = arguments()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    figures = {}
    for kind in [options.store] if options.store else EXAMPLES:
        runs = options.examples or EXAMPLES[kind]
        print(f"{kind}: {runs:,} runs of {options.steps} steps, --seed {seed}", flush=True)
        seen: Counter[str] = Counter()
        started = time.monotonic()
        try:
            run(kind, seed=seed, runs=runs, steps=options.steps, seen=seen)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the campaign looks for
            sys.excepthook(type(error), error, error.__traceback__)
            print(f"NOT  {kind}: the gateway and the reference disagree; the seed of the batch stands above")
            return 1
        seconds = time.monotonic() - started
        print(table(seen))
        shorter = seen["runs"] - seen["whole runs"]
        print(f"ok   {kind}: {seen['whole runs']:,} runs of {options.steps} steps, and {shorter:,} shorter ones;")
        print(f"     {seen['steps']:,} steps in all, no disagreement, {seconds:,.0f} s\n", flush=True)
        figures[kind] = {"seed": seed, "seconds": round(seconds), **seen}
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
