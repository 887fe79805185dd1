# Lines that become claims of a store: rows of an API's own data, or an export. In short steps, between which creates
# are served.

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from typing_extensions import override

from gateway.audit import Actor, Audit
from gateway.errors import GatewayError, LineError
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.rules import Rules
from gateway.guard.seed import Given, Seed, imported_from
from gateway.http.fields import parse_fields
from gateway.http.headers import Headers
from gateway.model import Kept, Record, State
from gateway.process.import_shapes import Asked, Part, Problem, Total
from gateway.stores.base import Store
from gateway.stores.exported import LONGEST, read_claim, require_header

AT_ONCE = 100
"""Claims that a store of this process adds in one commit: a few milliseconds, for which creates wait."""
AT_ONCE_SHARED = 250
"""The same of one on a server: there it is the way that takes time, and creates do not wait for it."""
_STEP = 0.0005
"""Seconds of the event loop that lines may take without a pause: a create needs a dozen turns of it."""
_TURNS = 3
"""Of the event loop, in which claims come to the thread of the store: it writes while the next lines are read."""
_STATES = {State.IN_FLIGHT: "in flight", State.CREATED: "created", State.UNKNOWN: "unknown"}


Made = tuple[int, Kept]
"""A claim, and the number of the line that it was made of."""


class Plan(Protocol):
    """What makes claims of lines."""

    @property
    def longest(self) -> int:
        """Bytes that a line may have."""

    def read(self, number: int, row: bytes, now: int) -> Sequence[Kept]:
        """The claims of a line. Raises LineError."""


class _Moved(Plan):
    @property
    @override
    def longest(self) -> int:
        return LONGEST

    @override
    def read(self, number: int, row: bytes, now: int) -> Sequence[Kept]:
        if len(row) > LONGEST:
            raise LineError(f"it is longer than {LONGEST} bytes")
        return (read_claim(row),)


def make_plan(asked: Asked, rules: Admission[Any] | Rules, fingerprinter: Fingerprinter) -> Plan:
    """Prepare for lines. Raises GatewayError, with a text that has no value."""
    if asked.export is not None:
        if asked.rule is not None or asked.link is not None or asked.headers or asked.query or asked.path:
            raise GatewayError("it is an export, which has all that is needed: leave out the rule and what rows lack")
        require_header(asked.export, fingerprinter.key_check)
        return _Moved()
    if asked.rule is None:
        raise GatewayError("name the rule whose creates the lines are: --rule NAME")
    rule = rules.named(asked.rule)
    if rule is None:
        known = ", ".join(rules.names)
        raise GatewayError(f'the rules file has no rule "{asked.rule}"; its rules: {known}')
    return Seed(rule, Given(_headers(asked.headers), asked.query, asked.path, asked.client), asked.link, fingerprinter)


class Importer:
    """Adds what a plan makes of lines."""

    def __init__(self, plan: Plan, store: Store, clock: Callable[[], int], *, dry_run: bool = False) -> None:
        """`clock` gives milliseconds since the epoch. With `dry_run` the store is only asked."""
        self._plan = plan
        self._store = store
        self._clock = clock
        self._dry_run = dry_run
        self._at_once = AT_ONCE_SHARED if store.is_shared else AT_ONCE

    def __repr__(self) -> str:
        return f"Importer({self._plan!r})"

    @property
    def longest(self) -> int:
        """Bytes that a line may have."""
        return self._plan.longest

    async def add(self, first: int, lines: Sequence[bytes], rules: Collection[str], *, skips: bool) -> Part:
        """Add the claims of lines, of which `first` is the number of the first one; `rules` are those that are known.

        A line that cannot be read ends it, unless it `skips` them. Returns once all are added durably. After a
        StoreError some are; to add all of them again is harmless.
        """
        loop, part = asyncio.get_running_loop(), Part()
        began, waiting, writing = loop.time(), list[Made](), None
        try:
            now = self._clock()
            for number, line in enumerate(lines, first):
                if not self._read(number, line, now, rules, part, waiting) and not skips:
                    part.is_stopped = True
                    break
                part.lines += 1
                if len(waiting) >= self._at_once:  # the store adds them while the next ones are read
                    await _end(writing, part)
                    writing, waiting = loop.create_task(self._write(waiting)), []
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
                    began = loop.time()
                if loop.time() - began > _STEP:
                    await asyncio.sleep(0)
                    began, now = loop.time(), self._clock()
            await _end(writing, part)
            writing = loop.create_task(self._write(waiting))
            await _end(writing, part)
        finally:
            if writing is not None:
                await asyncio.wait([writing])
        part.problems.sort(key=lambda problem: problem.line)
        return part

    def _read(
        self, number: int, line: bytes, now: int, rules: Collection[str], part: Part, waiting: list[Made]
    ) -> bool:
        """Read one line; False when it cannot be read."""
        if not line.strip():
            return True
        try:
            made = self._plan.read(number, line, now)
        except LineError as error:
            part.problems.append(Problem(number, str(error)))
            part.wrong += 1
            return False
        for kept in made:
            if kept.record.is_held(now):
                waiting.append((number, kept))
            else:
                part.expired += 1
            if kept.record.rule not in rules:
                part.gone_rules[kept.record.rule] = part.gone_rules.get(kept.record.rule, 0) + 1
        return True

    async def _write(self, made: Sequence[Made]) -> "list[tuple[Made, Record | None]]":
        """Add claims; each with what is held in its place."""
        now = self._clock()
        met: Sequence[Record | None]
        if self._dry_run:
            met = [await self._store.get(kept.record.fingerprint, now) for _, kept in made]
        else:
            met = await self._store.add([kept for _, kept in made], now) if made else ()
        return list(zip(made, met, strict=True))


class ImportRun:
    """An import from its beginning to its end, both of which are written down. Mutable state: what it has done."""

    def __init__(self, importer: Importer, asked: Asked, audit: Audit, actor: Actor) -> None:
        self._importer = importer
        self._asked = asked
        self._audit = audit
        self._actor = actor
        self.total = Total(last_line=asked.from_line - 1)

    def __repr__(self) -> str:
        return f"ImportRun({self._importer!r}, {self.total!r})"

    async def begin(self) -> None:
        """Write down that it begins. Raises AuditError: then it must not."""
        await self._write_down("begun", from_line=str(self._asked.from_line), reason=self._asked.reason)

    async def add(self, first: int, lines: Sequence[bytes], rules: Collection[str], *, skips: bool) -> Part:
        """Add the claims of lines, as Importer does."""
        part = await self._importer.add(first, lines, rules, skips=skips)
        total = self.total
        total.last_line = max(total.last_line, first + part.lines - 1)
        total.added += part.added
        total.present += part.present
        total.held += part.held
        total.wrong += part.wrong
        return part

    async def end(self, result: str) -> None:
        """Write down how it ended. Raises AuditError."""
        total = self.total
        counts = {"added": total.added, "present": total.present, "held": total.held, "wrong": total.wrong}
        facts = {name: str(count) for name, count in counts.items() if count}
        await self._write_down(result, last_line=str(total.last_line), **facts)

    async def _write_down(self, result: str, **facts: str | None) -> None:
        asked = self._asked
        if not asked.dry_run:
            of = None if asked.export is None else f"export of {asked.export.at}"
            await self._audit.write("import", self._actor, result, rule=asked.rule, of=of, **facts)


async def _end(writing: "asyncio.Task[list[tuple[Made, Record | None]]] | None", part: Part) -> None:
    """Wait until claims are added, and count them. Raises StoreError."""
    if writing is None:
        return
    for (number, kept), met in await writing:
        if met is None:
            part.added += 1
        elif (why := _why_held(kept.record, met, number)) is None:
            part.present += 1
        else:
            part.held += 1
            record = kept.record
            part.problems.append(Problem(number, why, record.entry, record.fingerprint.hex()[:12]))


def _why_held(record: Record, met: Record, number: int) -> str | None:
    """By what something is held that was to be added; None when it is the same."""
    if met.owner == record.owner:
        is_elsewhere = met.state is record.state and met.resource != record.resource
        return "held already, by the same with another link" if is_elsewhere else None
    line = imported_from(met.owner, record)
    if line is None:
        return f"held already, {_STATES[met.state]}"
    # A line of a greater number has moved since it was imported: one before it was removed.
    return f"held already, by line {line} of an import" if line < number else None


def _headers(given: Mapping[str, str | list[str]]) -> Headers:
    lines = [
        (name.encode(), value.strip(" \t").encode())
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    headers = parse_fields(Headers.of(lines).block)
    if headers is None:
        raise GatewayError("a header has a name or a value that can be in no request")
    return headers
