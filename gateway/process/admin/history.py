# What became of guarded creates in each minute of the last hour. Pure: times are passed in.

from collections import deque
from collections.abc import Callable

import msgspec

from gateway.telemetry import Telemetry

MINUTES = 59
"""How many are kept beside the one under way."""
_MINUTE = 60_000
_BESIDE_DUPLICATES = frozenset({"replayed", "outcome-unknown"})
"""What retries get whose outcome is not one of a duplicate."""
_DUPLICATES = frozenset({"duplicate", "in-progress", "accepted", "redirected", "upserted", "exists", "key-reused"})
_UNKNOWN = frozenset({"failed", "unknown", "outcome-unknown"})


class Totals(msgspec.Struct, frozen=True):
    """Guarded creates, by what became of them."""

    created: int = 0
    duplicates: int = 0
    """Those that met another one, or that the API says exist."""
    retries: int = 0
    """Those of the same caller, told from duplicates."""
    unknown: int = 0
    """Those whose outcome is unknown, and those stopped because that of another one is."""


class Minute(Totals, frozen=True):
    """The creates of one minute."""

    at: int = 0
    """When it began, in milliseconds since the epoch."""


def totals(telemetry: Telemetry) -> Totals:
    """Add up what was counted since the start, each create once: one that a retry is told of is no duplicate."""
    created = duplicates = retries = unknown = 0
    for (_, how), count in telemetry.retries.items():
        retries += count
        if how not in _BESIDE_DUPLICATES:
            duplicates -= count
    for (rule, outcome), count in telemetry.requests.items():
        if not rule:
            continue
        if outcome == "created":
            created += count
        elif outcome in _DUPLICATES:
            duplicates += count
        elif outcome in _UNKNOWN:
            unknown += count
    return Totals(created, duplicates, retries, unknown)


class History:
    """Mutable state: the minutes that are over; the one under way, and what was counted when it began."""

    def __init__(self, count: Callable[[], Totals], now: int) -> None:
        """`count` says what was counted since the start; `now` in milliseconds since the epoch."""
        self._count = count
        self._before = count()
        self._began = now - now % _MINUTE
        self.minutes: deque[Minute] = deque(maxlen=MINUTES)
        """The oldest first."""

    def __repr__(self) -> str:
        return f"History({len(self.minutes)} minutes)"

    def now(self, now: int) -> Minute:
        """The minute under way; those before it that have ended are kept. Call this once a minute at least.

        A clock that is put back has the minute go on.
        """
        counted = self._count()
        minute = self._minute(counted)
        if now < self._began + _MINUTE:
            return minute
        self.minutes.append(minute)
        self._before, self._began = counted, now - now % _MINUTE
        return Minute(at=self._began)

    def _minute(self, counted: Totals) -> Minute:
        before = self._before
        return Minute(
            created=counted.created - before.created,
            duplicates=max(0, counted.duplicates - before.duplicates),  # a retry may be counted before its request
            retries=counted.retries - before.retries,
            unknown=counted.unknown - before.unknown,
            at=self._began,
        )
