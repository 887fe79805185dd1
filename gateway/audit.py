# What operators did, and callers who may override: one line for each action, in the log, and in a file of its own where
# there is one. Never a value of an identity.
#
# A line is written before what it tells of is done, so that nothing is done without one. Where that then fails, a
# second line with the same request_id says so.

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import ConfigError, GatewayError

KEPT = 100
"""Lines in memory, for whoever looks at what was done last."""


class AuditError(GatewayError):
    """The audit file cannot be written, so what was asked for was not done."""


class Actor(msgspec.Struct, frozen=True):
    """Who had something done."""

    who: str
    """"token" who showed the admin token, "local" where none is asked for; "signal"; "file" for changed rules;
    "caller" for whoever sent a create."""
    source: str | None = None
    """From where: the peer's address, or its user on a unix socket; None for no connection."""
    request_id: str | None = None


class Audit:
    """Writes the lines. Mutable state: the file's path; the last lines."""

    def __init__(self, log: Callable[[dict[str, Any]], None], path: str | None) -> None:
        """`log` takes what a line says, for the log. Raises ConfigError when the file cannot be written."""
        self._log = log
        self._path: Path | None = None
        self._lock = asyncio.Lock()
        self.recent: deque[dict[str, Any]] = deque(maxlen=KEPT)
        """The last lines, with `time` in seconds since the epoch, the newest at the end."""
        self.use_file(path)

    def __repr__(self) -> str:
        return f"Audit({self._path})"

    def use_file(self, path: str | None) -> str | None:
        """Write to another file from now on; returns the one before. Raises ConfigError: then nothing has changed."""
        wanted = None if path is None else Path(path)
        if wanted is not None:
            try:
                os.close(_open(wanted))
            except OSError as error:
                raise ConfigError([f"log.audit_file: {_unusable(wanted, error)}"]) from error
        before, self._path = self._path, wanted
        return None if before is None else str(before)

    async def write(self, action: str, actor: Actor, result: str, **facts: str | None) -> None:
        """Write that an action is about to be done, or what else came of it; with facts that are None left out.

        Returns once the line is on the disk. Raises AuditError: then the action must not be done.
        """
        told = {"action": action, "who": actor.who, "from": actor.source, **facts, "request_id": actor.request_id}
        said = {name: value for name, value in (told | {"result": result}).items() if value is not None}
        timed = {"time": round(time.time(), 3), "event": "audit", "level": "info", **said}
        if self._path is not None:
            async with self._lock:
                try:
                    await asyncio.to_thread(_append, self._path, msgspec.json.encode(timed) + b"\n")
                except OSError as error:
                    raise AuditError(f"log.audit_file: {_unusable(self._path, error)}") from error
        self.recent.append(timed)
        self._log(said)


def _append(path: Path, line: bytes) -> None:
    file = _open(path)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # a disk that was full has cut a line off
            line = b"\n" + line
        if os.write(file, line) != len(line):
            raise OSError(0, "No space left on device")
        os.fsync(file)
    finally:
        os.close(file)


def _open(path: Path) -> int:
    """Open it anew each time: whoever rotates the file may rename it."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _unusable(path: Path, error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{path.absolute()} cannot be written: {reason}; give this user write permission, or write another path"
