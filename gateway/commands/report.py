# `gateway report`: what creates met in a running gateway, and what rules in shadow would have stopped.

import argparse
import json
from collections.abc import Mapping
from typing import Any

from gateway.commands.admin_client import add_listener, call, given_listener
from gateway.commands.tables import Column, age, safe, show_table

SUMMARY = "say what rules have stopped, and what those in shadow would have"

DESCRIPTION = """\
Asks a running gateway, on its admin listener, what its rules have stopped: for each rule how many creates it has
seen and for how long, and for each entry how many of them met a conflict, of which kind and of how many callers.
Of a rule with mode = "shadow" it says what it would have stopped, and what to do next.

  $ gateway report -c gateway.toml
  RULE         MODE    SINCE  CREATES  ENTRY  KIND       COUNT  CALLERS
  create-user  shadow  3d       4,000  email  duplicate     12        3

  create-user: It would have stopped 12 of 4,000 creates (0.3%), of 3 callers, in 3 days: 12 duplicate. ...

Counting begins with the process, and anew when a reload changes the rule. With --json, what the listener answers
(GET /report). Exit codes: 0 asked, 1 the gateway could not be asked, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_listener(parser)


def execute(args: argparse.Namespace) -> int:
    """Ask, print, return the exit code. Raises GatewayError when no gateway can be asked."""
    report = call(given_listener(args), "GET", "/report", args.timeout)
    if args.json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    elif report["rules"]:
        _show(report["rules"])
    else:
        print("there are no rules")
    return 0


def _show(rules: list[Mapping[str, Any]]) -> None:
    columns = [
        Column("RULE"),
        Column("MODE", is_whole=True),
        Column("SINCE", is_whole=True),
        Column("CREATES", is_number=True),
        Column("ENTRY"),
        Column("KIND", is_whole=True),
        Column("COUNT", is_number=True),
        Column("CALLERS", is_number=True),
    ]
    show_table(columns, [row for rule in rules for row in _rows(rule)])
    print()
    for rule in rules:
        print(f"{safe(rule['rule'])}: {rule['next_step']}")


def _rows(rule: Mapping[str, Any]) -> list[list[str]]:
    since = "-" if rule["since"] is None else age(rule["seconds"])
    first = [rule["rule"], rule["mode"], since, f"{rule['creates']:,}"]
    rows = [[each["entry"] or "-", each["kind"], f"{each['count']:,}", _callers(each)] for each in rule["conflicts"]]
    rows = rows or [["-", "-", "-", "-"]]
    return [first + rows[0], *[["", "", "", "", *row] for row in rows[1:]]]


def _callers(conflict: Mapping[str, Any]) -> str:
    if not conflict["callers"]:
        return "-"
    return f"{'>' if conflict['more_callers'] else ''}{conflict['callers']:,}"
