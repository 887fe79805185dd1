# What was written and has not arrived: a peer that takes it slowly is told from one that takes nothing.

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable


async def wait_writable(
    transport: asyncio.Transport, room: "asyncio.Future[None]", idle_timeout: float, abort: Callable[[], None]
) -> None:
    """Wait for `room`, which the transport makes when a good part of what was written has left.

    `abort` is called when the peer takes nothing at all for `idle_timeout` seconds. A transport says nothing of less
    than a third of the kernel's buffer, which may hold megabytes: at a slow client's pace that takes minutes.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look(before: int) -> None:
        nonlocal timer
        left = unacknowledged(transport)
        if left < before:
            timer = loop.call_later(idle_timeout, look, left)
        else:
            abort()

    timer = loop.call_later(idle_timeout, look, unacknowledged(transport))
    try:
        await room
    finally:
        timer.cancel()


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that were written and that the peer has not acknowledged, as far as the kernel tells."""
    waiting = transport.get_write_buffer_size()
    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return waiting
    return waiting + int(struct.unpack("i", answer)[0])
