# Imports over the admin listener: one is begun, gets its lines in parts, and is ended. Its beginning and its end are
# written down, whoever ends it.

import asyncio
import contextlib
import secrets

import msgspec
from aiohttp import web

from gateway.audit import Audit, AuditError
from gateway.config.schema_rule import RuleConfig
from gateway.errors import GatewayError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.admin.access import Access
from gateway.process.admin.answers import MAX_BODY, Refused, answer, read_body
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import Nothing
from gateway.process.assembly import Assembly, wall_clock
from gateway.process.import_shapes import Asked, Begun, Lines, Part, Total
from gateway.process.imports import Importer, ImportRun, make_plan
from gateway.stores.base import Store

MAX_PART = 1024 * 1024
"""Bytes of lines that are sent at once, unless one line is longer."""
MAX_IMPORTS = 4
"""Imports at a time."""
IDLE = 120.0
"""Seconds without lines after which an import has ended."""
_MOST_ESCAPED = 2
"""By how much lines may grow as texts in JSON."""


class _Running(msgspec.Struct):
    """An import under way. Mutable state: the timer that ends it."""

    run: ImportRun
    max_line: int
    rule: str | None
    config: RuleConfig | None
    """The rule as it was when the import was begun."""
    lock: asyncio.Lock
    timer: asyncio.TimerHandle | None = None


class ImportApi:
    """Handlers. Mutable state: the imports under way; what is being written down of those that nobody has ended."""

    def __init__(
        self, store: Store, assembly: Assembly, fingerprinter: Fingerprinter, audit: Audit, access: Access
    ) -> None:
        self._store = store
        self._assembly = assembly
        self._fingerprinter = fingerprinter
        self._audit = audit
        self._access = access
        self._running: dict[str, _Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"ImportApi({len(self._running)} running)"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="POST",
                path="/claims/import",
                handler=self._begin,
                name="beginImport",
                summary="Begin an import of things that exist, or of an export.",
                answers={200: Begun},
                body=Asked,
                changes=True,
            ),
            Route(
                method="POST",
                path="/claims/import/{id}",
                handler=self._add,
                name="importLines",
                summary="Add the claims of some lines. To send lines again is harmless.",
                answers={200: Part},
                body=Lines,
            ),
            Route(
                method="POST",
                path="/claims/import/{id}/end",
                handler=self._end,
                name="endImport",
                summary="End an import, and say what it has done.",
                answers={200: Total},
                body=Nothing,
                changes=True,
            ),
        ]

    async def close(self, _app: web.Application) -> None:
        """End all imports."""
        for name, running in list(self._running.items()):
            self._forget(name)
            await self._write_abandoned(running.run)
        await asyncio.gather(*self._ending)

    async def _begin(self, request: web.Request) -> web.Response:
        asked = await read_body(request, Asked, MAX_BODY)
        if asked.reason is not None and not asked.reason.isprintable():
            raise Refused(400, "reason: write a text without line breaks and control characters.")
        if len(self._running) >= MAX_IMPORTS:
            raise Refused(429, f"{MAX_IMPORTS} imports are under way.", {"Retry-After": f"{IDLE:.0f}"})
        try:
            plan = make_plan(asked, self._assembly.admission, self._fingerprinter)
        except GatewayError as error:
            raise Refused(422, f"{error}.") from None
        importer = Importer(plan, self._store, wall_clock, dry_run=asked.dry_run)
        run = ImportRun(importer, asked, self._audit, self._access.actor(request))
        await run.begin()
        name = secrets.token_hex(16)
        config = self._config(asked.rule)
        self._running[name] = _Running(run, importer.longest, asked.rule, config, asyncio.Lock())
        self._wait(name)
        return answer(Begun(name, importer.longest, MAX_PART))

    async def _add(self, request: web.Request) -> web.Response:
        name, running = self._find(request)
        asked = await read_body(request, Lines, _MOST_ESCAPED * max(MAX_PART, running.max_line) + MAX_BODY)
        async with running.lock:
            if self._config(running.rule) != running.config:
                raise Refused(409, "The rule has changed meanwhile: begin the import again, from its first line.")
            lines = [line.encode() for line in asked.lines]
            known = self._assembly.admission.names
            part = await running.run.add(asked.first, lines, known, skips=asked.skip)
        self._wait(name)
        return answer(part)

    async def _end(self, request: web.Request) -> web.Response:
        await read_body(request, Nothing, MAX_BODY)
        name, running = self._find(request)
        async with running.lock:
            self._forget(name)
            await running.run.end("ended")
        return answer(running.run.total)

    def _find(self, request: web.Request) -> tuple[str, _Running]:
        name = request.match_info["id"]
        running = self._running.get(name)
        if running is None:
            raise Refused(404, "No such import is under way: the gateway has started anew, or it has ended.")
        return name, running

    def _config(self, rule: str | None) -> RuleConfig | None:
        """The rule of the rules file in force."""
        return next((each for each in self._assembly.config.rules if each.name == rule), None)

    def _wait(self, name: str) -> None:
        """Have an import end when it gets no more lines."""
        running = self._running.get(name)
        if running is None:
            return
        if running.timer is not None:
            running.timer.cancel()
        running.timer = asyncio.get_running_loop().call_later(IDLE, self._abandon, name)

    def _forget(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is not None and running.timer is not None:
            running.timer.cancel()

    def _abandon(self, name: str) -> None:
        running = self._running[name]
        if running.lock.locked():  # it is adding some
            self._wait(name)
            return
        self._forget(name)
        task = asyncio.get_running_loop().create_task(self._write_abandoned(running.run))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _write_abandoned(self, run: ImportRun) -> None:
        with contextlib.suppress(AuditError):  # nobody waits for the answer
            await run.end("abandoned")
