# The terminal output of a probe. Sends nothing.

from gateway.colours import Colour
from gateway.commands.probe.report import Phase, Result, Verdict, latency
from gateway.commands.probe.send import Plan
from gateway.commands.terminal import Mark, Terminal

EXAMPLES = 3
"""How many of the created resources a report names."""

_LEGEND: dict[Mark, str] = {
    "created": "created",
    "stopped": "refused",
    "duplicate": "created again",
    "unclear": "unclear",
}


class ProbeScreen:
    """The announcement, a strip of marks per phase that grows with each answer, and the verdict."""

    def __init__(self, terminal: Terminal, plan: Plan) -> None:
        self._terminal = terminal
        self._plan = plan
        self._accepted = False
        self._resources: set[str | None] = {None}

    def announce(self) -> None:
        """Show what is about to be sent, and where."""
        count = self._plan.count
        self._terminal.line()
        self._terminal.line(self._terminal.paint(f"{self._plan.method} {self._plan.url}", "bold", "cyan"), 2)
        self._terminal.line(f"{count} identical creates in sequence, then {count} at once. They create real things.", 2)
        self._terminal.line()

    def begin(self, name: str, fresh: bool) -> None:
        """Open a phase; a fresh one has an identity of its own."""
        again = "" if fresh else ", the same identity again"
        self._terminal.line(self._terminal.paint(name.capitalize(), "bold") + again, 2)
        if fresh:
            self._accepted = False
            self._resources = {None}

    def answer(self, result: Result) -> None:
        """Add one answer to the strip."""
        self._terminal.mark(self._mark(result), 4)

    def end(self, phase: Phase, seconds: float) -> None:
        """Close a phase with its figures."""
        self._terminal.end_strip()
        sent = len(phase.results)
        rest = "" if sent == self._plan.count else f", the other {self._plan.count - sent} not: no answer"
        self._pair("sent", f"{sent} in {seconds:.2f} s{rest}")
        statuses = ", ".join(f"{count} x {status}" for status, count in phase.statuses.items())
        if statuses:
            self._pair("answers", statuses)
        for error, count in phase.errors.items():
            self._pair("unanswered", f"{count} x {error}")
        named = phase.resources
        if named:
            more = ", ..." if len(named) > EXAMPLES else ""
            self._pair("resources", f"{len(named)} different: {', '.join(named[:EXAMPLES])}{more}")
        times = latency(phase)
        if times is not None:
            text = f"min {times.min:.1f} ms, median {times.median:.1f} ms, max {times.max:.1f} ms"
            self._pair("latency", text)
        self._terminal.line()

    def conclude(self, verdict: Verdict) -> None:
        """Show the legend of the strips, then the verdict and its limits."""
        signs = "   ".join(f"{self._terminal.sign(mark)} {text}" for mark, text in _LEGEND.items())
        self._terminal.line(signs, 4)
        self._terminal.line()
        colour: Colour = "green" if verdict.kind == "stops" else "red" if verdict.kind == "makes" else "yellow"
        self._terminal.prose(verdict.text, 2, "bold", colour)
        for limit in verdict.limits:
            self._terminal.prose(limit, 2, "dim")
        self._terminal.line()

    def _pair(self, name: str, value: str) -> None:
        self._terminal.pair(name, value, 4, 12)

    def _mark(self, result: Result) -> Mark:
        if result.refused:
            return "stopped"
        if not result.accepted:
            return "unclear"
        first, self._accepted = not self._accepted, True
        again = result.resource in self._resources
        self._resources.add(result.resource)
        return "created" if first else "unclear" if again else "duplicate"
