# The rest of an answer's body, on its way from a connection to whoever reads it. Outlives the connection's use for it.

import asyncio
from typing import Protocol

from gateway.upstream.results import AnswerBroken

HIGH_WATER = 256 * 1024
"""Bytes that wait for a slow client before the API is held back."""


class Source(Protocol):
    """The connection that a body comes over."""

    def hold(self) -> None:
        """Read no more for now."""

    def go_on(self) -> None:
        """Read again."""

    def break_off(self, *, timed_out: bool) -> None:
        """End the exchange now."""


class AnswerBody:
    """See Rest. Each answer has its own, so that a connection may serve the next request while this one is still read.

    Mutable state: pieces that wait; whether all have come (`_source` is None then) or it broke off; who waits for more.
    """

    def __init__(self, source: Source, idle_timeout: float) -> None:
        self._source: Source | None = source
        self._idle_timeout = idle_timeout
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._broken = False
        self._waiting: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "broken" if self._broken else "whole" if self._source is None else "coming"
        return f"AnswerBody({state}, {self._size} bytes wait)"

    # What the connection tells

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._held and self._source is not None:
            self._held = True
            self._source.hold()

    def wake(self) -> None:
        """Let the reader have what has come."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self, *, broken: bool) -> None:
        """Nothing more comes. What waits here can still be read; the connection need not wait for that."""
        if self._held and self._source is not None:
            self._source.go_on()
        self._source = None
        self._broken = broken
        self.wake()

    # What the reader asks

    async def read(self) -> bytes:
        """See Rest."""
        while not self._pieces:
            if self._source is None:
                if self._broken:
                    raise AnswerBroken
                return b""
            await self._wait(self._source)
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._held and self._source is not None:
            self._held = False
            self._source.go_on()
        return data

    def abandon(self) -> None:
        """See Rest."""
        if self._source is not None:
            self._source.break_off(timed_out=False)

    async def _wait(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(self._idle_timeout, lambda: source.break_off(timed_out=True))
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None
