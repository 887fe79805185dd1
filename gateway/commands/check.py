# `gateway check`: reports all problems of a rules file, and of the files and directories that it needs.

import argparse
import json
from pathlib import Path

from gateway.commands import provision
from gateway.config import load
from gateway.config.advice import advise
from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.process.descriptors import highest_limit, shortage

SUMMARY = "list every problem of a rules file"

DESCRIPTION = """\
Reads a rules file as `gateway run` would, and checks what it needs on this machine: the file with the
fingerprint key, certificates and their keys, the directories of the store and of sockets, the store itself.
It opens no listener, sends nothing, and changes nothing.

Prints one line for each problem, in the order of the file: where it is, what is wrong, what would be valid.

  $ gateway check -c gateway.toml
  upstream.connect_timeout: 2 has no unit; write it in quotes with its unit, "2s" if seconds were meant
  rule "create-user", keep: must be longer than nothing; write a time such as "24h", or "forever"

It may also print hints, each on a line that starts with "hint:". They are about what is valid and probably not
meant, and do not change the exit code.

With --json, one object: {"file": ..., "fine": true or false, "rules": how many, "problems": [...], "hints": [...]}.

Exit codes: 0 the file is fine, 1 it has problems, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def execute(args: argparse.Namespace) -> int:
    """Print every problem, or that there is none; return the exit code."""
    problems, hints, count = _check(args.config)
    if args.json:
        answer = {
            "file": str(args.config),
            "fine": not problems,
            "rules": count,
            "problems": problems,
            "hints": hints,
        }
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        fine = f"{args.config}: fine, {count} {'rule' if count == 1 else 'rules'}"
        print("\n".join([*(problems or [fine]), *[f"hint: {hint}" for hint in hints]]))
    return 1 if problems else 0


def _check(path: Path) -> tuple[list[str], list[str], int | None]:
    """Find problems and hints, and count the rules; None when the file could not be read as a configuration."""
    try:
        config = load(path)
    except ConfigError as error:
        return error.problems, [], None
    return provision.problems(config), [*advise(config), *_about_limits(config)], len(config.active_rules)


def _about_limits(config: Config) -> list[str]:
    """Hints about limits of the system, as they are for this process."""
    limit = highest_limit()
    short = shortage(config, limit)
    if short is None:
        return []
    return [f"up to {short[0]} file descriptors may be needed, and the limit here is {limit}: {short[1]}"]
