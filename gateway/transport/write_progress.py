# Write timeouts by progress: distinguishes a peer that reads slowly from one that has stopped reading.

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable


async def wait_writable(
    transport: asyncio.Transport, writable: "asyncio.Future[None]", idle_timeout: float, abort: Callable[[], None]
) -> None:
    """Wait for `writable`, which completes when the transport resumes writing.

    `abort` is called when the peer acknowledges nothing for `idle_timeout` seconds. Writability alone does not show
    progress: a socket becomes writable only when a third of the kernel's buffer is free, which may be megabytes, and
    with a slow client that takes minutes.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def check(before: int) -> None:
        nonlocal timer
        left = unacknowledged(transport)
        if left < before:
            timer = loop.call_later(idle_timeout, check, left)
        else:
            abort()

    timer = loop.call_later(idle_timeout, check, unacknowledged(transport))
    try:
        await writable
    finally:
        timer.cancel()


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that were written and not acknowledged by the peer, as reported by the kernel."""
    buffered = transport.get_write_buffer_size()
    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return buffered
    return buffered + int(struct.unpack("i", answer)[0])
