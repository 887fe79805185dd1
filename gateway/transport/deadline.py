# A timer that is moved often and fires seldom: moving it costs next to nothing.

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `due` when a point in time has passed. Mutable state: that point, and the loop's timer behind it."""

    __slots__ = ("_at", "_due", "_handle", "_loop", "_rings_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], None]) -> None:
        self._loop = loop
        self._due = due
        self._at = math.inf
        self._rings_at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Deadline(at={self._at})"

    def set(self, seconds: float) -> None:
        """Let it be due in so many seconds, and not before."""
        self._at = self._loop.time() + seconds
        if self._at < self._rings_at:
            self._arm()

    def close(self) -> None:
        """Let go of the loop's timer, for good: nothing is due any more, whatever is set later."""
        self._at = math.inf
        self._rings_at = -math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._rings_at = self._at
        self._handle = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._rings_at = math.inf
        if self._loop.time() >= self._at:
            self._at = math.inf
            self._due()
        elif self._at < math.inf:
            self._arm()
