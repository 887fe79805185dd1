# `gateway status`: how a running gateway is.

import argparse
import json
from collections.abc import Mapping
from typing import Any

from gateway.commands.admin_client import add_listener, call, given_listener
from gateway.commands.tables import Column, age, show_pairs, show_table

SUMMARY = "say how a running gateway is: its rules file, its store, what is unknown, its APIs"

DESCRIPTION = """\
Asks a running gateway how it is, through its admin listener, which the rules file names.

  $ gateway status -c gateway.toml
  $ gateway status --admin unix:/run/gateway-admin.sock --json

Exit codes: 0 it takes creates, 1 it does not or cannot be reached, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_listener(parser)


def execute(args: argparse.Namespace) -> int:
    """Ask, print, return the exit code. Raises GatewayError when no gateway can be asked."""
    status = call(given_listener(args), "GET", "/status", args.timeout)
    if args.json:
        print(json.dumps(status, ensure_ascii=False, indent=2))
    else:
        _show(status)
    return 0 if status["ready"] else 1


def _show(status: Mapping[str, Any]) -> None:
    config, store = status["config"], status["store"]
    pairs = [
        ("ready", "yes" if status["ready"] else f"no: {status['reason']}"),
        ("version", f"{status['version']}, up for {age(status['uptime'])}"),
        ("rules file", f"{config['path']} ({config['hash'] or 'not known'})"),
        ("", f"{config['rules']} {'rule' if config['rules'] == 1 else 'rules'}, in force since {config['loaded_at']}"),
        *[("problem", problem) for problem in config["problems"]],
        *[("identity changed", f"{each['rule']} / {each['entry']}") for each in config["lost"]],
        ("store", store["kind"] if store["healthy"] else f"{store['kind']}: {store['reason']}"),
        *([] if store["bytes"] is None else [("", f"{store['bytes'] / 1024**2:.1f} MiB")]),
        ("in flight", "not known" if status["in_flight"] is None else str(status["in_flight"])),
        *[
            ("unknown", f"oldest of {each['rule']}: {age(each['age'])}, since {each['first_seen']}")
            for each in status["oldest_unknown"]
        ],
        *[
            ("API", f"{each['name'] or '[upstream]'} {each['url']}: {'up' if each['up'] else 'DOWN'}")
            for each in status["upstreams"]
        ],
        ("loop lag", f"{status['loop_lag'] * 1000:.0f} ms"),
    ]
    if status["certificate_not_after"]:
        pairs.append(("certificate", f"until {status['certificate_not_after']}"))
    show_pairs(pairs)
    if store["claims"]:
        print()
        columns = [Column("RULE"), Column("STATE", is_whole=True), Column("CLAIMS", is_number=True)]
        show_table(columns, [[each["rule"], each["state"], str(each["count"])] for each in store["claims"]])
