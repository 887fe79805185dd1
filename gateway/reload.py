# Takes up a changed rules file while requests go on: read, looked through, and swapped in whole, or not at all.

import asyncio
import hashlib
import time
from pathlib import Path

from gateway.assembly import Assembly
from gateway.certificates import problems
from gateway.config import load
from gateway.config.changes import Reload, waiting
from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.systemd import ServiceManager, serving
from gateway.telemetry import Telemetry

_NOT_WATCHED = 1.0
"""Seconds until the next look at whether the file is to be watched at all: a reload can say so."""


class Reloader:
    """Reads the rules file again, on demand or because it has changed.

    Mutable state: the hash of what was read last, and of what was seen last.
    """

    def __init__(self, path: Path, assembly: Assembly, telemetry: Telemetry, manager: ServiceManager) -> None:
        self._path = path
        self._assembly = assembly
        self._started: Config = assembly.config
        self._telemetry = telemetry
        self._manager = manager
        self._one_at_a_time = asyncio.Lock()
        self._taken = self._seen = self._hash()

    def __repr__(self) -> str:
        return f"Reloader({self._path})"

    async def reload(self) -> Reload:
        """Take up what the file says now, or say why not: then nothing has changed."""
        async with self._one_at_a_time:
            self._manager.reloading()
            self._taken = self._hash()
            try:
                config = await asyncio.to_thread(_read, self._path)  # hundreds of rules take a while to read
                self._assembly.adopt(config)
            except ConfigError as error:
                result = Reload(problems=tuple(error.problems))
                self._telemetry.event("reload-refused", "error", problems=result.problems)
                self._manager.ready("the rules file was refused; what was read before stays in force")
            else:
                result = Reload(len(config.rules), waiting(self._started, config))
                self._telemetry.event("reloaded", rules=result.rules, restart=result.restart)
                self._manager.ready(serving(result.rules))
            return result

    async def watch_for_ever(self) -> None:
        """Take up each change of the file once it has lasted from one look to the next: it may be amid being written.

        By its content, because files that are mounted are replaced through links, and their times tell nothing.
        """
        while True:
            interval = self._assembly.config.server.watch_interval
            await asyncio.sleep(_NOT_WATCHED if interval is None else interval)
            before, self._seen = self._seen, self._hash()
            if interval is not None and self._seen not in {None, self._taken} and self._seen == before:
                await self.reload()

    def _hash(self) -> bytes | None:
        """None when the file cannot be read: it may be amid being replaced."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return None


def _read(path: Path) -> Config:
    """Raises ConfigError."""
    config = load(path)
    if found := problems(config, time.time()):
        raise ConfigError(found)
    return config
