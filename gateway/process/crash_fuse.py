# The fuse of the crash points (see crash.py): counts creates at one of them, and kills the process there.

import ctypes
import json
import os
import select
import signal
from contextvars import ContextVar
from enum import Enum
from typing import Any


class Stage(Enum):
    """The progress of the create that a task handles."""

    CLAIMS = 1
    SETTLED = 2
    REPLAYS = 3


stage: ContextVar[Stage | None] = ContextVar("stage", default=None)
"""None for a request that is not a guarded create: it passes no crash point."""


class Fuse:
    """The point at which the process dies. Mutable state: the number of creates left until then."""

    def __init__(self, point: str, left: int) -> None:
        self._point = point
        self._left = left

    def burns(self, point: str, creates: int = 1) -> bool:
        """Count creates that have reached a point; returns whether the process must die there now."""
        if point != self._point:
            return False
        self._left -= creates
        return self._left <= 0

    def blow(self) -> None:
        """Log the point, and die. Also called in SQLite's thread."""
        line = json.dumps({"event": "crash-point", "point": self._point}).encode() + b"\n"
        # These calls keep the interpreter's lock: no other thread logs anything between the two.
        library = ctypes.PyDLL(None)
        library.write(2, line, ctypes.c_size_t(len(line)))
        library.kill(os.getpid(), signal.SIGKILL)

    def at(self, point: str) -> None:
        """Die here if this is the configured point."""
        if self.burns(point):
            self.blow()

    def at_write(self, side: str, transport: Any, data: bytes, *, is_whole: bool) -> None:
        """Die with part of `data` sent, as the point requires; `is_whole` when `data` ends the message.

        The bytes are written to the socket directly, because a transport may buffer them and a dead process never sends
        its buffers. With TLS, or when the transport has buffered bytes already, that is impossible: nothing is counted.
        """
        if transport.get_extra_info("sslcontext") is not None or transport.get_write_buffer_size():
            return
        parts = [(f"before-{side}-first-byte", b""), (f"after-{side}-first-byte", data[:1])]
        if is_whole:
            parts += [(f"before-{side}-last-byte", data[:-1]), (f"after-{side}-last-byte", data)]
        for point, part in parts:
            if self.burns(point):
                _send(transport.get_extra_info("socket").fileno(), part)
                self.blow()


def _send(descriptor: int, data: bytes) -> None:
    """Send all of it, or until the peer closes."""
    writable = select.poll()
    writable.register(descriptor, select.POLLOUT)
    while data and writable.poll():
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            continue
        except OSError:
            return
