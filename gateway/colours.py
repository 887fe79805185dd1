# Text for a terminal: colours, and whether to write them; nothing that would break a line.

from collections.abc import Mapping
from typing import Literal, TextIO

Colour = Literal["bold", "dim", "green", "yellow", "red", "cyan"]

_CODES: dict[Colour, str] = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "cyan": "36"}


def wants_colours(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream gets colours: a terminal that knows some, or with FORCE_COLOR any; with NO_COLOR none."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (out.isatty() and environ.get("TERM") != "dumb")


def paint(text: str, *colours: Colour) -> str:
    """Return the text in these colours."""
    if not colours or not text:
        return text
    return f"\x1b[{';'.join([_CODES[colour] for colour in colours])}m{text}\x1b[0m"


def printable(text: str) -> str:
    """The text unchanged, or escaped when it contains unprintable characters."""
    return text if text.isprintable() else ascii(text)


def is_unicode(out: TextIO) -> bool:
    """Whether a stream takes any character."""
    return (out.encoding or "").lower().replace("-", "") == "utf8"
