# Two connections glued together once both sides speak another protocol (RFC 9110 7.8): raw bytes, both ways, at the
# pace of the slower one.

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from gateway.transport.deadline import Deadline

HALF_OPEN = 60.0
"""Seconds for which nothing may come once one side has said that it sends nothing more."""


class TunnelEnd(msgspec.Struct, frozen=True):
    """One of the two connections to glue together. Its reading is paused."""

    transport: asyncio.Transport
    early: bytes
    """What has come from it already."""


async def tunnel(client: TunnelEnd, upstream: TunnelEnd, idle_timeout: float) -> None:
    """Carry bytes until either side ends, or nothing comes for `idle_timeout` seconds; closes both."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    ended: set[asyncio.Transport] = set()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    def end_one(transport: asyncio.Transport) -> None:
        ended.add(transport)
        alive()
        if len(ended) == 2:
            end()

    def alive() -> None:
        deadline.set(min(idle_timeout, HALF_OPEN) if ended else idle_timeout)

    deadline = Deadline(loop, end)
    events = _Events(alive, end_one, end)
    ends = [
        _End(client.transport, upstream.transport, events),
        _End(upstream.transport, client.transport, events),
    ]
    try:
        for each in ends:
            each.take_over()
        client.transport.write(upstream.early)
        upstream.transport.write(client.early)
        alive()
        for each in ends:
            each.start()
        await over
    finally:
        deadline.close()
        for each in ends:
            each.close(min(idle_timeout, HALF_OPEN))


class _Events(msgspec.Struct, frozen=True):
    """What the two connections report."""

    alive: Callable[[], None]
    """Bytes have come."""
    end_one: Callable[[asyncio.Transport], None]
    """One direction has ended."""
    end: Callable[[], None]
    """Both have."""


class _End(asyncio.Protocol):
    """One of the two connections."""

    def __init__(self, own: asyncio.Transport, other: asyncio.Transport, events: _Events) -> None:
        self._own = own
        self._other = other
        self._alive = events.alive
        self._end_one = events.end_one
        self._end = events.end

    def take_over(self) -> None:
        """Receive the transport's events from now on."""
        self._own.set_protocol(self)

    def start(self) -> None:
        """Read, unless the other side is behind already: it says so when it no longer is."""
        if self._own.is_closing():
            self._end()
        elif self._other.get_write_buffer_size() <= self._other.get_write_buffer_limits()[1]:
            self._own.resume_reading()

    def close(self, patience: float) -> None:
        """Close the connection once what was written has left; give its peer so many seconds to fetch it."""
        self._own.close()
        if self._own.get_write_buffer_size():
            asyncio.get_running_loop().call_later(patience, self._own.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Some event loops tell this anew."""
        self._own = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._alive()
        if not self._other.is_closing():
            self._other.write(data)

    def eof_received(self) -> bool:
        """Pass the end of one direction on, where that can be said; the other direction may go on."""
        if not self._other.can_write_eof() or self._other.is_closing():
            self._end()
            return False
        self._other.write_eof()
        self._end_one(self._own)
        return bool(self._own.can_write_eof())  # under TLS both directions end at once

    def connection_lost(self, _exc: Exception | None) -> None:
        """Nothing can be carried any more."""
        self._end()

    def pause_writing(self) -> None:
        """This side does not keep up: read no more from the other one."""
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        """This side keeps up again."""
        if not self._other.is_closing():
            self._other.resume_reading()
