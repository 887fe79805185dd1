# Reloads a changed rules file without interrupting requests: it is read, checked, and applied as a whole or not at all.

import asyncio
import contextlib
import hashlib
import time
from pathlib import Path

from gateway.audit import Actor, Audit, AuditError
from gateway.config import admin_token, load
from gateway.config.changes import Reload, waiting
from gateway.config.schema import Config
from gateway.config.versions import Lost, lost_entries
from gateway.errors import ConfigError
from gateway.process.assembly import Assembly
from gateway.process.identities import warn_of
from gateway.process.operators import Operators
from gateway.process.systemd import ServiceManager, serving
from gateway.telemetry import Telemetry
from gateway.tls.certificates import server_problems

_CHECK_INTERVAL = 1.0
"""Seconds between two checks of `watch_interval`, which a reload can change."""


class Reloader:
    """Reads the rules file again, on demand or because it has changed.

    Mutable state: the hash of the file as last loaded, as last seen, and of the one in force; its problems, for which
    it is not applied; and the entries that had another identity when the process started (`lost`).
    """

    def __init__(
        self,
        path: Path,
        assembly: Assembly,
        telemetry: Telemetry,
        manager: ServiceManager,
        audit: Audit,
        operators: Operators,
    ) -> None:
        self.path = path
        self._audit = audit
        self._operators = operators
        self._assembly = assembly
        self._started: Config = assembly.config
        self._telemetry = telemetry
        self._manager = manager
        self._lock = asyncio.Lock()
        self._loaded = self._seen = self._in_force = self._hash()
        self.problems: tuple[str, ...] = ()
        self.lost: tuple[Lost, ...] = ()

    def __repr__(self) -> str:
        return f"Reloader({self.path})"

    @property
    def fingerprint(self) -> str | None:
        """12 hex digits of the hash of the file that is in force; None when it could not be read a second time."""
        return _shown(self._in_force)

    async def reload(self, actor: Actor) -> Reload:
        """Apply the file as it is now, or return its problems: then nothing has changed."""
        async with self._lock:
            self._manager.reloading()
            result = await self._apply(actor)
            await self._tell(result, actor)
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
                await self.reload(_FILE)
            elif self.problems:
                await self._try_again()

    async def _try_again(self) -> None:
        async with self._lock:
            before = self.problems
            result = await self._apply(_FILE)
            if result.problems != before:
                await self._tell(result, _FILE)
                self._manager.ready(_REFUSED if result.problems else serving(result.rules))

    async def _apply(self, actor: Actor) -> Reload:
        self._loaded = self._hash()
        try:
            config, token = await asyncio.to_thread(self._read)  # hundreds of rules take a while to parse
            lost = lost_entries(self._assembly.config, config)
            before = self._audit.use_file(config.log.audit_file)
            try:
                await self._audit.write("reload", actor, "applied", config=_shown(self._loaded))
                self._assembly.apply_config(config)
            except BaseException:
                self._audit.use_file(before)
                raise
            self._operators.use(token, has_open_metrics=config.admin.open_metrics)
        except ConfigError as error:
            result = Reload(problems=tuple(error.problems))
        except AuditError as error:
            result = Reload(problems=(str(error),))
        except Exception as error:  # noqa: BLE001 - the task must survive for the next reload
            result = Reload(problems=(f"it cannot be applied: unexpected {type(error).__name__}",))
        else:
            self._in_force = self._loaded
            self.lost = lost_entries(self._started, config)
            result = Reload(len(config.active_rules), waiting(self._started, config), lost=lost)
        self.problems = result.problems
        return result

    async def _tell(self, result: Reload, actor: Actor) -> None:
        """Log a reload. One that was refused is written down, too; where that fails, the log has it."""
        if not result.problems:
            self._telemetry.event("reloaded", rules=result.rules, restart=result.restart)
            warn_of(result.lost, self._telemetry)
            return
        self._telemetry.event("reload-refused", "error", problems=result.problems)
        with contextlib.suppress(AuditError):
            await self._audit.write("reload", actor, "refused", config=_shown(self._loaded))

    def _read(self) -> tuple[Config, bytes | None]:
        """The file, and the admin token that it names.

        Raises ConfigError; also for a bad new certificate of the listener, although that needs a restart.
        """
        config = load(self.path)
        tls = config.server.tls
        if tls is not None and tls != self._started.server.tls and (found := server_problems(tls, time.time())):
            raise ConfigError(found)
        return config, admin_token(config)

    def _hash(self) -> bytes | None:
        """None when the file cannot be read again: it may be being replaced, or is a pipe."""
        try:
            return hashlib.sha256(self.path.read_bytes()).digest() if self.path.is_file() else None
        except OSError:
            return None


def _shown(content: bytes | None) -> str | None:
    return None if content is None else content.hex()[:12]


SIGNAL = Actor("signal")
"""Who has the file read again by SIGHUP."""
_FILE = Actor("file")
_REFUSED = "the rules file was refused; what was read before stays in force"
