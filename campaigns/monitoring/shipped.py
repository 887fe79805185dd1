# What deploy/monitoring ships: its rules, the expressions of its dashboard, and what these name.

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
DASHBOARD = MONITORING / "dashboard.json"
RULES = tuple(sorted((MONITORING / "rules").glob("*.yml")))
OF_TARGETS = frozenset({"job", "instance", "pod"})
"""Labels that a scrape gives to all series."""

_NAME = re.compile(r"(?<![\w:])(?:rule:[\w:]+|(?:gateway|process)_\w+|up)(?![\w:])")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_VARIABLE = re.compile(r"label_values\((.+), (\w+)\)")


class Shown(NamedTuple):
    """An expression of the dashboard."""

    panel: str
    expression: str


class Selector(NamedTuple):
    """What an expression selects of one metric: its name, and each label with what it must match."""

    name: str
    matchers: tuple[tuple[str, str], ...]


def scrapes(token: Path | None) -> str:
    """Prometheus's configuration; with a file that holds a token, its lines about one are no comments."""
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    if token is None:
        return text
    asking = re.sub(r"^    # (authorization:|  credentials_file:)", r"    \1", text, flags=re.MULTILINE)
    return asking.replace("/etc/prometheus/gateway.token", str(token))


def rules(path: Path) -> Iterator[dict[str, Any]]:
    """The rules of one file."""
    for group in YAML(typ="safe", pure=True).load(path)["groups"]:
        yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """All alerts."""
    return [rule for path in RULES for rule in rules(path) if "alert" in rule]


def dashboard() -> dict[str, Any]:
    """The dashboard, parsed."""
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def shown() -> list[Shown]:
    """The expressions of all panels and annotations, with the dashboard's variables in them."""
    board = dashboard()
    return [
        *(Shown(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())),
        *(Shown(each["name"], each["expr"]) for each in board["annotations"]["list"] if "expr" in each),
    ]


def variables() -> list[tuple[str, str, str]]:
    """The variables that are asked from Prometheus: name, selector of series, and label."""
    found = []
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            asked = _VARIABLE.fullmatch(variable["query"]["query"])
            assert asked, variable["name"]
            found.append((variable["name"], asked[1], asked[2]))
    return found


def expressions() -> list[str]:
    """All expressions: of rules, panels and variables."""
    return [
        *(rule["expr"] for path in RULES for rule in rules(path)),
        *(expression for _, expression in shown()),
        *(selector for _, selector, _ in variables()),
    ]


def metrics_in(expression: str) -> set[str]:
    """The metrics of gateways and their targets that an expression names, recorded ones included."""
    return set(_NAME.findall(_GROUPING.sub("", _SELECTOR.sub(r"\1", expression))))


def selectors_in(expression: str) -> list[Selector]:
    """What an expression selects, wherever labels are given."""
    return [Selector(name, tuple(_MATCHER.findall(inside))) for name, inside in _SELECTOR.findall(expression)]


def grouping_labels(expression: str) -> set[str]:
    """The labels by which an expression groups or matches."""
    inside: Sequence[str] = _GROUPING.findall(expression)
    return {label.strip() for labels in inside for label in labels.split(",") if label.strip()}
