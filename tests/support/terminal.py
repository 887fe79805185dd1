# The real program on a terminal: a pseudo-terminal of a size of its own, and what was written to it.

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import signal
import struct
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.tally import PATIENCE, Tally

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM")


def plain(line: str) -> str:
    """A line without its colours."""
    return _COLOUR.sub("", line)


class GatewayOnTerminal:
    """`gateway run` with standard error on a terminal; use it with `async with`."""

    def __init__(
        self, directory: Path, toml: str, columns: int | None, environment: Mapping[str, str] | None = None
    ) -> None:
        """`columns` is the width of the terminal; with None it is a pipe."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "gateway.toml").write_text(toml, encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
        self._environment = {**inherited, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(environment or {})}
        self._master, self._slave = os.pipe() if columns is None else os.openpty()
        if columns is not None:
            self.resize(columns)
        self.lines: Tally[str] = Tally()
        """What was written, with its colours."""
        self.port = 0

    def resize(self, columns: int) -> None:
        """Change the width of the terminal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    async def wait_for(self, text: str) -> str:
        """The first line that contains a text, colours apart."""
        return await self.lines.first(lambda line: text in plain(line), f"a line with {text!r}")

    async def stop(self) -> int:
        """Press Ctrl-C, so to speak, and wait for its end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "-c", "gateway.toml"),
            cwd=self._directory,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._slave,
        )
        os.close(self._slave)
        self._rest = b""
        asyncio.get_running_loop().add_reader(self._master, self._read)
        try:
            listening = plain(await self.wait_for("info: listening"))
        except BaseException:
            await self._end()
            raise
        self.port = int(re.findall(r"server=\S+:(\d+)", listening)[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        if error is not None:
            error.add_note("On the terminal:\n" + "\n".join(map(plain, self.lines)))

    async def _end(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._master)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.lines.add(line.removesuffix(b"\r").decode())
