# Which of the gateways that share a server have stopped.
#
# No clock of another machine is believed. A gateway counts while it lives; one whose count has not changed for a while,
# by the clock of whoever looks, has stopped, or cannot reach the server.

import time
from collections.abc import Iterator, Mapping

KEPT_STOPPED = 3600.0
"""Seconds after which nothing is left of a stopped gateway. Until then what it has in flight is looked after, again and
again: it may have been only paused, reserve something, and stop."""


def system_clock() -> int:
    """Milliseconds since the epoch. What a stopped gateway left is unknown since then."""
    return round(time.time() * 1000)


class Nodes:
    """Mutable state: of each other gateway its count, and when that was seen to change; when all were seen last."""

    def __init__(self, node: bytes, timeout: float) -> None:
        """`node` is this one; `timeout` in seconds."""
        self._node = node
        self._timeout = timeout
        self._seen: dict[bytes, tuple[int, float]] = {}
        self._looked = 0.0

    def __repr__(self) -> str:
        return f"Nodes({len(self._seen)} others)"

    def stopped(self, counts: Mapping[bytes, int]) -> Iterator[tuple[bytes, int, float]]:
        """Those that have stopped, each with its count, and for how many seconds it has not changed."""
        now = time.monotonic()
        if now - self._looked > self._timeout / 2:
            self._seen.clear()  # this one could not count either: perhaps none could reach the server
        self._looked = now
        for node in [*self._seen]:
            if node not in counts:
                del self._seen[node]
        for node, count in counts.items():
            if node == self._node:
                continue
            seen = self._seen.get(node)
            if seen is None or seen[0] != count:
                self._seen[node] = (count, now)
            elif now - seen[1] >= self._timeout:
                yield node, count, now - seen[1]
