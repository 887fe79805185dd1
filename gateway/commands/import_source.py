# The lines of a file that is imported, some at a time, with their numbers. However long the file and its lines are,
# little of it is in memory.

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import BinaryIO

import msgspec

from gateway.errors import GatewayError, LineError
from gateway.stores.exported import Summary, is_header, read_end

_MAX_LINES = 1_000
"""Lines of a batch."""
_FIRST = 64 * 1024
"""Bytes of the first line that are looked at to tell an export."""


class Batch(msgspec.Struct):
    """Lines in a row. Mutable state: all of it, while it is filled."""

    first: int
    """The number of the first one, counted from 1."""
    lines: list[str]
    size: int = 0
    """Bytes of the file that they take."""
    wrong: str | None = None
    """What is wrong with the line behind them, which cannot be given to anybody."""


class Source:
    """A file, read once.

    Mutable state: the number of the last line that was read; the end of an export, once it was read; whether a thread
    reads it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._first: bytes | None = None
        self._is_read_ahead = False
        self.number = 0
        self.end: Summary | None = None

    def __repr__(self) -> str:
        return f"Source({self.number} lines read)"

    def header(self) -> bytes | None:
        """The first line, if it is that of an export; then it is none of the lines that are given."""
        line = self._file.readline(_FIRST)
        if is_header(line):
            self.number = 1
            return line
        self._first = line
        return None

    def close(self) -> None:
        """Close the file, unless a thread reads it, which does that itself."""
        if not self._is_read_ahead:
            self._file.close()

    async def read_ahead(self, batches: Iterator[Batch]) -> AsyncIterator[Batch]:
        """The same batches, read in a thread that nobody waits for: it may be in a pipe for as long as that is open.

        Raises GatewayError when the file cannot be read further.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Batch | GatewayError | None](1)

        def put(item: Batch | GatewayError | None) -> None:
            putting = queue.put(item)
            try:
                asyncio.run_coroutine_threadsafe(putting, loop).result()
            except RuntimeError:  # the loop has ended, and never begins it
                putting.close()
                raise

        def read() -> None:
            with self._file, contextlib.suppress(CancelledError, RuntimeError):  # the loop ends with the command
                try:
                    for batch in batches:
                        put(batch)
                    put(None)
                except OSError as error:
                    put(GatewayError(f"the file cannot be read further: {error.strerror}"))

        self._is_read_ahead = True
        threading.Thread(target=read, daemon=True, name="import-reader").start()
        while (found := await queue.get()) is not None:
            if isinstance(found, GatewayError):
                raise found
            yield found

    def batches(self, from_line: int, max_line: int, max_part: int, *, is_export: bool) -> Iterator[Batch]:
        """The lines from a number on. `max_line` and `max_part` are bytes: of a line, and of a batch of several.

        A batch has at least one line, or what is wrong with the one behind it.
        """
        batch = Batch(max(from_line, self.number + 1), [])
        for line, size in self._lines(max_line):
            if self.number < from_line:
                continue
            wrong, text = self._read(line, max_line, is_export=is_export)
            if self.end is not None and wrong is None:
                if batch.lines:
                    yield batch
                batch = Batch(self.number + 1, [])
                continue
            if batch.lines and (batch.size + size > max_part or len(batch.lines) >= _MAX_LINES):
                yield batch
                batch = Batch(self.number, [])
            batch.size += size
            if wrong is not None:
                batch.wrong = wrong
                yield batch
                batch = Batch(self.number + 1, [])
            else:
                batch.lines.append(text)
        if batch.lines:
            yield batch

    def _read(self, line: bytes | None, max_line: int, *, is_export: bool) -> tuple[str | None, str]:
        """What is wrong with a line, and its text. `line` is None for one that is too long."""
        if line is None:
            return f"it is longer than {max_line} bytes", ""
        if self.end is not None:
            return ("it is behind the end of the export" if line else None), ""
        try:
            if is_export:
                self.end = read_end(line)
            return None, line.decode()
        except LineError as error:
            return str(error), ""
        except UnicodeDecodeError:
            return "it is not UTF-8", ""

    def _lines(self, max_line: int) -> Iterator[tuple[bytes | None, int]]:
        """Each line without its end, and the bytes that it takes; None for one that is too long."""
        while True:
            before, self._first = self._first or b"", None
            line = before if before.endswith(b"\n") else before + self._file.readline(max_line + 3)
            if not line:
                return
            self.number += 1
            size, stripped = len(line), line.rstrip(b"\r\n")
            if len(stripped) <= max_line:
                yield stripped, size
                continue
            while line and not line.endswith(b"\n"):
                line = self._file.readline(_FIRST)
                size += len(line)
            yield None, size
