# Takes up a changed rules file while requests go on: read, looked through, and swapped in whole, or not at all.

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
"""Seconds between two looks at whether the file is to be watched, and how often: a reload can say so."""


class Reloader:
    """Reads the rules file again, on demand or because it has changed.

    Mutable state: the hash of what was read last, and of what was seen last; and what speaks against it.
    """

    def __init__(self, path: Path, assembly: Assembly, telemetry: Telemetry, manager: ServiceManager) -> None:
        self._path = path
        self._assembly = assembly
        self._started: Config = assembly.config
        self._telemetry = telemetry
        self._manager = manager
        self._one_at_a_time = asyncio.Lock()
        self._taken = self._seen = self._hash()
        self._problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Reloader({self._path})"

    async def reload(self) -> Reload:
        """Take up what the file says now, or say why not: then nothing has changed."""
        async with self._one_at_a_time:
            self._manager.reloading()
            result = await self._apply()
            self._tell(result)
            self._manager.ready(_REFUSED if result.problems else serving(result.rules))
            return result

    async def watch_for_ever(self) -> None:
        """Take up each change of the file once it has lasted from one look to the next: it may be amid being written.

        By its content, because files that are mounted are replaced through links, and their times tell nothing. What
        was refused is tried again, because the certificate that it names may come later than the file.
        """
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            interval = self._assembly.config.server.watch_interval
            await asyncio.sleep(_CHECK_INTERVAL if interval is None else min(interval, _CHECK_INTERVAL))
            if interval is None or loop.time() - looked < interval:
                continue
            looked = loop.time()
            before, self._seen = self._seen, self._hash()
            if self._seen is None or self._seen != before:
                continue
            if self._seen != self._taken:
                await self.reload()
            elif self._problems:
                await self._try_again()

    async def _try_again(self) -> None:
        async with self._one_at_a_time:
            before = self._problems
            result = await self._apply()
            if result.problems != before:
                self._tell(result)
                self._manager.ready(_REFUSED if result.problems else serving(result.rules))

    async def _apply(self) -> Reload:
        self._taken = self._hash()
        try:
            config = await asyncio.to_thread(self._read)  # hundreds of rules take a while to read
            self._assembly.apply_config(config)
        except ConfigError as error:
            result = Reload(problems=tuple(error.problems))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next reload must find somebody
            result = Reload(problems=(f"it cannot be taken up: unexpected {type(error).__name__}",))
        else:
            result = Reload(len(config.rules), waiting(self._started, config))
        self._problems = result.problems
        return result

    def _tell(self, result: Reload) -> None:
        if result.problems:
            self._telemetry.event("reload-refused", "error", problems=result.problems)
        else:
            self._telemetry.event("reloaded", rules=result.rules, restart=result.restart)

    def _read(self) -> Config:
        """Raises ConfigError; also for a new certificate of the listener, although that waits for a restart."""
        config = load(self._path)
        tls = config.server.tls
        if tls is not None and tls != self._started.server.tls and (found := server_problems(tls, time.time())):
            raise ConfigError(found)
        return config

    def _hash(self) -> bytes | None:
        """None when the file cannot be read again: it may be amid being replaced, or is a pipe."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest() if self._path.is_file() else None
        except OSError:
            return None


_REFUSED = "the rules file was refused; what was read before stays in force"
