# The store of a rules file, opened by a command while no gateway runs with it.

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from typing_extensions import override

from gateway.audit import Actor, Audit
from gateway.commands.claims_target import Target
from gateway.config.compile import compile_rules, compile_shadow
from gateway.config.endpoints import MemoryStoreUrl, SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.errors import GatewayError, StoreError, StoreInUse
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.routes import Routes
from gateway.process.assembly import wall_clock
from gateway.process.exports import export
from gateway.process.import_shapes import Asked, Begun, Part
from gateway.process.imports import Importer, ImportRun, make_plan
from gateway.process.open_store import open_store
from gateway.stores.base import Store
from gateway.telemetry import Telemetry

MAX_PART = 256 * 1024
"""Bytes of lines that are given to a store at once."""


class _Store(Target):
    """A store that this process has opened. Mutable state: the import under way."""

    def __init__(self, config: Config, store: Store, fingerprinter: Fingerprinter) -> None:
        """Raises ConfigError when the audit file cannot be written."""
        self._store = store
        self._fingerprinter = fingerprinter
        self._rules = Admission[None](compile_rules(config), Routes([], None), compile_shadow(config))
        self._audit = Audit(lambda _: None, config.log.audit_file)
        self._run: ImportRun | None = None

    @override
    async def begin(self, asked: Asked) -> Begun:
        plan = make_plan(asked, self._rules, self._fingerprinter)
        importer = Importer(plan, self._store, wall_clock, dry_run=asked.dry_run)
        self._run = ImportRun(importer, asked, self._audit, Actor("local", f"uid {os.getuid()}"))
        await self._run.begin()
        return Begun("", importer.longest, MAX_PART)

    @override
    async def add(self, first: int, lines: Sequence[str], *, skips: bool) -> Part:
        if self._run is None:
            raise RuntimeError("not begun")
        try:
            return await self._run.add(first, [line.encode() for line in lines], self._rules.names, skips=skips)
        except StoreError as error:
            raise GatewayError(str(error)) from error

    @override
    async def end(self) -> None:
        if self._run is not None:
            await self._run.end("ended")

    @override
    async def export(self, rule: str | None) -> AsyncIterator[bytes]:
        try:
            async for lines in export(self._store, rule, self._fingerprinter.key_check, wall_clock):
                yield lines
        except StoreError as error:
            raise GatewayError(str(error)) from error


@contextlib.asynccontextmanager
async def open_by_itself(path: Path, config: Config, listener: str, *, reads: bool) -> AsyncIterator[Target]:
    """A store that this process alone has open, or shares with gateways; with `reads` it must be there already.

    `path` and `listener` say in errors which gateway was looked for. Raises GatewayError.
    """
    url = parse_store(config.store.url)
    where = 'admin.listen is "off"' if listener == "off" else f"nothing listens on {listener}"
    if isinstance(url, MemoryStoreUrl):
        raise GatewayError(f'{where}, and a store in memory ("memory:") is only there while its gateway runs')
    if reads and isinstance(url, SqliteStoreUrl):
        _require_file(url.path, where)
    telemetry = Telemetry(sys.stderr, style="text")
    try:
        opened, fingerprinter = await open_store(config, telemetry)
    except StoreInUse as error:
        raise GatewayError(
            f"{error}. In {path} {where}: if a gateway has the store open, name its admin listener by --admin"
        ) from None
    try:
        yield _Store(config, opened.store, fingerprinter)
    finally:
        await opened.store.close()


def _require_file(path: str, where: str) -> None:
    if not Path(path).exists():
        raise GatewayError(f"{where}, and there is no store {path}")
