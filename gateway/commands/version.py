# `gateway version`: prints the installed versions, for bug reports.

import argparse
import json
import platform
import sqlite3
from importlib.metadata import version

from gateway import __version__

SUMMARY = "print the installed versions"

DESCRIPTION = """\
Prints the versions of the gateway and of its dependencies, for bug reports.

  $ gateway version --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def execute(args: argparse.Namespace) -> int:
    """Print the versions; return the exit code."""
    versions = {
        "idempotency-gateway": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("aiohttp", "aiosqlite", "msgspec", "uvloop")},
    }
    if args.json:
        print(json.dumps(versions, indent=2))
    else:
        print("\n".join(f"{name:<20} {number}" for name, number in versions.items()))
    return 0
