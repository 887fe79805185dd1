# The command line. Each command is a module of gateway.commands; this file parses the arguments and runs it. Only the
# module of the command that is given is imported: all of them together take longer than most commands run.

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module

from gateway import __version__
from gateway.errors import GatewayError

DESCRIPTION = """\
A reverse proxy that stops duplicate creates in front of an HTTP API nobody wants to change.

A create is forwarded again only when it is certain that the first one did not happen.
"""
EPILOG = """\
Start here:
  gateway demo                         see what the gateway does, nothing to set up
  gateway check -c gateway.toml        is this rules file valid?
  gateway run -c gateway.toml          put the gateway in front of your API

Exit codes: 0 success, 1 failure, 2 invalid command line.
"""
COMMANDS = (
    *("run", "check", "show", "explain", "demo", "probe"),
    *("status", "report", "claims", "reload", "health", "version"),
)


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """Build the parser of the command line with the commands in `names`."""
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("gateway", description=DESCRIPTION, epilog=EPILOG, formatter_class=plain)
    top.add_argument("--version", action="version", version=f"idempotency-gateway {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        module = import_module(f"gateway.commands.{name}")
        verb = verbs.add_parser(name, help=module.SUMMARY, description=module.DESCRIPTION, formatter_class=plain)
        module.configure(verb)
        verb.set_defaults(execute=module.execute)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    args = parser(given[:1] if given and given[0] in COMMANDS else COMMANDS).parse_args(given)
    try:
        return int(args.execute(args))
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has closed it; the interpreter must not report that at exit.
        sys.stdout = None
        return 0
