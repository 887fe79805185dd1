# Metrics in the text that a scraper asks for: Prometheus's or OpenMetrics. Written part by part, so that requests are
# not held up however many rules there are.

import asyncio
import re
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from typing_extensions import override

PART = 250
"""Samples that are written at once: about a millisecond."""
_OPENMETRICS = "application/openmetrics-text"
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
_VERSIONS = {"", "1.0.0"}
"""Those of OpenMetrics that can be written; a scraper that names none takes any."""


class _One(Collector):
    """A registry of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    @override
    def collect(self) -> Iterable[Metric]:
        return [self._metric]


async def expose(registry: Collector, accept: str) -> tuple[bytes, str]:
    """Write what a registry collects, as an Accept header prefers it; gives the text and its media type.

    A metric that comes in several parts, one after the other, is written as one.
    """
    is_open = prefers_openmetrics(accept)
    written = []
    before = ""
    for metric in registry.collect():
        if is_open:
            text = openmetrics.generate_latest(_One(metric), openmetrics.ALLOWUTF8)  # type: ignore[no-untyped-call]
        else:
            text = generate_latest(_One(metric), openmetrics.ALLOWUTF8)
        lines = text.splitlines(keepends=True)
        # Only headers, and the end of OpenMetrics, begin with "#".
        skips = b"#" if metric.name == before else b"# EOF"
        written += [line for line in lines if not line.startswith(skips)]
        before = metric.name
        await asyncio.sleep(0)
    if is_open:
        written.append(b"# EOF\n")
    return b"".join(written), openmetrics.CONTENT_TYPE_LATEST if is_open else CONTENT_TYPE_PLAIN_0_0_4


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept value (RFC 9110 12.5.1) names OpenMetrics, and does not set plain text above it."""
    weights = {_OPENMETRICS: 0.0, "text/plain": 0.0}
    for member in accept.lower().split(","):
        kind, *rest = [part.strip() for part in member.split(";")]
        parameters = {name: value.strip('"') for name, _, value in (each.partition("=") for each in rest)}
        quality = parameters.get("q", "1")
        if kind not in weights or not _QUALITY.fullmatch(quality):
            continue
        if kind == _OPENMETRICS and parameters.get("version", "") not in _VERSIONS:
            continue
        weights[kind] = max(weights[kind], float(quality))
    return 0 < weights[_OPENMETRICS] >= weights["text/plain"]
