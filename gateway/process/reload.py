# Reloads a changed rules file without interrupting requests: it is read, checked, and applied as a whole or not at all.

import asyncio
import hashlib
import time
from pathlib import Path

from gateway.config import load
from gateway.config.changes import Reload, waiting
from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.process.assembly import Assembly
from gateway.process.systemd import ServiceManager, serving
from gateway.telemetry import Telemetry
from gateway.tls.certificates import server_problems

_CHECK_INTERVAL = 1.0
"""Seconds between two checks of `watch_interval`, which a reload can change."""


class Reloader:
    """Reads the rules file again, on demand or because it has changed.

    Mutable state: the hash of the file as last loaded, and as last seen; and its problems, for which it is not applied.
    """

    def __init__(self, path: Path, assembly: Assembly, telemetry: Telemetry, manager: ServiceManager) -> None:
        self._path = path
        self._assembly = assembly
        self._started: Config = assembly.config
        self._telemetry = telemetry
        self._manager = manager
        self._lock = asyncio.Lock()
        self._loaded = self._seen = self._hash()
        self.problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Reloader({self._path})"

    async def reload(self) -> Reload:
        """Apply the file as it is now, or return its problems: then nothing has changed."""
        async with self._lock:
            self._manager.reloading()
            result = await self._apply()
            self._log(result)
            self._manager.ready(_REFUSED if result.problems else serving(result.rules))
            return result

    async def watch_for_ever(self) -> None:
        """Apply each change of the file once it is the same in two checks: it may still be being written.

        Compares contents, because mounted files are replaced through symlinks, and their times are meaningless. A
        rejected file is tried again, because a certificate that it names may be written after it.
        """
        loop = asyncio.get_running_loop()
        checked = loop.time()
        while True:
            interval = self._assembly.config.server.watch_interval
            await asyncio.sleep(_CHECK_INTERVAL if interval is None else min(interval, _CHECK_INTERVAL))
            if interval is None or loop.time() - checked < interval:
                continue
            checked = loop.time()
            before, self._seen = self._seen, self._hash()
            if self._seen is None or self._seen != before:
                continue
            if self._seen != self._loaded:
                await self.reload()
            elif self.problems:
                await self._try_again()

    async def _try_again(self) -> None:
        async with self._lock:
            before = self.problems
            result = await self._apply()
            if result.problems != before:
                self._log(result)
                self._manager.ready(_REFUSED if result.problems else serving(result.rules))

    async def _apply(self) -> Reload:
        self._loaded = self._hash()
        try:
            config = await asyncio.to_thread(self._read)  # hundreds of rules take a while to parse
            self._assembly.apply_config(config)
        except ConfigError as error:
            result = Reload(problems=tuple(error.problems))
        except Exception as error:  # noqa: BLE001 - the task must survive for the next reload
            result = Reload(problems=(f"it cannot be applied: unexpected {type(error).__name__}",))
        else:
            result = Reload(len(config.rules), waiting(self._started, config))
        self.problems = result.problems
        return result

    def _log(self, result: Reload) -> None:
        if result.problems:
            self._telemetry.event("reload-refused", "error", problems=result.problems)
        else:
            self._telemetry.event("reloaded", rules=result.rules, restart=result.restart)

    def _read(self) -> Config:
        """Raises ConfigError; also for a bad new certificate of the listener, although that needs a restart."""
        config = load(self._path)
        tls = config.server.tls
        if tls is not None and tls != self._started.server.tls and (found := server_problems(tls, time.time())):
            raise ConfigError(found)
        return config

    def _hash(self) -> bytes | None:
        """None when the file cannot be read again: it may be being replaced, or is a pipe."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest() if self._path.is_file() else None
        except OSError:
            return None


_REFUSED = "the rules file was refused; what was read before stays in force"
