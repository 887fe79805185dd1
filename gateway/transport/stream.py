# A body between a connection and its reader: a bounded buffer with backpressure. Used in both directions.

import asyncio
from typing import Protocol

from gateway.transport.budget import Budget

HIGH_WATER = 64 * 1024
"""Bytes that are buffered for a slow reader before reading from the connection is paused."""


class Source(Protocol):
    """The connection that a body is read from."""

    __slots__ = ()

    def pause_reading(self) -> None:
        """Stop reading for now."""

    def resume_reading(self) -> None:
        """Continue reading."""

    def abort_body(self, *, timed_out: bool) -> None:
        """Abort the exchange: the rest of the body is not wanted, or did not arrive in time."""


class Stream:
    """A body that is still arriving. Each message has its own, so that the connection can continue while it is read.

    Mutable state: the buffered pieces; whether the body has ended (`_source` is None then) or is broken; whether
    reading is paused; the future of a waiting reader.
    """

    __slots__ = ("_broken", "_budget", "_error", "_idle_timeout", "_paused", "_pieces", "_size", "_source", "_waiter")

    def __init__(
        self, source: Source, idle_timeout: float, error: type[Exception], budget: Budget | None = None
    ) -> None:
        """`idle_timeout` in seconds; `error` is raised to the reader of a broken body.

        Buffered bytes count in `budget`; when that is used up, reading pauses after each piece. Reading goes on when
        the next piece is asked for, not before: a reader that waits for its own peer holds one piece, not two.
        """
        self._source: Source | None = source
        self._idle_timeout = idle_timeout
        self._error = error
        self._budget = budget
        self._pieces: list[bytes] = []
        self._size = 0
        self._paused = False
        self._broken = False
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "broken" if self._broken else "complete" if self._source is None else "open"
        return f"Stream({state}, {self._size} bytes buffered)"

    def __del__(self) -> None:
        self.forget()  # its reader may have been cancelled

    # Called by the connection

    def feed(self, data: bytes) -> None:
        """Add the next piece."""
        self._pieces.append(data)
        self._size += len(data)
        used_up = False
        if self._budget is not None:
            self._budget.used += len(data)
            used_up = self._budget.is_used_up
        if (self._size > HIGH_WATER or used_up) and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause_reading()
        wake(self._waiter)

    def end(self, *, broken: bool) -> None:
        """End the body. Buffered pieces can still be read; the connection need not wait for that."""
        if self._source is None:
            return
        if self._paused:
            self._source.resume_reading()
        self._source = None
        self._broken = broken
        wake(self._waiter)

    # Called by the reader

    @property
    def is_whole(self) -> bool:
        """Whether the body has ended without an error."""
        return self._source is None and not self._broken

    @property
    def buffered(self) -> int:
        """How many bytes have arrived and were not read yet."""
        return self._size

    async def read(self) -> bytes:
        """Wait for the next piece; empty at the end. Raises `error` when the body is broken."""
        while not self._pieces:
            if self._source is None:
                if self._broken:
                    raise self._error
                return b""
            if self._paused:
                self._paused = False
                self._source.resume_reading()
            await self._wait(self._source)
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.forget()
        return data

    def abandon(self) -> None:
        """Abort the exchange: the rest of the body is not wanted."""
        if self._source is not None:
            self._source.abort_body(timed_out=False)
        self.forget()

    def forget(self) -> None:
        """Discard the buffered pieces."""
        if self._budget is not None:
            self._budget.used -= self._size
        self._pieces.clear()
        self._size = 0

    async def _wait(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(self._idle_timeout, lambda: source.abort_body(timed_out=True))
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


def wake(waiter: "asyncio.Future[None] | None") -> None:
    """Complete the future of a waiting task, if there is one."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
