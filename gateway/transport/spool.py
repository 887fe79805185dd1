# Request bodies in files, for those too large for memory: written and read in threads, so that no disk holds up the
# event loop.
#
# A file has no name once it is open, so that nothing is left of it after a crash: the kernel frees it with the last
# descriptor.

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from gateway.errors import Overloaded, SpoolError
from gateway.transport.budget import Budget

PIECE = 256 * 1024
"""Bytes that are written or read at once."""
IN_HAND = 2 * PIECE
"""Bytes of memory that a body takes on its way to a file, and from there: what waits to be written, or to leave."""
_THREADS = 4
"""Threads of their own: a slow disk must not hold up the look-up of names."""
_PREFIX = "gateway-upload-"
_LEFT_OVER = 60
"""Seconds after which a file that has a name still belongs to a process that was killed while it made it."""
_T = TypeVar("_T")


class SpoolFolder:
    """Where the files are. Mutable state: whether it `is_ready`, and the bytes that all files together hold."""

    def __init__(self, path: Path, limit: int, failed: Callable[[str], None]) -> None:
        """`limit` is that of all files together; `failed` is told why a file could not be written or read."""
        self.path = path
        self.budget = Budget(limit)
        self.failed = failed
        self.executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="spool")  # no thread before there is work
        self._is_ready = False

    def __repr__(self) -> str:
        return f"SpoolFolder({self.path}, {self.budget!r})"

    def prepare(self) -> None:
        """Make the folder, if it is not there, and try to write to it. Raises OSError."""
        if self._is_ready:
            return
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        with self.open() as file:
            os.pwrite(file.fileno(), b"x", 0)
        for left in self.path.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < time.time() - _LEFT_OVER:
                    left.unlink()
        self._is_ready = True

    def open(self) -> BinaryIO:
        """Make a file without a name, mode 0600. Raises OSError."""
        return tempfile.TemporaryFile(buffering=0, prefix=_PREFIX, dir=self.path)

    def close(self) -> None:
        """Take no more work."""
        self.executor.shutdown(wait=False, cancel_futures=True)


class Spool:
    """One body in a file, once it is longer than a first piece.

    Mutable state: its `size`; the file; the bytes it holds of the folder's budget; how many calls are at work on it in
    threads, which may outlive who waited for them, and whether it is closed for all that come.
    """

    def __init__(self, folder: SpoolFolder, take: Callable[[bytes], None]) -> None:
        """`take` gets each piece, in a thread, before it is written; what it raises is raised by `add`."""
        self.size = 0
        self._folder = folder
        self._take = take
        self._file: BinaryIO | None = None
        self._counted = 0
        self._lock = threading.Lock()
        self._working = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Spool({self.size} bytes)"

    def expect(self, size: int) -> None:
        """Raise Overloaded when there is no space for so many bytes in all.

        What is announced is not counted before it comes: else who announces much and sends nothing would keep all
        others away.
        """
        if not self._folder.budget.has_space(size - self.size):
            raise Overloaded

    async def take(self, data: bytes) -> None:
        """Have a body read that is in memory, and stays there."""
        for at in range(0, len(data), PIECE):
            await self._in_thread(partial(self._take, data[at : at + PIECE]))

    async def add(self, data: bytes) -> None:
        """Add to the end. Raises Overloaded, SpoolError, and what `take` raises."""
        self.expect(self.size + len(data))
        self._folder.budget.used += len(data)
        self._counted += len(data)
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            await self._in_thread(partial(self._write, piece))
            self.size += len(piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, from the start. Raises SpoolError."""
        at = 0
        while at < self.size:
            piece = await self._in_thread(partial(self._read, at))
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Free the file and its space, once nothing is at work on it. More calls have no effect."""
        with self._lock:
            is_due = not self._is_closed and not self._working
            self._is_closed = True
        if is_due and self._file is not None:
            try:
                self._folder.executor.submit(self._file.close)  # freeing a gigabyte takes a while
            except RuntimeError:  # the process ends
                self._file.close()
        self._folder.budget.used -= self._counted
        self._counted = 0

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        with self._lock:
            if self._is_closed:
                raise SpoolError("the request has ended")
            self._working += 1
        try:
            job = self._folder.executor.submit(work)
        except RuntimeError:
            self._end(None)
            raise SpoolError("the process ends") from None
        job.add_done_callback(self._end)
        try:
            return await asyncio.wrap_future(job)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._folder.failed(reason)
            raise SpoolError(reason) from error

    def _end(self, _job: "Future[_T] | None") -> None:
        """Runs in the thread, or where a job is cancelled before it began."""
        with self._lock:
            self._working -= 1
            is_last = self._is_closed and not self._working
        if is_last and self._file is not None:
            self._file.close()

    def _write(self, piece: bytes) -> None:
        self._take(piece)
        if self._file is None:
            self._file = self._folder.open()
        at, rest = self.size, memoryview(piece)
        while rest:
            written = os.pwrite(self._file.fileno(), rest, at)
            at += written
            rest = rest[written:]

    def _read(self, at: int) -> bytes:
        piece = b"" if self._file is None else os.pread(self._file.fileno(), min(PIECE, self.size - at), at)
        if not piece:
            raise OSError(0, "the file is shorter than what was written")
        return piece
