# Formats figures as tables, for the terminal and docs/performance.md. As a program: updates the tables of that page
# from the JSON files in docs/.

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
_MIB = 2**20


def table(head: list[str], rows: list[list[str]], words: int) -> list[str]:
    """Return an aligned Markdown table; the first `words` columns are words, the others numbers."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = ["-" * width if column < words else "-" * (width - 1) + ":" for column, width in enumerate(widths)]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    return [line(head), line(rule), *map(line, rows)]


def comparison_lines(figures: dict[str, Any]) -> list[str]:
    """Return the table that compares the gateway with other proxies."""
    rows = [
        [
            row["scenario"],
            row["proxy"],
            f"{row['cpu_us']:.1f}",
            "" if row["ratio"] is None else f"{row['ratio']:.2f}",
            "" if row["aim"] is None else f"<= {row['aim']:g}",
            f"{row['requests_per_second']:,.0f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
        ]
        for row in figures["results"]
    ]
    head = ["scenario", "proxy", "µs CPU/request", "gateway / it", "aim", "requests/s", "p50 ms", "p99 ms"]
    runs = f"{figures['rounds']} rounds of {figures['seconds']:g} s in turns, {figures['connections']} connections"
    return [*table(head, rows, 2), "", *_circumstances(figures, runs)]


def growth_lines(figures: dict[str, Any]) -> list[str]:
    """Return what requests cost as work grows."""
    lines: list[str] = []
    for series in figures["series"]:
        rows = [
            [
                row["scenario"],
                row["at"],
                f"{row['cpu_us']:.1f}",
                "" if row["ratio"] is None else f"{row['ratio']:.2f}",
                f"{row['requests_per_second']:,.0f}",
                f"{row['p50_ms']:.2f}",
                f"{row['p99_ms']:.2f}",
            ]
            for row in series["rows"]
        ]
        head = ["scenario", series["name"], "µs CPU/request", "to the first one", "requests/s", "p50 ms", "p99 ms"]
        lines += [*table(head, rows, 2), ""]
    if figures["stores"]:
        rows = [
            [
                f"{store['claims']:,}",
                f"{store['bytes'] / _MIB:,.1f}",
                f"{store['bytes'] / store['claims']:.0f}" if store["claims"] else "",
                f"{store['start_seconds']:.1f}",
                f"{store['memory'] / _MIB:.0f}",
            ]
            for store in figures["stores"]
        ]
        head = ["claims", "store MiB", "bytes a claim", "s until it serves", "memory MiB after the load"]
        lines += [*table(head, rows, 0), ""]
    if figures["purge"]:
        rows = [
            [
                row["store"],
                f"{row['removed']:,}",
                f"{row['seconds']:.0f}",
                f"{row['requests_per_second']:,.0f}",
                f"{row['p50_ms']:.2f}",
                f"{row['p99_ms']:.2f}",
                f"{row['longest_ms']:.0f}",
            ]
            for row in figures["purge"]
        ]
        head = ["store", "claims purged", "s of load", "creates/s", "p50 ms", "p99 ms", "longest ms"]
        lines += [*table(head, rows, 1), ""]
    runs = f"{figures['rounds']} rounds of {figures['seconds']:g} s in turns"
    return [*lines, *_circumstances(figures, runs)]


def _circumstances(figures: dict[str, Any], runs: str) -> Iterator[str]:
    facts = dict(figures["machine"])
    yield (
        f"{facts.pop('date')}, {facts.pop('processor')}, {facts.pop('cores')} cores, {facts.pop('memory_gib'):.0f} GiB,"
        f" load average {facts.pop('load_average')} before; requests from {figures['load']}, {runs}."
    )
    yield ""
    versions = [facts.pop("system"), *(f"{name} {version}" for name, version in facts.items())]
    yield f"{', '.join(versions + figures.get('peers', []))}."
    for absent in figures.get("absent", []):
        yield ""
        yield f"Left out: {absent}"


def filled(page: str, name: str, lines: list[str]) -> str:
    """Return the page with other lines between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    text = "\n".join(line.rstrip() for line in lines).strip()
    return re.sub(f"(?s){start}.*?{end}", lambda _: f"{start}\n{text}\n{end}", page)


def written(page: str, docs: Path = DOCS) -> str:
    """Return the page with its tables as the JSON files say."""
    for name, lines in (("comparison", comparison_lines), ("growth", growth_lines)):
        page = filled(page, name, lines(json.loads((docs / f"{name}.json").read_text(encoding="utf-8"))))
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
