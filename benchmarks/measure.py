# Scenarios: what is sent to which peer, what must come back, and what it cost.

import contextlib
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.load import Kind, Load
from benchmarks.peers import GATEWAY, ORDINARY, Peer, Running

LOAD_LIMIT = 600
"""Seconds after which a run is given up."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load on one peer, and the status that each answer must have."""

    name: str
    peer: Peer
    kind: Kind
    expected: int
    yardstick: str | None = None
    """The scenario that its cost is divided by."""

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return self.name.replace(":", "").replace(" ", "-")


SCENARIOS = (
    Scenario("ordinary proxy: GET", ORDINARY, "get", 200),
    Scenario("gateway: pass-through GET", GATEWAY, "get", 200, "ordinary proxy: GET"),
    Scenario("ordinary proxy: POST", ORDINARY, "create", 201),
    Scenario("gateway: durable create", GATEWAY, "create", 201, "ordinary proxy: POST"),
    Scenario("gateway: duplicate", GATEWAY, "repeat", 409, "ordinary proxy: POST"),
)


@dataclass
class Measured:
    """All rounds of one scenario."""

    scenario: Scenario
    cpu: list[float] = field(default_factory=list)
    """Microseconds of CPU a request, one figure a round."""
    loads: list[Load] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Microseconds of CPU a request: the median over the rounds."""
        return statistics.median(self.cpu)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status came, over all rounds."""
        return sum((Counter(load.statuses) for load in self.loads), Counter())

    @property
    def errors(self) -> int:
        """How many requests had no answer, over all rounds."""
        return sum(load.errors for load in self.loads)

    def summary(self, yardstick: "Measured | None") -> dict[str, Any]:
        """What the table shows and the JSON holds."""
        return {
            "scenario": self.scenario.name,
            "cpu_us": self.cost,
            "cpu_us_rounds": self.cpu,
            "ratio": self.cost / yardstick.cost if yardstick else None,
            "yardstick": self.scenario.yardstick,
            "requests_per_second": statistics.median(load.requests / load.seconds for load in self.loads),
            "p50_ms": statistics.median(load.p50 for load in self.loads),
            "p99_ms": statistics.median(load.p99 for load in self.loads),
            "statuses": dict(self.statuses),
            "errors": self.errors,
        }


class WrongAnswerError(Exception):
    """A scenario was answered with something else than it is there to measure; its figures would mean nothing."""


def send(running: Running, kind: Kind, series: str, requests: int, connections: int) -> Load:
    """Put a load on a peer, from a process of its own; RuntimeError when that fails."""
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(running.port), "--kind", kind]
    command += ["--series", series, "--requests", str(requests), "--connections", str(connections)]
    result = subprocess.run(command, capture_output=True, timeout=LOAD_LIMIT)
    if result.returncode:
        raise RuntimeError(f"the load failed:\n{result.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(result.stdout, type=Load)


class Bench:
    """The scenarios over the running peers. Every run has identities of its own, but for duplicates."""

    def __init__(self, peers: dict[str, Running], requests: int, connections: int) -> None:
        self._peers = peers
        self._requests = requests
        self._connections = connections
        self._runs = 0

    def warm_up(self, scenario: Scenario) -> None:
        """Create what duplicates repeat, then load a while; WrongAnswerError when answers are wrong."""
        running = self._peers[scenario.peer.name]
        if scenario.kind == "repeat":
            self._check(scenario, send(running, "repeat", scenario.slug, 1, 1), 201)
        self.run(scenario, self._requests // 5)

    def run(self, scenario: Scenario, requests: int | None = None) -> tuple[float, Load]:
        """Return the microseconds of CPU a request and the load of one run; WrongAnswerError when answers are wrong."""
        running = self._peers[scenario.peer.name]
        self._runs += 1
        series = scenario.slug if scenario.kind == "repeat" else f"run-{self._runs}"
        before = running.cpu()
        load = send(running, scenario.kind, series, requests or self._requests, self._connections)
        cpu = (running.cpu() - before) / load.requests * 1e6
        self._check(scenario, load, scenario.expected)
        return cpu, load

    def profile(self, scenario: Scenario, py_spy: Path, file: Path, form: str) -> None:
        """Run a scenario once more under py-spy, which writes `file`."""
        with _recording(py_spy, self._peers[scenario.peer.name], file, form):
            self.run(scenario)

    def _check(self, scenario: Scenario, load: Load, expected: int) -> None:
        if load.statuses != {expected: load.requests} or load.errors:
            found = ", ".join(f"{count} x {status}" for status, count in sorted(load.statuses.items()))
            raise WrongAnswerError(
                f"{scenario.name}: every answer should have been {expected}; there were {found or 'none'}"
                f" and {load.errors} requests without an answer"
            )


@contextlib.contextmanager
def _recording(py_spy: Path, running: Running, file: Path, form: str) -> Iterator[None]:
    command = [str(py_spy), "record", "-p", str(running.process.pid), "-r", "500", "-f", form, "-o", str(file)]
    recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert recorder.stdout is not None
    recorder.stdout.readline()  # it says that it samples, or ends
    try:
        yield
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.communicate()
