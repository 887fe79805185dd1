# Tables on a terminal, and the same as plain text where the output is piped. What a cell says is never taken for a mark
# or a control sequence.

import sys
from collections.abc import Sequence

import msgspec

GAP = "  "


class Column(msgspec.Struct, frozen=True):
    """One column of a table."""

    name: str
    is_number: bool = False
    is_whole: bool = False
    """Whether its cells are never cut or wrapped."""


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: by rich on a terminal, as aligned text elsewhere."""
    shown = [[safe(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join(_plain([[column.name for column in columns], *shown], columns)))
        return
    from rich.console import Console  # what is piped needs no rich, which takes long to import
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, len(GAP), 0, 0))
    for column in columns:
        table.add_column(
            Text(column.name),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_whole,
            overflow="fold",
        )
    for row in shown:
        table.add_row(*[Text(cell) for cell in row])
    Console(markup=False, highlight=False, emoji=False).print(table)


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, the values in a column; a name that is empty goes on with the value before."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name:<{width}}{GAP}{safe(value)}".rstrip())


def terminal_width() -> int | None:
    """Columns of the terminal; None when the output is none."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console().width


def safe(text: str) -> str:
    """The text, with what is no printable character as an escape: it must not command the terminal."""
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])


def age(seconds: float) -> str:
    """A length of time, short: "12s", "5m", "3h", "2d"."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length or (seconds >= length and unit != "d"):
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def _plain(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines
