# A body on its way from a connection to whoever reads it: bounded, at the pace of the reader. Either direction.

import asyncio
from typing import Protocol

from gateway.transport.budget import Budget

HIGH_WATER = 256 * 1024
"""Bytes that wait for a slow reader before the sender is held back."""


class Source(Protocol):
    """The connection that a body comes over."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read again."""

    def abort_body(self, *, timed_out: bool) -> None:
        """End the exchange now: what is still to come is not wanted, or did not come in time."""


class Stream:
    """A body that is still coming. Each message has its own, so that a connection may go on while this one is read.

    Mutable state: pieces that wait; whether all have come (`_source` is None then) or it broke off; who waits for more.
    """

    __slots__ = ("_broken", "_budget", "_error", "_held", "_idle_timeout", "_pieces", "_size", "_source", "_waiting")

    def __init__(
        self, source: Source, idle_timeout: float, error: type[Exception], budget: Budget | None = None
    ) -> None:
        """`idle_timeout` in seconds; `error` is what a body that breaks off is told by.

        What waits counts in `budget`; when that is used up, the sender is held back until what waits was read.
        """
        self._source: Source | None = source
        self._idle_timeout = idle_timeout
        self._error = error
        self._budget = budget
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._broken = False
        self._waiting: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "broken" if self._broken else "whole" if self._source is None else "coming"
        return f"Stream({state}, {self._size} bytes wait)"

    # What the connection tells

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._pieces.append(data)
        self._size += len(data)
        used_up = False
        if self._budget is not None:
            self._budget.used += len(data)
            used_up = self._budget.is_used_up
        if (self._size > HIGH_WATER or used_up) and not self._held and self._source is not None:
            self._held = True
            self._source.pause_reading()
        wake(self._waiting)

    def end(self, *, broken: bool) -> None:
        """Nothing more comes. What waits here can still be read; the connection need not wait for that."""
        if self._source is None:
            return
        if self._held:
            self._source.resume_reading()
        self._source = None
        self._broken = broken
        wake(self._waiting)

    # What the reader asks

    @property
    def is_whole(self) -> bool:
        """Whether nothing more comes, and nothing is missing."""
        return self._source is None and not self._broken

    @property
    def buffered(self) -> int:
        """How many bytes have come and were not read yet."""
        return self._size

    async def read(self) -> bytes:
        """Wait for the next piece; empty at the end. Raises the error of a body that broke off."""
        while not self._pieces:
            if self._source is None:
                if self._broken:
                    raise self._error
                return b""
            await self._wait(self._source)
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.forget()
        if self._held and self._source is not None:
            self._held = False
            self._source.resume_reading()
        return data

    def abandon(self) -> None:
        """Give up on what has not come yet."""
        if self._source is not None:
            self._source.abort_body(timed_out=False)

    def forget(self) -> None:
        """Drop what waits."""
        if self._budget is not None:
            self._budget.used -= self._size
        self._pieces.clear()
        self._size = 0

    async def _wait(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(self._idle_timeout, lambda: source.abort_body(timed_out=True))
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None


def wake(waiter: "asyncio.Future[None] | None") -> None:
    """Let whoever waits go on, if anybody does."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
