# Scenarios: what is sent to which proxies, the expected responses, and the measured cost.

import contextlib
import signal
import statistics
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import requests
from benchmarks.generators import MANY, Generator, once_each
from benchmarks.load import Load
from benchmarks.processes import Running
from benchmarks.proxies import CADDY, GATEWAY, HAPROXY, NGINX, NGINX_LUA, ORDINARY, Proxy
from benchmarks.shared_stores import GATEWAY_ON_POSTGRESQL, GATEWAY_ON_VALKEY, NGINX_LUA_ON_VALKEY, PGBENCH

WARM_UP = 1000
"""How many requests a warm-up has."""


@dataclass(frozen=True)
class Scenario:
    """One kind of request, the proxies that the gateway is compared with, and the status each answer must have."""

    name: str
    peers: tuple[Proxy, ...]
    text: Callable[[str], bytes]
    """The request, for a series of identities."""
    expected: int
    aims: dict[str, float]
    """What the gateway's cost divided by a peer's should be at most."""
    repeated: int = 0
    """How many identities, created before, the requests repeat; 0: each request has one of its own."""
    baseline: "Scenario | None" = None
    """Another scenario of the gateway itself, with which this one is compared as with a peer."""
    ours: Proxy = GATEWAY
    """The gateway, on the store that is measured."""

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return self.name.replace(" ", "-").replace(",", "")


_PASSING = (ORDINARY, CADDY, NGINX, HAPROXY)
_PASSING_AIMS = {CADDY.name: 0.5, ORDINARY.name: 0.3}
_DOING_IT = (NGINX_LUA,)
GET = Scenario("pass-through GET", _PASSING, lambda _: requests.get(), 200, _PASSING_AIMS)
POST = Scenario("pass-through POST", _PASSING, lambda _: requests.post(), 201, _PASSING_AIMS)
CREATE = Scenario("create", _DOING_IT, requests.create, 201, {NGINX_LUA.name: 1.0})
DUPLICATE = Scenario("duplicate", _DOING_IT, requests.create, 409, {NGINX_LUA.name: 1.0}, repeated=1000)
KEYED = Scenario("keyed create", (), requests.keyed, 201, {"create": 1.35}, baseline=CREATE)
REPLAY = Scenario("replay", (), requests.keyed, 201, {"duplicate": 1.2}, repeated=1000, baseline=DUPLICATE)
VALKEY_CREATE = Scenario(
    "create, Valkey",
    (NGINX_LUA_ON_VALKEY,),
    requests.create,
    201,
    {NGINX_LUA_ON_VALKEY.name: 1.6},
    ours=GATEWAY_ON_VALKEY,
)
VALKEY_DUPLICATE = Scenario(
    "duplicate, Valkey",
    (NGINX_LUA_ON_VALKEY,),
    requests.create,
    409,
    {NGINX_LUA_ON_VALKEY.name: 1.5},
    repeated=1000,
    ours=GATEWAY_ON_VALKEY,
)
POSTGRESQL_CREATE = Scenario("create, PostgreSQL", (PGBENCH,), requests.create, 201, {}, ours=GATEWAY_ON_POSTGRESQL)
POSTGRESQL_DUPLICATE = Scenario(
    "duplicate, PostgreSQL", (), requests.create, 409, {}, repeated=1000, ours=GATEWAY_ON_POSTGRESQL
)
SHARED = (VALKEY_CREATE, VALKEY_DUPLICATE, POSTGRESQL_CREATE, POSTGRESQL_DUPLICATE)
SCENARIOS = (GET, POST, CREATE, DUPLICATE, KEYED, REPLAY, *SHARED)


@dataclass
class Measured:
    """All runs of one scenario on one proxy."""

    scenario: Scenario
    proxy: Proxy
    label: str
    """What tables call it."""
    cpu: list[float] = field(default_factory=list)
    """Microseconds of CPU a request, one figure a run."""
    loads: list[Load] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """The gateway's cost in the run just before, divided by the cost of this one."""

    @property
    def sent(self) -> Scenario:
        """What is sent: the scenario's requests, or those of its baseline."""
        baseline = self.scenario.baseline
        return baseline if baseline is not None and baseline.name == self.label else self.scenario

    def summary(self) -> dict[str, Any]:
        """Return what the table shows and the JSON holds; medians over the runs."""
        return {
            "scenario": self.scenario.name,
            "proxy": self.label,
            "cpu_us": statistics.median(self.cpu),
            "ratio": statistics.median(self.ratios) if self.ratios else None,
            "aim": self.scenario.aims.get(self.label),
            "requests_per_second": statistics.median(load.requests / load.seconds for load in self.loads),
            "p50_ms": statistics.median(load.p50 for load in self.loads),
            "p99_ms": statistics.median(load.p99 for load in self.loads),
            "requests": sum(load.requests for load in self.loads),
            "cpu_us_runs": self.cpu,
            "ratio_runs": self.ratios,
        }


class WrongAnswerError(Exception):
    """A load was answered with something else than it is there to measure; its figures would mean nothing."""


class Bench:
    """Puts loads on running proxies and says what they cost. Mutable state: how many runs there were.

    Every run has identities of its own, but for duplicates.
    """

    def __init__(self, generator: Generator, seconds: float, directory: Path) -> None:
        self._generator = generator
        self._seconds = seconds
        self._text = directory / "request"
        self._runs = 0

    def warm_up(self, scenario: Scenario, running: Running, connections: int) -> None:
        """Send some requests once each, and see that every answer is right; WrongAnswerError when one is not.

        Creates what duplicates repeat before that.
        """
        self._runs += 1
        self._text.write_bytes(scenario.text(self._series(scenario)))
        if scenario.repeated:
            once_each(running.port, self._text, scenario.repeated, connections)
        count = scenario.repeated or WARM_UP
        load = once_each(running.port, self._text, count, connections)
        if load.statuses != {scenario.expected: count}:
            found = ", ".join(f"{count} x {status}" for status, count in sorted((load.statuses or {}).items()))
            raise WrongAnswerError(
                f"{running.name}, {scenario.name}: every answer should have been {scenario.expected}; there were"
                f" {found or 'none'} and {load.errors} connections that broke"
            )

    def run(
        self, scenario: Scenario, running: Running, connections: int, proxy: Proxy | None = None
    ) -> tuple[float, Load]:
        """Return the microseconds of CPU a request and the load of one run; WrongAnswerError when answers are wrong.

        `proxy` is what runs, where it may have a load of its own.
        """
        self._runs += 1
        before = running.cpu()
        if proxy is not None and proxy.load is not None:
            load = proxy.load(running.port, connections, self._seconds)
            return (running.cpu() - before) / load.requests * 1e6, load
        self._text.write_bytes(scenario.text(self._series(scenario)))
        load = self._generator(running.port, self._text, scenario.repeated or MANY, connections, self._seconds)
        cpu = running.cpu() - before
        if load.requests == 0 or load.errors or load.refused != (load.requests if scenario.expected >= 400 else 0):
            raise WrongAnswerError(
                f"{running.name}, {scenario.name}: every answer should have been {scenario.expected}; of"
                f" {load.requests} {load.refused} had a status of 400 or above, and there were {load.errors} errors"
            )
        return cpu / load.requests * 1e6, load

    def _series(self, scenario: Scenario) -> str:
        return scenario.slug if scenario.repeated else f"run-{self._runs}"


@contextlib.contextmanager
def recording(py_spy: str, running: Running, file: Path, form: str) -> Iterator[None]:
    """Record with py-spy what a process does meanwhile into `file`."""
    command = [py_spy, "record", "-p", str(running.pid), "-r", "500", "-f", form, "-o", str(file)]
    recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert recorder.stdout is not None
    recorder.stdout.readline()  # it says that it samples, or ends
    try:
        yield
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.communicate()
