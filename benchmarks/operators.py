# What operators ask of a gateway with a large SQLite store, over HTTP, and what it costs the creates beside it:
# `python -m benchmarks.operators`; `make bench-operators`.
#
# A gateway has a core to itself; what sends creates at a fixed rate, and the API, share another one with the operator's
# page and more questions, which have the lowest priority. Creates come in turns alone and beside these.

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import preload, requests
from benchmarks.document import table
from benchmarks.generators import once_each
from benchmarks.lists import quantile
from benchmarks.machine import machine
from benchmarks.paced import paced
from benchmarks.page import Took, open_page
from benchmarks.processes import CORES, ONE_CORE, Running, free_port, on_cores, started
from benchmarks.proxies import GATEWAY, Place, gateway_program, rules_file, upstream_program

HOUR = 3600 * 1000
QUESTIONS = ("/", "/claims?state=unknown&limit=50", "/metrics", "/status", "/claims?entry=nobody")
"""Asked in turns, besides what the page asks."""
PAUSE = 0.1
"""Seconds between two of them."""
SCRAPE_EVERY = 15.0
"""Seconds, as Prometheus does."""


def fill(place: Place, rules: Path, text: Path, count: int, unknown: int) -> None:
    """Make the gateway's store, with so many claims, some of unknown outcome; none expires while it is measured."""
    with started(GATEWAY.name, gateway_program(place, rules), place.directory) as running:
        once_each(running.port, text, 1, 1)
    now, store = time.time_ns() // 1_000_000, place.directory / "gateway.db"
    preload.fill(store, count, now + HOUR, now + 24 * HOUR, in_order=True)
    preload.forget_outcomes(store, unknown)


class Turns:
    """Creates, alone and beside an operator. Mutable state: how many were sent, and what came of them."""

    def __init__(self, running: Running, admin: int, text: Path, options: argparse.Namespace) -> None:
        self._running = running
        self._admin = admin
        self._text = text
        self._options = options
        self._sent = 1
        self.alone: list[list[float]] = []
        """The milliseconds of creates, a list for each round."""
        self.beside: list[list[float]] = []
        self.answers: Took = {}
        """Those of the operator's questions, of all rounds."""

    def creates(self) -> list[float]:
        """Send creates for one turn; the milliseconds of each."""
        options, first = self._options, self._sent
        self._sent += int(options.rate * options.seconds)
        return paced(self._running.port, self._text, first, options.rate, options.seconds)

    def round(self, *, operator_first: bool) -> None:
        """A turn of each."""
        if not operator_first:
            self.alone.append(self.creates())
        with open_page(self._admin, SCRAPE_EVERY, QUESTIONS, PAUSE) as took:
            self.beside.append(self.creates())
        if operator_first:
            self.alone.append(self.creates())
        for asked, each in took.items():
            self.answers.setdefault(asked, []).extend(each)


def lines(turns: Turns, rate: int) -> list[str]:
    """Two tables, of answers and of creates."""
    answers = [
        [f"`{asked}`", str(len(took)), *(f"{quantile(took, share):.1f}" for share in (0.5, 0.99, 1))]
        for asked, took in sorted(turns.answers.items())
    ]
    alone, beside = (list(itertools.chain(*rounds)) for rounds in (turns.alone, turns.beside))
    creates = [
        [name, f"{len(took):,}", *(f"{quantile(took, share):.2f}" for share in (0.5, 0.9, 0.99, 0.999, 1))]
        for name, took in (("alone", alone), ("beside the operator", beside))
    ]
    ratios = [quantile(both[1], 0.99) / quantile(both[0], 0.99) for both in zip(turns.alone, turns.beside, strict=True)]
    all_ratio = quantile(beside, 0.99) / quantile(alone, 0.99)
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return [
        *table(["asked", "answers", "p50 ms", "p99 ms", "longest ms"], answers, 0),
        "",
        *table([f"{rate} creates a second", "creates", "p50 ms", "p90", "p99", "p99.9", "longest ms"], creates, 0),
        "",
        f"p99 to that of creates alone: {all_ratio:.2f} of all creates, {spread} as the median of rounds.",
    ]


def measure(directory: Path, options: argparse.Namespace) -> list[str]:
    """The figures, as lines of Markdown."""
    place, text, admin = Place(free_port(), free_port(), directory / "gateway"), directory / "request", free_port()
    place.directory.mkdir()
    text.write_bytes(requests.create("operators"))
    with contextlib.ExitStack() as stack:
        with on_cores(CORES[:1]):
            stack.enter_context(started("API", [upstream_program(place.upstream)], directory))
        rules = rules_file(place, admin={"listen": f"127.0.0.1:{admin}"})
        with on_cores(ONE_CORE):
            fill(place, rules, text, options.claims, options.unknown)
            running = stack.enter_context(started(GATEWAY.name, gateway_program(place, rules), place.directory))
        turns = Turns(running, admin, text, options)
        with on_cores(CORES[:1]):
            turns.creates()  # a warm-up
            for number in range(options.rounds):
                turns.round(operator_first=bool(number % 2))
        size = preload.size(place.directory / "gateway.db") / 2**20
    about = f"{options.claims:,} claims, {options.unknown:,} of them unknown, {size:,.0f} MiB."
    return [about, "", *lines(turns, options.rate)]


def main() -> int:
    """Exit code 0; 1 when the gateway does not serve or answers wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operators", description="An operator's questions beside creates, over HTTP."
    )
    parser.add_argument("--claims", type=int, default=10_000_000, help="in the store (default: %(default)s)")
    parser.add_argument("--unknown", type=int, default=10_000, help="of unknown outcome (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="creates a second (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=12, help="of creates alone and beside (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of each (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where the store is made; 10 million claims take 2 GiB")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=options.directory) as directory:
        try:
            found = measure(Path(directory), options)
        except RuntimeError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print("\n".join(found))
    print(
        f"\n{about['date']}, {about['processor']}, {about['cores']} cores, load average {about['load_average']} before."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
