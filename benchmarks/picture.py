# Draws figures as SVG, on a white background so that they are readable on a dark page too.

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_WIDTH = 860
_INK, _SOFT, _GRID = "#1f2328", "#59636e", "#d8dee4"
_OURS, _OTHERS = "#0a6ebd", "#a9b4bf"
_LINES = ("#0a6ebd", "#c2410c", "#15803d", "#7e22ce")


@dataclass(frozen=True)
class Timeline:
    """A panel of lines over time."""

    title: str
    lines: dict[str, str]
    """What each line is called, and the series that it shows."""


def comparison_picture(figures: dict[str, Any]) -> str:
    """Return a picture of CPU per request: a group of bars for each scenario."""
    parts = [_text(700, 60, "gateway / it", colour=_SOFT)]
    names = list(dict.fromkeys(row["scenario"] for row in figures["results"]))
    longest = max(row["cpu_us"] for row in figures["results"])
    left, space, y = 210, 430, 60.0
    for name in names:
        parts.append(_text(20, y + 4, name, weight="600"))
        y += 14
        for row in (row for row in figures["results"] if row["scenario"] == name):
            ours = row["ratio"] is None
            width = row["cpu_us"] / longest * space
            parts.append(_text(left - 8, y + 14, row["proxy"], anchor="end", colour=_INK if ours else _SOFT))
            parts.append(_box(left, y + 3, width, 15, _OURS if ours else _OTHERS))
            parts.append(_text(left + width + 6, y + 14, f"{row['cpu_us']:.0f}", colour=_INK if ours else _SOFT))
            if not ours:
                aim = "" if row["aim"] is None else f"   (aim {row['aim']:g})"
                parts.append(_text(700, y + 14, f"{row['ratio']:.2f}{aim}"))
            y += 21
        y += 22
    parts.append(_footer(figures, y))
    return _drawing("CPU per request, µs, user and system, of all processes", parts, y + 16)


def growth_picture(figures: dict[str, Any]) -> str:
    """Return a picture of CPU per request as work grows: one panel for each series, one line for each scenario."""
    parts: list[str] = []
    width, height, top = 400, 250, 50
    for place, series in enumerate(figures["series"]):
        x, y = 20 + place % 2 * (width + 20), top + place // 2 * height
        parts += _panel(series, x, y, width, height - 40)
    rows = (len(figures["series"]) + 1) // 2
    bottom = top + rows * height + 10
    parts.append(_footer(figures, bottom))
    return _drawing("CPU per request as work grows, µs", parts, bottom + 16)


def _panel(series: dict[str, Any], x: float, y: float, width: float, height: float) -> Iterable[str]:
    labels = list(dict.fromkeys(row["at"] for row in series["rows"]))
    names = list(dict.fromkeys(row["scenario"] for row in series["rows"]))
    highest = max(row["cpu_us"] for row in series["rows"])
    left, floor, ceiling = x + 20, y + height - 44, y + 46
    step = (width - 60) / max(1, len(labels) - 1)
    yield _text(x, y + 12, series["name"], weight="600")
    yield f'<path d="M{left - 10} {floor}H{x + width - 20}" stroke="{_GRID}"/>'
    for number, label in enumerate(labels):
        yield _text(left + number * step, floor + 32, label, anchor="middle", colour=_SOFT)
    for number, (name, colour) in enumerate(zip(names, _LINES, strict=False)):
        yield _text(x + number * 130, y + 30, name, colour=colour)
        rows = [row for row in series["rows"] if row["scenario"] == name]
        points = [
            (left + labels.index(row["at"]) * step, floor - row["cpu_us"] / highest * (floor - ceiling - 14), row)
            for row in rows
        ]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for px, py, row in points:
            highest_here = max(other["cpu_us"] for other in series["rows"] if other["at"] == row["at"])
            above = row["cpu_us"] == highest_here
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>'
            yield _text(px, py - 8 if above else py + 18, f"{row['cpu_us']:.0f}", anchor="middle", colour=colour)


def timeline_picture(title: str, panels: Sequence[Timeline], figures: dict[str, Any], warm_up: float) -> str:
    """Return a picture of what `figures["series"]` were over time; the first `warm_up` seconds have a grey ground."""
    parts: list[str] = []
    width, height, top = 400, 190, 50
    for place, panel in enumerate(panels):
        x, y = 20 + place % 2 * (width + 20), top + place // 2 * height
        parts += _timeline(panel, figures["series"], warm_up, (x, y, width, height - 26))
    bottom = top + (len(panels) + 1) // 2 * height + 10
    parts.append(_footer(figures, bottom))
    return _drawing(title, parts, bottom + 16)


def _timeline(
    panel: Timeline, series: dict[str, list[float]], warm_up: float, place: tuple[float, float, float, float]
) -> Iterable[str]:
    x, y, width, height = place
    seconds = series["seconds"]
    left, right, ceiling, floor = x + 44, x + width - 10, y + 42, y + height - 20
    every = _nice(max(max(series[name]) for name in panel.lines.values()) / 3)
    most = max(every * math.ceil(max(max(series[name]) for name in panel.lines.values()) / every), every)
    per_second, per_unit = (right - left) / seconds[-1], (floor - ceiling) / most
    yield _text(x, y + 12, panel.title, weight="600")
    yield f'<path d="M{left} {ceiling}h{warm_up * per_second:.1f}V{floor}H{left}z" fill="#f0f2f5"/>'
    for step in range(round(most / every) + 1):
        height_of = floor - step * every * per_unit
        yield f'<path d="M{left} {height_of:.1f}H{right}" stroke="{_GRID}"/>'
        yield _text(left - 6, height_of + 4, f"{step * every:,.10g}", anchor="end", colour=_SOFT)
    unit, word = (60, "min") if seconds[-1] > 150 else (1, "s")
    minutes = _nice(seconds[-1] / unit / 6)
    for count in itertools.takewhile(lambda count: count * minutes * unit <= seconds[-1], itertools.count()):
        label = f"{count * minutes:g}{f' {word}' if count == 0 else ''}"
        yield _text(left + count * minutes * unit * per_second, floor + 16, label, anchor="middle", colour=_SOFT)
    at = x
    for (label, name), colour in zip(panel.lines.items(), _LINES, strict=False):
        yield _text(at, y + 30, label, colour=colour)
        at += 7 * len(label) + 16
        points = zip(seconds, series[name], strict=True)
        path = " ".join(f"{left + when * per_second:.1f},{floor - value * per_unit:.1f}" for when, value in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _nice(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on, that is not below."""
    power = 10.0 ** math.floor(math.log10(max(number, 1e-9)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= number * 0.999)


def _footer(figures: dict[str, Any], y: float) -> str:
    facts = figures["machine"]
    return _text(20, y, f"{facts['date']}, {facts['processor']}, {facts['cores']} cores", colour=_SOFT)


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = _INK, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>'


def _drawing(title: str, parts: Iterable[str], height: float) -> str:
    size = f'width="{_WIDTH}" height="{height:.0f}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" {size} {font}>',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            _text(20, 28, title, weight="600").replace("<text ", '<text font-size="16" ', 1),
            *parts,
            "</svg>",
            "",
        ]
    )
