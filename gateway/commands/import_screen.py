# What an import shows while it runs, and of how it has ended. A progress bar on a terminal, plain lines elsewhere;
# nothing of what lines say.

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.commands.tables import safe
from gateway.process.import_shapes import Part, Problem

_EVERY = 5.0
"""Seconds between two lines about how far it is, where there is no bar."""
_ON_TERMINAL = 20
"""Problems that are shown on a terminal."""
MAX_PROBLEMS = 1000
"""Problems that are kept, for JSON."""


class Progress:
    """How far an import is. Mutable state: all of it."""

    def __init__(self, size: int | None, *, is_quiet: bool) -> None:
        """`size` is how many bytes there are, if that is known; with `is_quiet` nothing is shown but a bar."""
        self.part = Part()
        """What became of all lines."""
        self.next_line = 1
        """The first line that is not done."""
        self._began = self._told = time.monotonic()
        self._size = size
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None
        self._shown = 0

    def __repr__(self) -> str:
        return f"Progress({self.next_line})"

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._began

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show a bar meanwhile, on a terminal."""
        if not self._is_terminal:
            yield
            return
        from rich.console import Console  # what is piped needs no rich, which takes long to import
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True, markup=False, highlight=False, emoji=False)) as self._bar:
            self._task = self._bar.add_task("", total=self._size, told="")
            yield
        self._bar = None

    def count(self, part: Part, size: int, next_line: int) -> None:
        """Add what became of some lines, which took so many bytes of the file."""
        whole = self.part
        for name in ("lines", "added", "present", "held", "expired", "wrong"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        for rule, count in part.gone_rules.items():
            whole.gone_rules[rule] = whole.gone_rules.get(rule, 0) + count
        whole.problems += part.problems[: MAX_PROBLEMS - len(whole.problems)]
        self.next_line = next_line
        for problem in part.problems:
            self._tell_problem(problem)
        told = f"{whole.lines:,} lines, {whole.lines / max(self.seconds, 0.001):,.0f}/s"
        if self._bar is not None:
            self._bar.update(self._task, advance=size, told=told)
        elif not self._is_quiet and time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            print(told, file=sys.stderr)

    def _tell_problem(self, problem: Problem) -> None:
        if self._is_quiet:
            return
        self._shown += 1
        if self._is_terminal and self._shown > _ON_TERMINAL:
            return
        text = problem_text(problem)
        if self._is_terminal and self._shown == _ON_TERMINAL:
            text += "\nFurther lines are only counted here: 2> FILE has all of them"
        if self._bar is None:
            print(text, file=sys.stderr)
        else:
            self._bar.console.print(text, soft_wrap=True)


def problem_text(problem: Problem) -> str:
    """One line about a line."""
    if problem.entry is None:
        return f"line {problem.line}: {safe(problem.why)}"
    return f'line {problem.line}: "{safe(problem.entry)}" is {safe(problem.why)} (claim {problem.fingerprint})'


def show_summary(progress: Progress, error: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Say what an import has done; `error` is why it did not end, if it did not."""
    part = progress.part
    if as_json:
        found = {name: value for name, value in msgspec.to_builtins(part).items() if name != "is_stopped"}
        ending = {"dry_run": dry_run, "complete": error is None, "next_line": progress.next_line if error else None}
        seconds = {"seconds": round(progress.seconds, 3)}
        print(
            json.dumps(
                {**found, **ending, **seconds, **({"error": error} if error else {})}, ensure_ascii=False, indent=2
            )
        )
        return
    would = "would be added" if dry_run else "added"
    facts = [f"{_counted(part.lines, 'line')}: {_counted(part.added, 'claim')} {would}"]
    facts += [f"{part.present:,} there from an earlier import"] if part.present else []
    facts += [f"{part.held:,} held already"] if part.held else []
    facts += [f"{part.expired:,} expired"] if part.expired else []
    facts += [f"{_counted(part.wrong, 'line')} that cannot be read"] if part.wrong else []
    print(
        f"{', '.join(facts)}; {progress.seconds:.1f} s, {part.lines / max(progress.seconds, 0.001):,.0f} lines a second"
    )
    for rule, count in part.gone_rules.items():
        print(f'The rules file has no rule "{safe(rule)}": {count:,} of the claims are of it')


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
