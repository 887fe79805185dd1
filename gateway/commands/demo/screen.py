# The output of the demo, as text or JSON. Starts no processes.

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.colours import Colour
from gateway.commands.demo.scenes import Answer, Outcome, Restart, Scene, Send, Tally
from gateway.commands.terminal import Mark, Terminal

PROBLEM_MEMBERS = ("title", "detail", "conflictField", "existingResourceLink", "suggestedNextStep")
_COLUMN = 22
_RESTARTS = {
    "api": "the API is started again",
    "gateway": "kill -9 of the gateway; it is started again on the same store",
}


class DemoShow(Protocol):
    """The output of the demo: for a person, or for a program."""

    def open(self, gateway: str, api: str, rules: str) -> None:
        """Show the addresses and the rules file."""

    def begin(self, scene: Scene) -> None:
        """Show that a scene begins."""

    def restarted(self, restart: Restart) -> None:
        """Show that a process was restarted."""

    def sent(self, send: Send, answers: Sequence[Answer]) -> None:
        """Show a request, and its results."""

    def end(self, scene: Scene, outcome: Outcome) -> None:
        """Show the outcome of a scene."""

    def close(self, tally: Tally) -> None:
        """Show the counts over all scenes."""


class DemoLines:
    """Prints one JSON object for each scene, and one for the totals."""

    def open(self, gateway: str, api: str, rules: str) -> None:
        """Print nothing: the processes have ended when the output is read."""

    def begin(self, scene: Scene) -> None:
        """Print nothing before the scene's outcome is known."""

    def restarted(self, restart: Restart) -> None:
        """Print nothing before the scene's outcome is known."""

    def sent(self, send: Send, answers: Sequence[Answer]) -> None:
        """Print nothing before the scene's outcome is known."""

    def end(self, scene: Scene, outcome: Outcome) -> None:
        """Print the outcome; equal answers are counted, and the first of them is shown."""
        sends = [[_as_object(kind) for kind in _kinds(answers)] for answers in outcome.sends]
        line = {"step": scene.name, "ok": outcome.ok, "title": scene.title, "sends": sends}
        counts = {"reached": outcome.reached, "rows": outcome.rows, "failures": outcome.failures}
        print(msgspec.json.encode({**line, **counts}).decode(), flush=True)

    def close(self, tally: Tally) -> None:
        """Print the counts."""
        counts = msgspec.structs.asdict(tally)
        print(msgspec.json.encode({"step": "summary", "ok": tally.duplicates == 0, **counts}).decode(), flush=True)


class DemoScreen:
    """Shows the set-up, each step of each scene, and the totals."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._number = 0

    def open(self, gateway: str, api: str, rules: str) -> None:
        """Show the addresses and the rules file."""
        show = self._terminal
        show.line()
        show.line(f"client  -->  {show.paint(f'gateway {gateway}', 'bold', 'cyan')}  -->  example API {api}", 2)
        show.line()
        show.prose("The API checks nothing: two equal creates are two rows. The gateway runs on this rules file:", 2)
        show.line()
        for line in rules.splitlines():
            show.line(show.paint(line, "dim"), 6)
        show.line()

    def begin(self, scene: Scene) -> None:
        """Show a scene's title."""
        self._number += 1
        show = self._terminal
        show.line(show.paint(f"{self._number}  {scene.title}", "bold"), 2)

    def restarted(self, restart: Restart) -> None:
        """Show that a process was restarted."""
        self._terminal.line(self._terminal.paint(_RESTARTS[restart.what], "cyan"), 5)

    def sent(self, send: Send, answers: Sequence[Answer]) -> None:
        """Show a request and its results."""
        show = self._terminal
        times = f"{send.times} x " if send.times > 1 else ""
        body = msgspec.json.encode(send.user).decode()
        show.line(f"{show.paint('>', 'dim')} {times}POST /users  {show.paint(body, 'dim')}", 5)
        if send.times > 1:
            for answer in answers:
                show.mark(_mark(answer), 7)
            show.end_strip()
        for kind in _kinds(answers):
            text, count = _in_words(kind[0]), len(kind)
            repeated = f"{count:2} x " if send.times > 1 else ""
            colour: Colour = "green" if text.startswith("201") else "yellow"
            show.line(f"{show.paint('<', 'dim')} {repeated}{show.paint(text, colour)}", 5)
        if send.show_body:
            problem = answers[0].problem or {}
            for member in PROBLEM_MEMBERS:
                if member in problem:
                    show.pair(member, str(problem[member]), 7, _COLUMN)

    def end(self, scene: Scene, outcome: Outcome) -> None:
        """Show a scene's counts and its explanation, or what was not as expected."""
        show = self._terminal
        for failure in outcome.failures:
            show.prose(f"not as expected: {failure}", 5, "bold", "red")
        if outcome.ok:
            counts = f"reached the API: {outcome.reached}   new rows: {outcome.rows}"
            show.line(f"{show.paint('ok', 'bold', 'green')}  {counts}", 5)
            show.prose(scene.moral, 9, "dim")
        show.line()

    def close(self, tally: Tally) -> None:
        """Show the counts over all scenes."""
        show = self._terminal
        bars: tuple[tuple[str, int, Mark], ...] = (
            ("creates sent", tally.sent, "stopped"),
            ("reached the API", tally.reached, "created"),
            ("rows in the API", tally.rows, "created"),
            ("duplicates", tally.duplicates, "duplicate"),
        )
        for name, count, mark in bars:
            show.line(f"{name.ljust(16)}{show.paint(f'{count:4}', 'bold')}  {show.sign(mark, count)}".rstrip(), 5)
        show.line()
        duplicates = "no duplicate" if tally.duplicates == 0 else f"{tally.duplicates} duplicates"
        verdict = f"{tally.sent} creates sent, {tally.reached} reached the API, {duplicates}"
        show.line(show.paint(verdict, "bold", "red" if tally.duplicates else "green"), 5)
        show.line()


def _mark(answer: Answer) -> Mark:
    if answer.status == 201:
        return "created"
    return "stopped" if answer.status == 409 else "unclear"


def _kinds(answers: Sequence[Answer]) -> list[list[Answer]]:
    kinds: dict[tuple[int, str], list[Answer]] = {}
    for answer in answers:
        kinds.setdefault((answer.status or 0, _in_words(answer)), []).append(answer)
    return [kinds[key] for key in sorted(kinds)]


def _as_object(kind: Sequence[Answer]) -> dict[str, object]:
    first = kind[0]
    return {"count": len(kind), "slug": first.slug, **msgspec.structs.asdict(first)}


def _in_words(answer: Answer) -> str:
    if answer.status is None:
        return f"no answer: {answer.error}"
    if answer.location is not None:
        return f"{answer.status}  Location: {answer.location}"
    field = (answer.problem or {}).get("conflictField")
    conflict = f"  conflictField: {field}" if field else ""
    return f"{answer.status} {answer.slug or ''}{conflict}".rstrip()
