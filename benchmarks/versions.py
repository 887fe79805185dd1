# This checkout of the gateway beside an earlier commit of it: same load, same API behind both, in alternating runs.
# `python -m benchmarks.versions COMMIT`; `make bench-versions ARGS=COMMIT`. With `--page` this one has its operator's
# page open and is scraped, and the earlier one has not.

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.generators import add_choice, choose
from benchmarks.measure import SCENARIOS, Bench, Scenario, WrongAnswerError
from benchmarks.page import open_page
from benchmarks.processes import ONE_CORE, Program, Running, allow_many_files, free_port, on_cores, started
from benchmarks.proxies import GATEWAY, Place, rules_file, upstream_program

ROOT = Path(__file__).parents[1]
SCRAPE_EVERY = 5.0
"""Seconds; Prometheus does so each 15, as it is shipped."""
Runs = list[tuple[Scenario, list[tuple[float, float]]]]
"""The CPU a request, in microseconds, of this version and of the other one, in each round."""


@contextlib.contextmanager
def checked_out(commit: str, directory: Path) -> Iterator[Path]:
    """Check out a commit beside this one, for as long as it is measured."""
    tree = directory / "earlier"
    subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, check=True, capture_output=True)
    try:
        yield tree
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True, capture_output=True)


@contextlib.contextmanager
def serving(name: str, source: Path, upstream: int, directory: Path, admin: int = 0) -> Iterator[Running]:
    """Run the gateway of a source tree; with its admin listener on a port, or on any."""
    place = Place(free_port(), upstream, directory / name)
    place.directory.mkdir()
    with started(name, [gateway_of(source, place, admin)], place.directory) as running:
        yield running


def gateway_of(source: Path, place: Place, admin: int = 0) -> Program:
    """The gateway of a source tree, as it is measured."""
    rules = rules_file(place, admin={"listen": f"127.0.0.1:{admin}"})
    # -P, or the package in the current directory would come before the one that is asked for.
    command = [sys.executable, "-P", "-m", "gateway", "run", "-c", str(rules)]
    return Program(command, place.port, {"PYTHONPATH": str(source)})


def compared(bench: Bench, scenario: Scenario, both: Sequence[Running], connections: int) -> tuple[float, float]:
    """Return the CPU a request, in microseconds, of each: one run after the other."""
    first, second = (bench.run(scenario, running, connections)[0] for running in both)
    return first, second


def measure(
    bench: Bench, runs: Runs, options: argparse.Namespace, earlier: Path, upstream: int, directory: Path
) -> None:
    """Start both and add what they took in each round; WrongAnswerError when an answer is wrong."""
    directory.mkdir()
    admin = free_port()
    with contextlib.ExitStack() as stack:
        now = stack.enter_context(serving("now", ROOT, upstream, directory, admin))
        before = stack.enter_context(serving("before", earlier, upstream, directory))
        if options.page:
            stack.enter_context(open_page(admin, SCRAPE_EVERY))
        for scenario, _ in runs:
            for running in (now, before):
                bench.warm_up(scenario, running, options.connections)
        for number in range(options.rounds):
            for scenario, pairs in runs:
                # Either comes first as often as the other.
                if number % 2:
                    pairs.append(compared(bench, scenario, (before, now), options.connections)[::-1])
                else:
                    pairs.append(compared(bench, scenario, (now, before), options.connections))


def main() -> int:
    """Exit code 0; 1 when a gateway does not serve or answers wrongly, 2 when the command line is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versions", description="CPU per request, of two versions."
    )
    parser.add_argument("commit", help="what this checkout is compared with")
    add_choice(parser)
    parser.add_argument("--connections", type=int, default=50, help="connections at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="measured runs of each scenario (default: %(default)s)")
    parser.add_argument(
        "--starts",
        type=int,
        default=1,
        help="how often both are started anew, for so many rounds: where a process has its code and its data makes a"
        " difference of some percent (default: %(default)s)",
    )
    parser.add_argument("--page", action="store_true", help="this one has its page open and is scraped, all the time")
    parser.add_argument("--only", metavar="TEXT", default="", help="only scenarios with TEXT in their name")
    options = parser.parse_args()
    allow_many_files()
    try:
        _, generator = choose(options.load, options.seconds)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    # An earlier version may know nothing of keys, and of other stores.
    scenarios = [
        each for each in SCENARIOS if options.only in each.name and each.baseline is None and each.ours is GATEWAY
    ]
    runs: Runs = [(scenario, []) for scenario in scenarios]
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name, contextlib.ExitStack() as stack:
        directory, port = Path(name), free_port()
        earlier = stack.enter_context(checked_out(options.commit, directory))
        stack.enter_context(on_cores(ONE_CORE))
        stack.enter_context(started("upstream", [upstream_program(port)], directory))
        bench = Bench(generator, options.seconds, directory)
        try:
            for number in range(options.starts):
                measure(bench, runs, options, earlier, port, directory / f"start-{number}")
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    rounds = options.starts * options.rounds
    print(f"CPU per request, µs, medians of {rounds} rounds; ratio: median of the rounds' ratios")
    for scenario, pairs in runs:
        first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [pair[0] / pair[1] for pair in pairs]
        ratio = f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{scenario.name:<18} {first:7.1f}  {options.commit} {second:7.1f}  {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
