# The verbs. Each lives in a module of gateway.commands; this file only finds it and hands it its arguments.

import argparse
import sys
from types import ModuleType

from gateway import __version__
from gateway.commands import check, demo, explain, health, probe, reload, run, show, version
from gateway.errors import GatewayError

DESCRIPTION = """\
A reverse proxy that stops duplicate creates in front of an HTTP API nobody wants to change.

A create is forwarded again only when it is certain that the first one did not happen.
"""
EPILOG = """\
Start here:
  gateway demo                         watch the whole story, nothing to set up
  gateway check -c gateway.toml        is this rules file fine?
  gateway run -c gateway.toml          put the gateway in front of your API

Exit codes: 0 fine, 1 the thing asked about is wrong, 2 the command line is wrong.
"""
COMMANDS: dict[str, ModuleType] = {
    "run": run,
    "check": check,
    "show": show,
    "explain": explain,
    "demo": demo,
    "probe": probe,
    "reload": reload,
    "health": health,
    "version": version,
}


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("gateway", description=DESCRIPTION, epilog=EPILOG, formatter_class=plain)
    top.add_argument("--version", action="version", version=f"idempotency-gateway {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        verb = verbs.add_parser(name, help=module.SUMMARY, description=module.DESCRIPTION, formatter_class=plain)
        module.configure(verb)
        verb.set_defaults(execute=module.execute)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    args = parser().parse_args(arguments)
    try:
        return int(args.execute(args))
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter must not complain about it at exit.
        sys.stdout = None
        return 0
