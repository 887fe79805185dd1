# What GET /metrics says: what telemetry has counted, and how the store, the upstreams and the process are right now.
# Labels come from the rules file; the values of other labels are a fixed set.

import asyncio
import itertools
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway import __version__
from gateway.errors import StoreError
from gateway.histogram import ANSWERS, Histogram
from gateway.model import Overview, State
from gateway.process.admin.exposition import PART, expose
from gateway.process.assembly import Assembly, wall_clock
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.tls.certificates import CertificateFile

OVERVIEW_TIMEOUT = 1.0
"""Seconds that the store may take to count its claims; then the other metrics are answered without."""
_HISTOGRAM_PART = PART // (len(ANSWERS) + 3)

_Sample = tuple[tuple[str, ...], float]
_Counted = tuple[tuple[str, ...], Histogram]
T = TypeVar("T")


class Sources(msgspec.Struct, frozen=True):
    """Where metrics come from."""

    telemetry: Telemetry
    store: Store
    assembly: Assembly
    problems: Callable[[], Sequence[str]]
    """Why the rules file as it was read last is not in force; empty when it is."""
    certificates: Callable[[], Sequence[CertificateFile]]
    """Those of the listener."""


class Metrics:
    """Answers scrapes."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __repr__(self) -> str:
        return "Metrics()"

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Write all metrics as an Accept header prefers it; gives the text and its media type. Never raises."""
        registry = CollectorRegistry()
        registry.register(_Scrape(self._sources, await self._overview()))
        ProcessCollector(registry=registry)
        return await expose(registry, accept)

    async def _overview(self) -> Overview | None:
        try:
            async with asyncio.timeout(OVERVIEW_TIMEOUT):
                return await self._sources.store.overview(wall_clock())
        except (StoreError, TimeoutError):
            return None


class _Scrape(Collector):
    """One answer. A metric with many samples comes in parts, see `expose`."""

    def __init__(self, sources: Sources, overview: Overview | None) -> None:
        self._sources = sources
        self._overview = overview

    @override
    def collect(self) -> Iterator[Metric]:
        info = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("gateway_build", "The program.", info)
        yield from self._requests()
        yield from self._claims()
        yield from self._store()
        yield from self._process()

    def _requests(self) -> Iterator[Metric]:
        told = self._sources.telemetry
        yield from _counter("requests", "Requests by rule and outcome.", ("rule", "outcome"), told.requests.items())
        text = "How long requests took, to the end of the answer; upgraded connections are not counted."
        yield from _histogram("request_duration", text, ("rule",), _by_rule(told.durations))
        text = "How long the API took to the head of its answer, connecting included."
        yield from _histogram("upstream_duration", text, ("rule",), _by_rule(told.upstream_durations))
        text = "Creates that were not let through because a claim is held, by the entry and what was met."
        yield from _counter("conflicts", text, ("rule", "entry", "kind"), told.conflicts.items())
        text = "Creates that were told to be retries, by what they got."
        yield from _counter("retries", text, ("rule", "how"), told.retries.items())
        text = "Creates of rules in shadow that these would have treated otherwise, by what would have become of them."
        yield from _counter("shadow", text, ("rule", "entry", "would"), told.shadowed.items())
        text = "Duplicates that were forwarded because their callers wanted it so."
        yield from _counter("overridden", text, ("rule", "entry"), told.overridden.items())
        events = [((name,), count) for name, count in told.events.items()]
        yield from _counter("events", "What happened besides requests.", ("event",), events)
        text = "Unknown outcomes found out, or not."
        yield from _counter("verify", text, ("rule", "verdict"), told.verdicts.items())

    def _claims(self) -> Iterator[Metric]:
        """What the store says; nothing when it does not answer."""
        yield _gauge("store_up", "Whether the store has answered this scrape.", self._overview is not None)
        overview = self._overview
        if overview is None:
            return
        rules = [rule.name for rule in self._sources.assembly.config.rules]
        counts = dict.fromkeys(itertools.product(rules, State), 0) | dict(overview.claims)
        claims = [((rule, state.name.lower()), count) for (rule, state), count in counts.items()]
        yield from _gauges("claims", "Claims in the store by rule and state.", ("rule", "state"), claims)
        now = wall_clock()
        ages = dict.fromkeys(rules, 0.0)
        others = {rule.name for rule in self._sources.assembly.config.rules if rule.mode != "enforce"}
        blocks = {rule: seen for rule, seen in overview.oldest_unknown.items() if rule not in others}
        ages |= {rule: max(0, now - seen) / 1000 for rule, seen in blocks.items()}
        text = "Age of the oldest claim of unknown outcome that blocks creates; 0 when there is none."
        yield from _gauges("unknown_oldest_seconds", text, ("rule",), [((rule,), age) for rule, age in ages.items()])
        if overview.size is not None:
            yield _gauge("store_bytes", "Bytes that the store takes.", overview.size)

    def _store(self) -> Iterator[Metric]:
        store = self._sources.store
        if (commits := store.commits) is not None:
            text = "How long batches of reservations and settlements took, also those that failed."
            yield from _histogram("store_commit", text, (), [((), commits)])
        yield _gauge("store_queue", "Calls that wait for the store.", store.waiting)

    def _process(self) -> Iterator[Metric]:
        sources = self._sources
        assembly, upstreams = sources.assembly, sources.assembly.upstreams
        open_ = [(("client",), len(assembly.front.admitted)), (("upstream",), upstreams.open_connections)]
        yield from _gauges("open_connections", "Connections that are open.", ("side",), open_)
        up = [((name, url), is_up) for name, url, is_up in upstreams.health()]
        text = "Whether the API could be reached when it was last tried."
        yield from _gauges("upstream_up", text, ("upstream", "url"), up)
        yield _gauge("spooled_bytes", "Bodies in files.", sources.telemetry.spooled())
        text = "Whether the rules file as it was read last is in force."
        yield _gauge("config_last_reload_successful", text, not sources.problems())
        text = "When a rules file was applied last."
        yield _gauge("config_last_reload_success_timestamp_seconds", text, assembly.applied_at)
        files = [*sources.certificates(), *upstreams.certificates]
        ends = [((file.setting, file.path), file.not_after) for file in files]
        text = "When a certificate in use expires."
        yield from _gauges("tls_not_after_timestamp_seconds", text, ("setting", "path"), ends)
        text = "By how much the event loop was late at most, in the last 15 to 30 s."
        yield _gauge("loop_lag_seconds", text, sources.telemetry.loop_lag)


def _counter(name: str, text: str, labels: Sequence[str], samples: Iterable[_Sample]) -> Iterator[Metric]:
    for part in _parts(sorted(samples), PART):
        metric = CounterMetricFamily(f"gateway_{name}", text, labels=labels)
        for values, count in part:
            metric.add_metric(values, count)
        yield metric


def _gauges(name: str, text: str, labels: Sequence[str], samples: Iterable[_Sample]) -> Iterator[Metric]:
    for part in _parts(sorted(samples), PART):
        metric = GaugeMetricFamily(f"gateway_{name}", text, labels=labels, unit=_unit(name))
        for values, value in part:
            metric.add_metric(values, value)
        yield metric


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gateway_{name}", text, value=value, unit=_unit(name))


def _histogram(name: str, text: str, labels: Sequence[str], samples: Sequence[_Counted]) -> Iterator[Metric]:
    for part in _parts(samples, _HISTOGRAM_PART):
        metric = HistogramMetricFamily(f"gateway_{name}_seconds", text, labels=labels, unit="seconds")
        for values, counted in part:
            limits = [*(str(bound / 1000) for bound in counted.bounds), "+Inf"]
            buckets = list(zip(limits, itertools.accumulate(counted.counts), strict=True))
            metric.add_metric(values, buckets, counted.total / 1000)
        yield metric


def _by_rule(histograms: Mapping[str, Histogram]) -> list[_Counted]:
    return [((rule,), histograms[rule]) for rule in sorted(histograms)]


def _parts(samples: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split samples; one empty part where there are none yet: the metric has a type all the same."""
    for at in range(0, max(len(samples), 1), size):
        yield samples[at : at + size]


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")
