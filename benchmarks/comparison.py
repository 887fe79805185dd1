# Compares the gateway with other proxies: same load, same API, alternating runs. Each run of a peer comes right after
# one of the gateway, so that other activity on the machine affects both.

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.generators import Generator
from benchmarks.machine import machine
from benchmarks.measure import SCENARIOS, Bench, Measured, Scenario, recording
from benchmarks.processes import ONE_CORE, Running, free_port, on_cores, started
from benchmarks.proxies import GATEWAY, ORDINARY, Place, Proxy, upstream_program


@dataclass(frozen=True)
class Plan:
    """What is to be measured, with which load."""

    only: str
    generator: Generator
    load: str
    """What to call the generator."""
    connections: int
    seconds: float
    rounds: int

    @property
    def scenarios(self) -> list[Scenario]:
        """The scenarios with `only` in their name."""
        return [scenario for scenario in SCENARIOS if self.only in scenario.name]


class Comparison:
    """The proxies that were found, running, and what was measured on them so far."""

    def __init__(self, plan: Plan, running: dict[str, Running], absent: list[str], directory: Path) -> None:
        self._plan = plan
        self._running = running
        self._bench = Bench(plan.generator, plan.seconds, directory)
        self._absent = absent
        self._machine = machine()
        self._measured = {
            scenario.name: [
                *[
                    Measured(scenario, proxy, proxy.name)
                    for proxy in (scenario.ours, *scenario.peers)
                    if proxy.name in running
                ],
                *[Measured(scenario, scenario.ours, other.name) for other in [scenario.baseline] if other is not None],
            ]
            for scenario in plan.scenarios
            if scenario.ours.name in running
        }

    def measure(self) -> None:
        """Run every scenario, round by round; WrongAnswerError when an answer is not what it must be."""
        for each in (each for row in self._measured.values() for each in row if each.proxy.load is None):
            self._bench.warm_up(each.sent, self._running[each.proxy.name], self._plan.connections)
        for number in range(self._plan.rounds):
            for gateway, *peers in self._measured.values():
                self._turn(gateway, peers)
            print(f"round {number + 1} of {self._plan.rounds} done", file=sys.stderr, flush=True)

    def profile(self, py_spy: str, directory: Path, form: str, ending: str) -> list[Path]:
        """Run each scenario on the gateway once more under py-spy, which writes the files that are returned."""
        directory.mkdir(parents=True, exist_ok=True)
        files = []
        for gateway, *_ in self._measured.values():
            running = self._running[gateway.proxy.name]
            files.append(directory / f"{gateway.scenario.slug}.{ending}")
            with recording(py_spy, running, files[-1], form):
                self._bench.run(gateway.scenario, running, self._plan.connections)
        return files

    def figures(self) -> dict[str, Any]:
        """Return what was measured, with what it depends on."""
        measured = (each.proxy for row in self._measured.values() for each in row)
        versions = {line for proxy in measured for line in proxy.versions()}
        return {
            "machine": self._machine,
            "peers": sorted(versions),
            "absent": self._absent,
            "load": self._plan.load,
            "connections": self._plan.connections,
            "seconds": self._plan.seconds,
            "rounds": self._plan.rounds,
            "results": [each.summary() for row in self._measured.values() for each in row],
        }

    def _turn(self, gateway: Measured, peers: list[Measured]) -> None:
        for peer in peers:
            ours = self._run(gateway)
            peer.ratios.append(ours / self._run(peer))
        if not peers:
            self._run(gateway)

    def _run(self, each: Measured) -> float:
        cpu, load = self._bench.run(each.sent, self._running[each.proxy.name], self._plan.connections, each.proxy)
        each.cpu.append(cpu)
        each.loads.append(load)
        return cpu


@contextlib.contextmanager
def compare(plan: Plan, directory: Path) -> Iterator[Comparison]:
    """Start the API and every proxy that the plan needs and this machine has, and name those that it has not.

    RuntimeError when the gateway or the ordinary proxy does not serve.
    """
    port = free_port()
    with on_cores(ONE_CORE), contextlib.ExitStack() as stack:
        stack.enter_context(started("upstream", [upstream_program(port)], directory))
        running: dict[str, Running] = {}
        absent = []
        for proxy in _wanted(plan):
            lacks = proxy.lacks()
            if lacks:
                absent.append(f"{proxy.name}: not found: {', '.join(lacks)}")
                continue
            place = Place(free_port(), port, directory / proxy.name.replace(" ", "-"))
            place.directory.mkdir()
            try:
                running[proxy.name] = stack.enter_context(started(proxy.name, proxy.programs(place), place.directory))
            except RuntimeError as error:
                if proxy.name in {GATEWAY.name, ORDINARY.name}:
                    raise
                absent.append(str(error))
        yield Comparison(plan, running, absent, directory)


def _wanted(plan: Plan) -> list[Proxy]:
    every = [proxy for scenario in plan.scenarios for proxy in (scenario.ours, *scenario.peers)]
    return list({proxy.name: proxy for proxy in every}.values())
