# `gateway check`: reports all problems of a rules file, and of the files and directories that it needs.

import argparse
import json
from pathlib import Path

import msgspec

from gateway.commands import provision
from gateway.commands.admin_client import add_other_listener
from gateway.commands.check_store import StoreCheck, check_store
from gateway.config import load
from gateway.config.advice import advise
from gateway.config.schema import Config
from gateway.errors import ConfigError, GatewayError
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

With --against-store it also says what the file does to the claims that the store has: how many were made by what
each entry is in the file, and by what it was before. Claims that stop no create any more, because an entry is
something else now, are a problem unless the entry has `previous`. The gateway that has the store is asked, by its
admin listener; where none runs, a store in a file is read.

  $ gateway check -c gateway.toml --against-store

It may also print hints, each on a line that starts with "hint:". They are about what is valid and probably not
meant, and do not change the exit code.

With --json, one object: {"file": ..., "fine": true or false, "rules": how many, "problems": [...], "hints": [...]},
and with --against-store also "store": {"asked": ..., "claims": [...]}, or null where it was not asked.

Exit codes: 0 the file is fine, 1 it has problems, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    store = parser.add_argument_group("the store")
    store.add_argument(
        "--against-store", action="store_true", help="say what the file does to the claims that the store has"
    )
    add_other_listener(store)


def execute(args: argparse.Namespace) -> int:
    """Print every problem, or that there is none; return the exit code."""
    problems, hints, count, store = _check(args)
    if args.json:
        answer = {
            "file": str(args.config),
            "fine": not problems,
            "rules": count,
            "problems": problems,
            "hints": hints,
        }
        if args.against_store:
            claims = [] if store is None else msgspec.to_builtins(store.verdict.claims)
            answer["store"] = None if store is None else {"asked": store.asked, "claims": claims}
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        fine = f"{args.config}: fine, {count} {'rule' if count == 1 else 'rules'}"
        held = [] if store is None else store.lines()
        print("\n".join([*(problems or [fine]), *[f"hint: {hint}" for hint in hints], *held]))
    return 1 if problems else 0


def _check(args: argparse.Namespace) -> tuple[list[str], list[str], int | None, StoreCheck | None]:
    """Find problems and hints, and count the rules; None when the file could not be read as a configuration.

    The store is asked where that was wanted, and there is no other problem.
    """
    try:
        config = load(args.config)
    except ConfigError as error:
        return error.problems, [], None, None
    problems, store = provision.problems(config), None
    hints = [*advise(config), *_about_limits(config)]
    if args.against_store and not problems:
        try:
            store = check_store(config, args)
        except GatewayError as error:
            problems = [f"--against-store: {error}"]
        else:
            problems, hints = store.verdict.problems, [*hints, *store.verdict.hints]
    return problems, hints, len(config.active_rules), store


def _about_limits(config: Config) -> list[str]:
    """Hints about limits of the system, as they are for this process."""
    limit = highest_limit()
    short = shortage(config, limit)
    if short is None:
        return []
    return [f"up to {short[0]} file descriptors may be needed, and the limit here is {limit}: {short[1]}"]
