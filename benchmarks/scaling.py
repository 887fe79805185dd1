# Creates of one and of several gateways that share a store: what a second process adds, on all cores of this machine.
# `python -m benchmarks.scaling`; `make bench-scaling`.

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import requests
from benchmarks.document import table
from benchmarks.generators import MANY, Generator, add_choice, choose
from benchmarks.measure import WrongAnswerError
from benchmarks.processes import CORES, Running, allow_many_files, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file, upstream_program
from benchmarks.shared_stores import SECRET, STORES


@dataclass
class Turns:
    """What so many gateways at once did, a figure a turn."""

    processes: int
    creates: list[float] = field(default_factory=list)
    """A second, of all of them."""
    gateways: list[float] = field(default_factory=list)
    """Microseconds of CPU a create."""
    store: list[float] = field(default_factory=list)
    api: list[float] = field(default_factory=list)


class Ground:
    """A store, an API and gateways that run. Mutable state: how many turns there were."""

    def __init__(self, store: Running, api: Running, gateways: Sequence[Running], directory: Path) -> None:
        self._store = store
        self._api = api
        self._gateways = gateways
        self._directory = directory
        self._turns = 0

    def turn(self, to: Turns, generator: Generator, connections: int, seconds: float) -> None:
        """Put creates on the first gateways, a load each, all at once; WrongAnswerError when one is not answered so."""
        self._turns += 1
        chosen = self._gateways[: to.processes]
        groups = [chosen, [self._store], [self._api]]
        before = [sum(each.cpu() for each in group) for group in groups]
        with ThreadPoolExecutor(len(chosen)) as pool:
            loads = list(
                pool.map(
                    lambda each: generator(each.port, self._text(each), MANY, connections // len(chosen), seconds),
                    chosen,
                )
            )
        used = [sum(each.cpu() for each in group) - spent for group, spent in zip(groups, before, strict=True)]
        done = sum(load.requests for load in loads)
        if any(load.errors or load.refused or not load.requests for load in loads):
            raise WrongAnswerError("a create was not answered 201")
        to.creates.append(sum(load.requests / load.seconds for load in loads))
        for figures, cpu in zip((to.gateways, to.store, to.api), used, strict=True):
            figures.append(cpu / done * 1e6)

    def _text(self, gateway: Running) -> Path:
        """Creates that no other load has."""
        file = self._directory / f"request-{gateway.port}"
        file.write_bytes(requests.create(f"turn-{self._turns}-{gateway.port}"))
        return file


@contextlib.contextmanager
def _ground(store: str, most: int, directory: Path) -> Iterator[Ground]:
    directory.mkdir(mode=0o755)
    with contextlib.ExitStack() as stack:
        upstream, port = free_port(), free_port()
        api = stack.enter_context(started("API", [upstream_program(upstream)], directory))
        url, program = STORES[store]
        server = stack.enter_context(started(store, [program(directory, port)], directory))
        gateways = []
        for number in range(most):
            place = Place(free_port(), upstream, directory / f"gateway-{number}")
            place.directory.mkdir()
            rules = rules_file(place, store={"url": url(port)}, fingerprint=SECRET)
            gateways.append(
                stack.enter_context(started(place.directory.name, gateway_program(place, rules), place.directory))
            )
        yield Ground(server, api, gateways, directory)


def lines(turns: Sequence[Turns]) -> list[str]:
    """Return a table, and what this machine allowed at most."""
    one = statistics.median(turns[0].creates)
    rows = []
    for each in turns:
        parts = [statistics.median(figures) for figures in (each.gateways, each.store, each.api)]
        creates = statistics.median(each.creates)
        rows.append(
            [str(each.processes), f"{creates:,.0f}", f"{creates / one:.2f}", *(f"{part:.0f}" for part in parts)]
        )
    head = ["gateways", "creates/s", "to one", "µs a create: gateways", "store", "API"]
    last = turns[-1]
    whole = sum(statistics.median(figures) for figures in (last.gateways, last.store, last.api))
    most = len(CORES) / whole * 1e6
    bound = (
        f"{len(CORES)} cores allow at most {most:,.0f} creates a second, {most / one:.2f} times what one gateway did, "
        "and less by what the load needs of them."
    )
    return [*table(head, rows, 0), "", bound]


def main() -> int:
    """Exit code 0; 1 when a gateway does not serve or answers wrongly, 2 when the command line is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description="Creates a second of several gateways on one store."
    )
    add_choice(parser)
    parser.add_argument("--store", choices=STORES, default="valkey")
    parser.add_argument("--most", type=int, default=2, help="gateways (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=100, help="in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each number (default: %(default)s)")
    options = parser.parse_args()
    allow_many_files()
    try:
        name, generator = choose(options.load, options.seconds)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    turns = [Turns(number + 1) for number in range(options.most)]
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        try:
            with _ground(options.store, options.most, Path(directory) / "ground") as ground:
                for each in turns:
                    ground.turn(Turns(each.processes), generator, options.connections, options.seconds)  # warm-up
                for _ in range(options.rounds):
                    for each in turns:
                        ground.turn(each, generator, options.connections, options.seconds)
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print(f"{options.store}, requests from {name}, medians of {options.rounds} turns of {options.seconds:g} s")
    print("\n".join(lines(turns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
