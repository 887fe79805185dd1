# `gateway show`: prints the effective configuration, with secrets hidden.

import argparse
import json
import sys
from pathlib import Path

import tomli_w

from gateway.config import load
from gateway.config.writer import effective
from gateway.errors import ConfigError

SUMMARY = "print the effective configuration, defaults included and secrets hidden"

DESCRIPTION = """\
Prints the configuration that `gateway run` would use: the file's values, defaults for missing keys, and values
of the environment in place of ${NAME}. Keys that are off are left out. A secret is shown as "(hidden)".

  $ gateway show -c gateway.toml
  [upstream]
  url = "http://127.0.0.1:9000"
  connect_timeout = "2s"
  ...

The output is a valid rules file; with --json it is the same as one JSON object. For a file with problems, these
are printed to standard error, and the exit code is 1.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of TOML")


def execute(args: argparse.Namespace) -> int:
    """Print the configuration, or the file's problems; return the exit code."""
    try:
        document = effective(load(args.config))
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        print(tomli_w.dumps(document), end="")
    return 0
