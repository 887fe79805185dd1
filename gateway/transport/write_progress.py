# Write timeouts by progress: distinguishes a peer that reads slowly from one that has as good as stopped reading.

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable

LEAST = 4 * 1024
"""Bytes that a peer must acknowledge within each timeout, while that many are waiting for it."""


async def wait_writable(
    transport: asyncio.Transport, writable: "asyncio.Future[None]", idle_timeout: float, abort: Callable[[], None]
) -> None:
    """Wait for `writable`, which completes when the transport resumes writing.

    `abort` is called when the peer makes no progress for `idle_timeout` seconds. Writability alone does not show
    progress: a socket becomes writable only when a third of the kernel's buffer is free, which may be megabytes, and
    with a slow client that takes minutes.
    """
    watch = _Watch(transport, idle_timeout, abort)
    try:
        await writable
    finally:
        watch.close()


def has_progressed(before: int, left: int) -> bool:
    """Whether a peer that had so many unacknowledged bytes `before` has taken enough of them in one timeout."""
    return before - left >= min(before, LEAST) > 0


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that were written and not acknowledged by the peer, as reported by the kernel."""
    buffered = transport.get_write_buffer_size()
    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return buffered
    return buffered + int(struct.unpack("i", answer)[0])


class _Watch:
    """Looks at the progress after each timeout. Mutable state: what was left at the last look, and the timer.

    Not a function in a function: one that refers to itself is kept, with the connection, until the garbage collector
    runs.
    """

    __slots__ = ("_abort", "_idle_timeout", "_left", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, idle_timeout: float, abort: Callable[[], None]) -> None:
        self._transport = transport
        self._idle_timeout = idle_timeout
        self._abort = abort
        self._look()

    def close(self) -> None:
        """Look no more. The timer is released: it refers to this object."""
        self._timer.cancel()

    def _look(self) -> None:
        self._left = unacknowledged(self._transport)
        self._timer = asyncio.get_running_loop().call_later(self._idle_timeout, self._check)

    def _check(self) -> None:
        before = self._left
        if has_progressed(before, unacknowledged(self._transport)):
            self._look()
        else:
            self._abort()
