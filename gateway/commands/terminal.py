# Terminal output of `demo` and `probe`: colours, marks, columns.

import os
import textwrap
from typing import Literal, TextIO

from gateway.colours import Colour, is_unicode, paint, wants_colours

Mark = Literal["created", "stopped", "duplicate", "unclear"]

_MARKS: dict[Mark, tuple[str, str, Colour]] = {
    "created": ("█", "#", "green"),
    "stopped": ("░", ".", "yellow"),
    "duplicate": ("▓", "X", "red"),
    "unclear": ("?", "?", "cyan"),
}

WIDTH = 100
"""The line width of wrapped text."""

STRIP = 50
"""Marks in one row of a strip."""


class Terminal:
    """An output stream, with colours where it wants them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.is_terminal = out.isatty()
        self._colours = wants_colours(out, os.environ)
        self._wide = is_unicode(out)
        self._marks = 0

    def paint(self, text: str, *colours: Colour) -> str:
        """Return the text in these colours, or unchanged."""
        return paint(text, *colours) if self._colours else text

    def line(self, text: str = "", indent: int = 0) -> None:
        """Write one line."""
        self._write(f"{' ' * indent if text else ''}{text}\n")

    def prose(self, text: str, indent: int, *colours: Colour) -> None:
        """Write text, wrapped."""
        for part in textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False):
            self.line(self.paint(part, *colours), indent)

    def pair(self, name: str, value: str, indent: int, column: int) -> None:
        """Write a name, and its value wrapped in a second column."""
        parts = textwrap.wrap(value, WIDTH - indent - column, break_long_words=False) or [""]
        self.line(f"{self.paint(name.ljust(column), 'dim')}{parts[0]}", indent)
        for part in parts[1:]:
            self.line(part, indent + column)

    def sign(self, kind: Mark, times: int = 1) -> str:
        """Return a mark, for a legend or a bar."""
        fancy, plain, colour = _MARKS[kind]
        return self.paint((fancy if self._wide else plain) * times, colour) if times else ""

    def mark(self, kind: Mark, indent: int) -> None:
        """Add one mark to a strip, which shows many answers in the order of their arrival."""
        if self._marks % STRIP == 0:
            self._write(("\n" if self._marks else "") + " " * indent)
        self._marks += 1
        self._write(self.sign(kind))

    def end_strip(self) -> None:
        """End the row of marks."""
        if self._marks:
            self._write("\n")
        self._marks = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
