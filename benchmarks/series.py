# Series of points: one parameter grows from point to point, all others are fixed. Every run of a point comes right
# after one of its series' first point, so that changes in the speed of the machine affect both.

import dataclasses
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import preload, requests
from benchmarks.generators import once_each
from benchmarks.measure import CREATE, DUPLICATE, GET, POST, Bench, Measured, Scenario
from benchmarks.processes import Running, free_port, started
from benchmarks.proxies import GATEWAY, Place, gateway_program, rules_file, user_rule

CONNECTIONS = 50
SPREAD = 20_000
"""How many identities the duplicates repeat in a large store: more pages than its cache holds."""
DAY = 24 * 3600 * 1000
"""Milliseconds."""


@dataclasses.dataclass(frozen=True)
class Point:
    """What is measured together: a scenario on a running gateway, where one thing has grown so far."""

    at: str
    scenario: Scenario
    running: Running
    connections: int = CONNECTIONS


class Ground:
    """Where gateways are started, all in front of one API."""

    def __init__(self, directory: Path, upstream: int, bench: Bench, rounds: int, stack: ExitStack) -> None:
        self.directory = directory
        self.bench = bench
        self._upstream = upstream
        self._rounds = rounds
        self._stack = stack

    def place(self, name: str) -> Place:
        """Make a directory for a gateway, and choose its port."""
        place = Place(free_port(), self._upstream, self.directory / name)
        place.directory.mkdir()
        return place

    def start(self, place: Place, stack: ExitStack | None = None, **tables: Any) -> Running:
        """Start a gateway there, until the end of the measurements or of `stack`."""
        programs = gateway_program(place, rules_file(place, **tables))
        return (stack or self._stack).enter_context(started(GATEWAY.name, programs, place.directory))

    def measure(self, name: str, points: list[Point]) -> dict[str, Any]:
        """Run the points of one series, in turns with the first one of their scenario."""
        measured = [(point, Measured(point.scenario, GATEWAY, GATEWAY.name)) for point in points]
        for point in points:
            self.bench.warm_up(point.scenario, point.running, point.connections)
        for _ in range(self._rounds):
            for _, row in groupby(measured, lambda each: each[0].scenario.name):
                self._turn(*row)
        print(f"{name}: done", file=sys.stderr, flush=True)
        return {"name": name, "rows": [{"at": point.at, **each.summary()} for point, each in measured]}

    def _turn(self, first: tuple[Point, Measured], *others: tuple[Point, Measured]) -> None:
        for point, each in others:
            yardstick = self._run(*first)
            each.ratios.append(self._run(point, each) / yardstick)
        if not others:
            self._run(*first)

    def _run(self, point: Point, each: Measured) -> float:
        cpu, load = self.bench.run(point.scenario, point.running, point.connections)
        each.cpu.append(cpu)
        each.loads.append(load)
        return cpu


def claims(ground: Ground, counts: list[int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure creates and duplicates with so many claims in the store; also say what such a store takes."""
    stores: list[dict[str, Any]] = []
    running = []
    for count in counts:
        place = filled(ground, f"claims-{count}", count, expired=False)
        begun = time.monotonic()
        running.append(ground.start(place))
        stores.append(
            {
                "claims": count,
                "bytes": preload.size(place.directory / "gateway.db"),
                "start_seconds": time.monotonic() - begun,
            }
        )
        print(f"a store with {count:,} claims: made", file=sys.stderr, flush=True)
    spread = dataclasses.replace(DUPLICATE, repeated=min(SPREAD, max(DUPLICATE.repeated, *counts)))
    points = [
        Point(f"{count:,}", scenario, each)
        for scenario in (CREATE, spread)
        for count, each in zip(counts, running, strict=True)
    ]
    series = ground.measure("claims in the store", points)
    for store, each in zip(stores, running, strict=True):
        store["memory"] = each.memory()
    return series, stores


def filled(ground: Ground, name: str, count: int, *, expired: bool) -> Place:
    """Make a store with so many claims of a day each, all of which have expired, or none of which does today."""
    place = ground.place(name)
    with ExitStack() as stack:
        running = ground.start(place, stack)
        text = place.directory / "request"
        text.write_bytes(requests.create("pattern"))
        once_each(running.port, text, 1, 1)
    now = time.time_ns() // 1_000_000
    start = now - 2 * DAY if expired else now + DAY
    preload.fill(place.directory / "gateway.db", count, start, start + DAY)
    return place


def connections(ground: Ground, counts: list[int]) -> dict[str, Any]:
    """Measure pass-through and creates over so many connections."""
    running = ground.start(ground.place("connections"))
    points = [Point(f"{count:,}", scenario, running, count) for scenario in (GET, CREATE) for count in counts]
    return ground.measure("connections", points)


def bodies(ground: Ground, sizes: list[int]) -> dict[str, Any]:
    """Measure pass-through and creates with bodies of so many bytes."""
    running = ground.start(ground.place("bodies"))
    points = []
    for scenario, text in ((POST, lambda _, size: requests.post(size)), (CREATE, requests.create)):
        for size in sizes:
            sized = dataclasses.replace(scenario, text=_sized(text, size))
            points.append(Point(_in_words(size), sized, running))
    return ground.measure("bytes of the body", points)


def rules(ground: Ground, counts: list[int]) -> dict[str, Any]:
    """Measure pass-through and creates with so many rules, of which the last one guards the creates."""
    running = []
    for count in counts:
        others = [user_rule(f"rule-{number}", f"/resources-{number}") for number in range(count - 1)]
        running.append(
            ground.start(ground.place(f"rules-{count}"), rules=[*others, user_rule("create-user", "/users")])
        )
    points = [
        Point(f"{count:,}", scenario, each)
        for scenario in (GET, CREATE)
        for count, each in zip(counts, running, strict=True)
    ]
    return ground.measure("rules", points)


def _sized(text: Callable[[str, int], bytes], size: int) -> Callable[[str], bytes]:
    return lambda series: text(series, size)


def _in_words(size: int) -> str:
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"
