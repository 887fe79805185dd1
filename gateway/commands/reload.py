# `gateway reload`: makes a running gateway reload its rules file.

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from gateway.commands import provision
from gateway.commands.admin_client import NotDone, Unanswered, ask, listener_of
from gateway.config import load
from gateway.config.changes import Reload
from gateway.errors import ConfigError, GatewayError

_ANSWERED = {200, 422}
"""Statuses of a reload: it was applied, or has problems."""
_UNAUTHORIZED = 401
SUMMARY = "make a running gateway reload its rules file"

DESCRIPTION = """\
Checks the rules file as `gateway check` does. If it has no problems, asks the gateway that runs with it, through the
admin listener in the file, to read it again. Requests in progress finish with the rules that they began with. A file
with problems changes nothing.

  $ gateway reload -c gateway.toml
  gateway.toml: applied, 2 rules

Changes of some keys need a restart, and are listed: listeners, the store, the fingerprint key.

It also says which entries have another identity since, so that what was created before stops no create any more.
`gateway check --against-store` says that before, and `previous` of an entry prevents it.

With --json, one object: {"rules": how many, "restart": [keys], "problems": [...], "lost": [entries]}.

Exit codes: 0 it was applied, 1 it has problems or no gateway could be asked, 2 the command line is invalid.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help="how long to wait (default: 30)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Check, ask, print the result, return the exit code. Raises GatewayError when no gateway can be asked."""
    result = _reload(args.config, args.timeout)
    if args.json:
        print(json.dumps(msgspec.to_builtins(result), ensure_ascii=False))
    elif result.problems:
        print("\n".join(result.problems))
    else:
        print(f"{args.config}: applied, {result.rules} {'rule' if result.rules == 1 else 'rules'}")
        if result.restart:
            print(f"waiting for a restart: {', '.join(result.restart)}")
        for entry in result.lost:
            what = "is there no more" if entry.removed else "has another identity"
            lost = "what was created before stops no create any more"
            print(f'rule "{entry.rule}", entry "{entry.entry}" {what}: {lost}')
    return 1 if result.problems else 0


def _reload(path: Path, timeout: float) -> Reload:
    try:
        config = load(path)
    except ConfigError as error:
        return Reload(problems=tuple(error.problems))
    if found := provision.problems(config):
        return Reload(problems=tuple(found))
    try:
        status, answer = asyncio.run(ask("POST", "/reload", listener_of(config), timeout))
    except Unanswered as error:
        raise GatewayError(f"{error}; if admin.listen was changed, restart the gateway, or send it SIGHUP") from error
    if status == _UNAUTHORIZED:
        raise GatewayError("the gateway wants another token than the file has; if that was changed, send it SIGHUP")
    if status not in _ANSWERED:
        raise NotDone(answer, status)
    return msgspec.convert(answer, Reload)
