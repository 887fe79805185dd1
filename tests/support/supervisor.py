# What a service manager does for a program: listens in its place and hands the sockets over, and hears how it is.

import asyncio
import contextlib
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.tally import Tally

_HAND_OVER = """
import fcntl, os, sys
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
for at, number in enumerate(given):
    os.dup2(number, 3 + at)
    os.close(number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Puts the sockets where LISTEN_FDS says they are, then becomes the program: the process stays the same."""


class Supervisor:
    """Listening sockets with names, and a socket to be told on. Use it with `with`, in a running loop."""

    def __init__(self, directory: Path, listeners: Mapping[str, socket.socket], **environment: str) -> None:
        """`directory` for the socket to be told on; `environment` is handed over with the rest."""
        self.listeners = dict(listeners)
        self.told: Tally[dict[str, str]] = Tally()
        """What was heard, message by message."""
        self._directory = directory
        self._given = environment
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    @property
    def port(self) -> int:
        """The TCP port of the socket named "server"."""
        return int(self.listeners["server"].getsockname()[1])

    @property
    def environment(self) -> dict[str, str]:
        """What the program's environment says of all this; LISTEN_PID is added when it starts."""
        return {
            "LISTEN_FDS": str(len(self.listeners)),
            "LISTEN_FDNAMES": ":".join(self.listeners),
            "NOTIFY_SOCKET": str(self._directory / "notify.sock"),
            **self._given,
        }

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the program must inherit."""
        return tuple([listener.fileno() for listener in self.listeners.values()])

    def command(self, program: tuple[str, ...]) -> tuple[str, ...]:
        """The command that hands the sockets over to `program`."""
        if not self.listeners:
            return program
        return (sys.executable, "-c", _HAND_OVER, ",".join(map(str, self.descriptors)), *program)

    async def hears(self, key: str, value: str = "1") -> dict[str, str]:
        """Return the first message with this assignment, past or to come."""
        return await self.told.first(lambda message: message.get(key) == value, f"{key}={value}")

    def __enter__(self) -> "Supervisor":
        self._ear.bind(str(self._directory / "notify.sock"))
        self._ear.setblocking(False)
        asyncio.get_running_loop().add_reader(self._ear, self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ear)
        for each in (self._ear, *self.listeners.values()):
            each.close()

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._ear.recv(4096).decode().splitlines()
                self.told.add(dict(line.split("=", 1) for line in lines))
