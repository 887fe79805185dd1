# The report of the overload campaign: the table and the checks. Starts no processes.

from collections import Counter

import msgspec

from campaigns.overload.figures import WINDOW, Offered
from campaigns.overload.load import DUPLICATE, GET

FEW = 64
"""Connections over which the sustainable rate is found."""
MAX_BUFFERED = 16 * 2**20
PER_CONNECTION = 32 * 2**10
"""Bytes that a client's connection may cost, its request under way and the connection to the API included."""
SPARE = 32 * 2**20
"""Bytes for the store's cache and what waits for it, and for what the allocator keeps."""
RECOVERED_WITHIN = 5.0
GUARDED = {201, 409, 503}
"""The statuses with which a create may be answered."""
PASSED = {200}


class Seen(msgspec.Struct):
    """What was measured. Memory in bytes."""

    connections: int
    few: Offered
    """The load that found the sustainable rate."""
    light: Offered
    heavy: Offered
    base: int
    """Resident before the connections came."""
    peak: int
    most_files: int
    is_alive: bool
    """Whether the gateway still ran in the end, and had answered everything itself."""
    events: dict[str, int]
    """The events in the gateway's log meanwhile."""

    @property
    def sustainable(self) -> float:
        """Requests a second."""
        return rate(self.few)

    @property
    def bound(self) -> int:
        """Bytes that the gateway may have at most."""
        return self.base + self.connections * PER_CONNECTION + MAX_BUFFERED + SPARE

    @property
    def usual(self) -> float:
        """The p99 of the light load before, in milliseconds: that of its worst window."""
        return max(window.p99 for window in self.light.windows if window.at + WINDOW < self.heavy.began)

    @property
    def well(self) -> float:
        """The p99 in milliseconds from which on all is as it was."""
        return max(2 * self.usual, self.usual + 10)

    @property
    def recovered_after(self) -> float:
        """Seconds from the end of the overload to the end of the first window in which all is as it was."""
        after = (window for window in self.light.windows if window.at >= self.heavy.ended)
        ends = (window.at + WINDOW for window in after if window.p99 <= self.well)
        return next(ends, float("inf")) - self.heavy.ended


def rate(load: Offered) -> float:
    """Answers a second."""
    return sum(sum(came.statuses.values()) for came in load.kinds.values()) / (load.ended - load.began)


def table(seen: Seen) -> list[str]:
    """Lines that a person can read."""
    heavy, length = seen.heavy, seen.heavy.ended - seen.heavy.began
    lines = [
        f"sustainable: {seen.sustainable:,.0f} requests a second over {FEW} connections",
        f"due: {heavy.due / length:,.0f} a second for {length:.0f} s over {seen.connections:,} connections",
        f"sent: {heavy.sent / length:,.0f} a second; the others found every connection waiting for an answer",
        f"answered: {rate(heavy):,.0f} a second; {heavy.opened:,} connections opened; {seen.most_files:,} files open",
        f"{'':22} {'answers':34} {'lost':>5} {'p50, ms':>9} {'p99, ms':>9} {'longest':>9} {'503, p99':>9}",
    ]
    for name, offered in (("few", seen.few), ("heavy", heavy), ("light", seen.light)):
        for kind, came in offered.kinds.items():
            answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(came.statuses.items()))
            times = f"{came.p50:9.1f} {came.p99:9.1f} {came.longest:9.1f} {came.refused_p99:9.1f}"
            lines.append(f"{name + ', ' + kind:22} {answers:34} {came.lost:5} {times}")
    told = ", ".join(f"{count:,} x {event}" for event, count in seen.events.items())
    return [*lines, f"the gateway's log: {told}"]


def verdicts(seen: Seen) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    loads = (seen.few, seen.light, seen.heavy)
    creates: Counter[int] = Counter()
    passed: Counter[int] = Counter()
    for kind, came in ((kind, came) for load in loads for kind, came in load.kinds.items()):
        (passed if kind == GET else creates).update(came.statuses)
    again = sum(load.kinds[DUPLICATE].statuses.get(201, 0) for load in loads)
    broken = sum((Counter(load.broken) for load in loads), Counter[str]())
    crashes = seen.events.get("handler-failed", 0) + (not seen.is_alive)
    return [
        (f"{crashes} crashes", crashes == 0),
        (f"creates were answered {_said(creates)}", set(creates) <= GUARDED),
        (f"{again} of the duplicates were created again", again == 0),
        (f"what passes was answered {_said(passed)}", set(passed) <= PASSED),
        (f"lost, or without a connection: {_said(broken) or 'none'}", not broken),
        (_memory(seen), seen.peak <= seen.bound),
        (_recovery(seen), seen.recovered_after <= RECOVERED_WITHIN),
    ]


def _memory(seen: Seen) -> str:
    mib = 2**20
    parts = (
        f"{seen.base / mib:.0f} before",
        f"{seen.connections:,} x {PER_CONNECTION // 1024} KiB",
        f"{MAX_BUFFERED // mib} of bodies",
        f"{SPARE // mib} to spare",
    )
    return f"resident memory: {seen.peak / mib:.0f} MiB at most; bound {seen.bound / mib:.0f} MiB: {', '.join(parts)}"


def _recovery(seen: Seen) -> str:
    after = f"{seen.recovered_after:.1f} s after the overload"
    return f"{after} the light load's p99 was below {seen.well:.0f} ms again ({seen.usual:.1f} ms before)"


def _said(counts: "Counter[int] | Counter[str]") -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in counts.most_common())
