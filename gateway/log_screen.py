# The log on a terminal: requests as lines of one shape, and when they are many, a summary in place of most of them.

import os
from collections import Counter
from collections.abc import Mapping
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from gateway.colours import Colour, is_unicode, paint, printable, wants_colours
from gateway.log_text import LoggedRequest

WINDOW = 10.0
"""Seconds between two summaries."""
MANY = 50
"""Requests in a window up to which each has a line; with more, the others of it have none, but for those of note."""
MOST_OF_NOTE = 100
"""Lines of note in a window of many requests, at most."""
_DEFAULT_WIDTH = 80
_WIDEST_RULE = 32
_SHORT_ID = 8
_COLUMNS = {"time": 8, "method": 7, "status": 4, "outcome": 21, "duration": 8, "id": _SHORT_ID}
"""Widths of the columns beside that of the rule, which takes what is left."""
_NARROWEST_RULE = 8

_FINE = frozenset({"created", "exists", "accepted", "redirected", "upserted", "replayed"})
_USUAL = frozenset({"passed", "exempt", "upgraded", "cancelled"})
_TROUBLE = frozenset(
    {
        *("failed", "unknown", "outcome-unknown", "unguarded"),
        *("internal-error", "store-unavailable", "upstream-unreachable", "too-many-connections"),
    }
)
"""Outcomes that somebody should look at: identities are blocked, or nothing is guarded or served."""
_OF_LEVEL: Mapping[str, tuple[Colour, ...]] = {"warning": ("yellow",), "error": ("red",)}
_NOT_OF_NOTE = _FINE | {"passed", "exempt", "upgraded"}


class RequestScreen:
    """Renders requests for a terminal. Mutable state: what came in the present window of ten seconds."""

    def __init__(self, out: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._environ = environ
        self._paints = wants_colours(out, environ)
        self._cut = "…" if is_unicode(out) else "~"
        self._is_busy = False
        self._since = self._longest = 0.0
        self._outcomes: Counter[str] = Counter()
        self._of_note = 0

    def __repr__(self) -> str:
        return f"RequestScreen({self._outcomes.total()} requests)"

    def lines(self, record: LoggedRequest, clock: str, now: float) -> list[str]:
        """The lines that a request calls for: its own, a summary that is due before it, or none.

        `clock` is the time of day, `now` seconds of any clock that only goes on.
        """
        lines = self.due(clock, now)
        self._outcomes[record.outcome] += 1
        self._longest = max(self._longest, record.duration_ms)
        if not self._is_busy and self._outcomes.total() > MANY:
            self._is_busy = True
            note = f"many requests: a summary every {WINDOW:g} s, refusals, failures and unknown"
            lines.append(f"{self._paint(clock, 'dim')} {self._paint(note, 'dim')}")
        if self._is_busy:
            is_of_note = record.outcome not in _NOT_OF_NOTE and self._of_note < MOST_OF_NOTE
            self._of_note += is_of_note
            if not is_of_note:
                return lines
        lines.append(self.line(record, clock))
        return lines

    def due(self, clock: str, now: float) -> list[str]:
        """The summary of the last window, when it is over and had many requests."""
        if now - self._since < WINDOW:
            return []
        lines = [self._summary(clock, now - self._since)] if self._is_busy else []
        self._is_busy = self._outcomes.total() > MANY
        self._begin(now)
        return lines

    def line(self, record: LoggedRequest, clock: str) -> str:
        """The line of a request, cut to the width of the terminal."""
        width = self._width()
        colour = _colour(record)
        status = "gone" if record.status is None else str(record.status)
        cells: dict[str, tuple[str, tuple[Colour, ...]]] = {
            "time": (clock, ("dim",)),
            "method": (record.method, ()),
            "status": (status, colour),
            "outcome": (record.outcome, colour),
            "rule": (record.rule or "", ()),
            "duration": (_duration(record.duration_ms).rjust(_COLUMNS["duration"]), ()),
            "id": ((record.request_id or "")[:_SHORT_ID], ("dim",)),
        }
        widths = dict(_COLUMNS)
        for name in ("id", "time"):
            if sum(widths.values()) + len(widths) + _NARROWEST_RULE > width:
                del widths[name], cells[name]
        left = width - sum(widths.values()) - len(widths)
        widths["rule"] = min(max(left, _NARROWEST_RULE), _WIDEST_RULE)
        text = " ".join([self._cell(*cell, widths[name]) for name, cell in cells.items()])
        notes = _notes(record)
        spare = left - widths["rule"] - 1
        if notes and spare >= _NARROWEST_RULE:
            text += f" {self._cell(notes, ('dim',), spare)}"
        return text.rstrip()

    def event_line(self, text: str, level: str, clock: str) -> str:
        """The line of an event, whose level and name begin its `text`."""
        *names, facts = [*text.split(" ", 2), ""][:3]
        painted = self._paint(" ".join(names), *_OF_LEVEL.get(level, ()))
        return f"{self._paint(clock, 'dim')} {painted} {facts}".rstrip()

    def _cell(self, text: str, colours: tuple[Colour, ...], width: int) -> str:
        """A text in a column; one that is too long is cut."""
        text = printable(text)
        if cell_len(text) > width:
            text = set_cell_size(text, width - 1) + self._cut
        return self._paint(text, *colours) + " " * (width - cell_len(text))

    def _paint(self, text: str, *colours: Colour) -> str:
        return paint(text, *colours) if self._paints else text

    def _summary(self, clock: str, seconds: float) -> str:
        """How many requests came, and what became of them: first what somebody should look at."""
        counts = sorted(self._outcomes.items(), key=lambda item: (item[0] not in _TROUBLE, -item[1]))
        head = f"{self._outcomes.total():,} requests in {seconds:.0f} s:"
        tail = f"slowest {_duration(self._longest)}"
        for shown in range(len(counts), -1, -1):
            texts = [f"{count:,} {outcome}" for outcome, count in counts[:shown]]
            if shown < len(counts):
                texts.append(f"{sum(count for _, count in counts[shown:]):,} others")
            if len(f"{clock} {head} {', '.join(texts)}; {tail}") <= self._width():
                break
        outcomes = [outcome for outcome, _ in counts[:shown]] + [""]
        painted = [
            self._paint(text, "bold", *(("red",) if outcome in _TROUBLE else ()))
            for text, outcome in zip(texts, outcomes, strict=False)
        ]
        return f"{self._paint(clock, 'dim')} {self._paint(head, 'bold')} {', '.join(painted)}; {tail}"

    def _begin(self, now: float) -> None:
        self._since, self._longest = now, 0.0
        self._outcomes.clear()
        self._of_note = 0

    def _width(self) -> int:
        """The width of the terminal as it is now; of anything else, as COLUMNS says."""
        try:
            width = os.get_terminal_size(self._out.fileno()).columns
        except (OSError, ValueError):
            width = 0
        said = self._environ.get("COLUMNS", "")
        return width or (int(said) if said.isdecimal() else 0) or _DEFAULT_WIDTH


def _colour(record: LoggedRequest) -> tuple[Colour, ...]:
    if record.outcome in _FINE:
        return ("green",)
    if record.outcome in _USUAL:
        return ("dim",)
    if record.outcome in _TROUBLE or (record.status or 0) >= 500:
        return ("red",)
    return ("yellow",)


def _notes(record: LoggedRequest) -> str:
    notes = []
    if record.unguarded:
        notes.append(record.unguarded)
    if record.would:
        notes.append(f"would be {record.would}")
    if record.client_gone:
        notes.append("client gone")
    if record.upstream_status and record.upstream_status != record.status:
        notes.append(f"API said {record.upstream_status}")
    if record.fingerprint and record.outcome not in _FINE:
        notes.append(record.fingerprint)
    return ", ".join(notes)


def _duration(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.1f} ms"
    return f"{ms / 1000:.1f} s" if ms < 600_000 else f"{ms / 60_000:.0f} min"
