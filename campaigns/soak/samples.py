# The samples that the soak test takes every few seconds, and the check for growth: the first third against the last.

import asyncio
import bisect
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Running
from campaigns.memory import resident
from campaigns.soak.api import Api
from campaigns.soak.traffic import Traffic
from tests.support.client import Client
from tests.support.scrape import read_scrape

TIMED = ("create", "duplicate", "passed", "straight")
"""The kinds of which it is said how long they took."""
_MIB = 2**20


@dataclass(frozen=True)
class Limit:
    """By how much a series may be higher in the last third than in the first, and why by so much."""

    series: str
    unit: str
    share: float
    slack: float
    """In the unit, on top of the share."""
    why: str
    yardstick: str | None = None
    """Of a latency: what it is held against. A machine that became slower is no fault of the gateway."""


_BESIDE = "the other work of the machine"
LIMITS = (
    Limit("memory", "MiB", 0.02, 4, "bursts of bodies; in half an hour, 15 bytes lost with each request show"),
    Limit("descriptors", "", 0.1, 5, "connections come and go with requests, by chance"),
    Limit("threads", "", 0, 0, "none may be added"),
    Limit("store", "MiB", 0.05, 1, "free pages are used again, but not each at once"),
    Limit("log ahead", "MiB", 0.05, 1, "a turn that is larger than any before"),
    Limit("claims", "", 0.1, 0, "they come and expire by chance"),
    *(Limit(f"{kind} p50", "ms", 0.25, 0.3, _BESIDE, "straight p50") for kind in TIMED[:3]),
    *(Limit(f"{kind} p99", "ms", 0.5, 3, _BESIDE, "straight p99") for kind in TIMED[:3]),
)
"""Nothing may grow with time. What may differ is named."""


@dataclass
class Flat:
    """A series, judged."""

    limit: Limit
    first: float
    """What is usual in the first third after the warm-up: the median; of a latency, the better quarter."""
    last: float
    most: float
    """What the last third might have been."""

    @property
    def holds(self) -> bool:
        """Whether it stayed flat."""
        return self.last <= self.most


class Sampler:
    """Takes samples. Mutable state: the series, and what was counted when the last sample was taken."""

    def __init__(self, running: Running, admin_port: int, store: Path, api: Api, traffic: Traffic) -> None:
        self.series: dict[str, list[float]] = {"seconds": []}
        self.not_ready: list[str] = []
        self.events: Counter[str] = Counter()
        self._running, self._admin_port, self._store = running, admin_port, store
        self._api, self._traffic = api, traffic
        self._begun = self._at = time.monotonic()
        self._counted: dict[str, float] = {}
        self._stalls = 0

    async def take_until(self, until: float, every: float) -> None:
        """Take samples at even times until a point of monotonic time."""
        await self._look()
        self._rates(1)
        while self._at + every <= until:
            due = self._at + every
            await asyncio.sleep(max(0, due - time.monotonic()))
            await self._sample()

    async def _sample(self) -> None:
        now = time.monotonic()
        passed, self._at = now - self._at, now
        await self._look()
        process = Path(f"/proc/{self._running.pid}")
        taken = {
            "seconds": now - self._begun,
            "memory": resident(self._running.pid) / _MIB,
            "descriptors": sum(1 for _ in (process / "fd").iterdir()),
            "threads": sum(1 for _ in (process / "task").iterdir()),
            "store": _size(self._store) / _MIB,
            "log ahead": _size(Path(f"{self._store}-wal")) / _MIB,
            "claims": self._api.held(),
            "stalls": self.events["loop-stalled"] - self._stalls,
            **self._rates(passed),
        }
        self._stalls = self.events["loop-stalled"]
        for kind in TIMED:
            ranked = sorted(self._traffic.latencies.pop(kind, [])) or [0.0]
            taken[f"{kind} p50"] = ranked[len(ranked) // 2] * 1000
            taken[f"{kind} p99"] = ranked[len(ranked) * 99 // 100] * 1000
        for name, value in taken.items():
            self.series.setdefault(name, []).append(round(value, 3))

    def _rates(self, passed: float) -> dict[str, float]:
        """What was counted since the last time, a second."""
        counts = {
            "cpu": self._running.cpu() * 100,
            "own cpu": time.process_time() * 100,
            "operations": self._traffic.answered.total(),
            "forwarded": self._api.answered,
        }
        rates = {name: (count - self._counted.get(name, 0)) / passed for name, count in counts.items()}
        self._counted = {name: float(count) for name, count in counts.items()}
        return rates

    async def _look(self) -> None:
        """Ask the gateway whether it is ready, and what has happened."""
        try:
            async with Client(self._admin_port) as client:
                ready = await client.request("GET", "/readyz")
                metrics = await client.request("GET", "/metrics")
        except (OSError, AssertionError) as error:
            self.not_ready.append(repr(error))
            return
        if ready.status != 200:
            self.not_ready.append(f"{ready.status} {ready.body.decode()}")
        events = read_scrape(metrics).of("gateway_events_total", "event")
        self.events = Counter({name: int(count) for name, count in events.items()})


def judged(series: dict[str, list[float]], warm_up: float) -> list[Flat]:
    """Hold the last third of each series against its first, of what comes after so many seconds."""
    skipped = bisect.bisect(series["seconds"][:-1], warm_up)
    after_warm_up = {name: values[skipped:] for name, values in series.items()}
    found = []
    for limit in LIMITS:
        part = 0.5 if limit.yardstick is None else 0.25
        first, last = _usual(after_warm_up[limit.series], part)
        slower = 1.0
        if limit.yardstick is not None:
            before, after = _usual(after_warm_up[limit.yardstick], part)
            slower = max(1.0, after / max(before, 0.001))
        found.append(Flat(limit, first, last, first * (1 + limit.share) * slower + limit.slack))
    return found


def _usual(values: list[float], part: float) -> tuple[float, float]:
    """What a part of the samples does not exceed, in the first third and in the last."""
    third = max(1, len(values) // 3)
    first, last = sorted(values[:third]), sorted(values[-third:])
    return first[int(third * part)], last[int(third * part)]


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
