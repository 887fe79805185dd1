# A timer that is moved often and fires rarely: moving it is cheap.

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `due` when a point in time has passed. Mutable state: that time, and the underlying timer of the loop."""

    __slots__ = ("_at", "_due", "_fires_at", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], None]) -> None:
        self._loop = loop
        self._due = due
        self._at = math.inf
        self._fires_at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Deadline(at={self._at})"

    def set(self, seconds: float) -> None:
        """Make it due in so many seconds, replacing the earlier deadline."""
        self._at = self._loop.time() + seconds
        if self._at < self._fires_at:
            self._arm()

    def close(self) -> None:
        """Cancel the timer for good: later calls of `set` have no effect. The callback is released."""
        self._due = _nothing
        self._at = math.inf
        self._fires_at = -math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at = self._at
        self._handle = self._loop.call_at(self._at, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._fires_at = math.inf
        if self._loop.time() >= self._at:
            self._at = math.inf
            self._due()
        elif self._at < math.inf:
            self._arm()


def _nothing() -> None:
    """Is due after the end."""
