# This checkout of the gateway beside an earlier commit of it: same load, same API behind both, in alternating runs.
# `python -m benchmarks.versions COMMIT`; `make bench-versions ARGS=COMMIT`.

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.generators import add_choice, choose
from benchmarks.measure import SCENARIOS, Bench, Scenario, WrongAnswerError
from benchmarks.processes import ONE_CORE, Program, Running, allow_many_files, free_port, on_cores, started
from benchmarks.proxies import GATEWAY, Place, rules_file, upstream_program

ROOT = Path(__file__).parents[1]


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
def serving(name: str, source: Path, upstream: int, directory: Path) -> Iterator[Running]:
    """Run the gateway of a source tree."""
    place = Place(free_port(), upstream, directory / name)
    place.directory.mkdir()
    # -P, or the package in the current directory would come before the one that is asked for.
    command = [sys.executable, "-P", "-m", "gateway", "run", "-c", str(rules_file(place))]
    program = Program(command, place.port, {"PYTHONPATH": str(source)})
    with started(name, [program], place.directory) as running:
        yield running


def compared(bench: Bench, scenario: Scenario, both: tuple[Running, Running], connections: int) -> tuple[float, float]:
    """Return the CPU a request, in microseconds, of each: one run after the other."""
    first, second = (bench.run(scenario, running, connections)[0] for running in both)
    return first, second


def main() -> int:
    """Exit code 0; 1 when a gateway does not serve or answers wrongly, 2 when the command line is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versions", description="CPU per request, of two versions."
    )
    parser.add_argument("commit", help="what this checkout is compared with")
    add_choice(parser)
    parser.add_argument("--connections", type=int, default=50, help="connections at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="measured runs of each scenario (default: %(default)s)")
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
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name, contextlib.ExitStack() as stack:
        directory, port = Path(name), free_port()
        earlier = stack.enter_context(checked_out(options.commit, directory))
        stack.enter_context(on_cores(ONE_CORE))
        stack.enter_context(started("upstream", [upstream_program(port)], directory))
        both = (
            stack.enter_context(serving("now", ROOT, port, directory)),
            stack.enter_context(serving("before", earlier, port, directory)),
        )
        bench = Bench(generator, options.seconds, directory)
        runs: dict[str, list[tuple[float, float]]] = {scenario.name: [] for scenario in scenarios}
        try:
            for scenario in scenarios:
                for running in both:
                    bench.warm_up(scenario, running, options.connections)
            for _ in range(options.rounds):
                for scenario in scenarios:
                    runs[scenario.name].append(compared(bench, scenario, both, options.connections))
        except WrongAnswerError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print(f"CPU per request, µs, medians of {options.rounds} rounds; ratio: median of the rounds' ratios")
    for scenario_name, pairs in runs.items():
        now, before = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [pair[0] / pair[1] for pair in pairs]
        ratio = f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{scenario_name:<18} {now:7.1f}  {options.commit} {before:7.1f}  {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
