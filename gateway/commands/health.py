# `gateway health`: asks a running gateway whether it is ready. Used by a container's HEALTHCHECK.

import argparse
import asyncio
import json
from pathlib import Path

from gateway.commands.admin_client import Listener, Unanswered, ask
from gateway.config import load

SUMMARY = "ask a running gateway whether it is ready"

DESCRIPTION = """\
Asks the admin listener named in the rules file whether the gateway is ready: it listens, is not draining, and
its store commits.

  $ gateway health -c gateway.toml
  ready

Exit codes: 0 it is ready, 1 it is not or cannot be reached, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=3.0, help="how long to wait (default: 3)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Ask, print the answer, return the exit code."""
    try:
        _, answer = asyncio.run(ask("GET", "/readyz", Listener(load(args.config).admin.listen), args.timeout))
    except Unanswered as error:
        answer = {"ready": False, "reason": str(error)}
    if args.json:
        print(json.dumps(answer))
    else:
        print("ready" if answer["ready"] else f"not ready: {answer['reason']}")
    return 0 if answer["ready"] else 1
