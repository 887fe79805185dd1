# Counts of lengths of time, by bucket: cheap enough for each request and each commit. Pure.

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

ANSWERS = (5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0)
"""The bounds for requests and answers in milliseconds, which OpenTelemetry advises for HTTP."""
COMMITS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
"""Those for commits, which are quicker."""


class Histogram:
    """Mutable state: how many were in each bucket, the last of which has no bound; and their sum in milliseconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = ANSWERS) -> None:
        """`bounds` are the highest values of the buckets, in milliseconds."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"Histogram({sum(self.counts)} of {self.total:.0f} ms)"

    def observe(self, milliseconds: float) -> None:
        """Count one length of time."""
        self.counts[bisect_left(self.bounds, milliseconds)] += 1
        self.total += milliseconds

    def observe_all(self, milliseconds: list[float]) -> None:
        """Count many at once, at a fraction of the cost. Empties the list."""
        milliseconds.sort()
        self.total += sum(milliseconds)
        below = 0
        for bucket, bound in enumerate(self.bounds):
            until = bisect_right(milliseconds, bound, below)
            self.counts[bucket] += until - below
            below = until
        self.counts[-1] += len(milliseconds) - below
        milliseconds.clear()


class Durations:
    """Histograms by rule ("" for none). Mutable state: these, and what they do not count yet.

    Counting many at once costs a fraction of counting each with its request.
    """

    __slots__ = ("_histograms", "new")

    def __init__(self) -> None:
        self._histograms: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.new: defaultdict[str, list[float]] = defaultdict(list)
        """Milliseconds, to be counted soon: each takes memory until then."""

    def __repr__(self) -> str:
        return f"Durations({self._histograms!r})"

    def count(self) -> Mapping[str, Histogram]:
        """Count what is new, and return all of it."""
        for rule, milliseconds in self.new.items():
            self._histograms[rule].observe_all(milliseconds)
        return self._histograms
