# `gateway run`: runs the gateway.

import argparse
import asyncio
import os
import sys
from pathlib import Path

import uvloop

from gateway.commands.processes import start_example
from gateway.config import load
from gateway.config.endpoints import TcpAddress, UnixAddress, parse_listen, parse_upstream
from gateway.config.schema import Config
from gateway.errors import ConfigError, GatewayError
from gateway.process.server import serve

SUMMARY = "put the gateway in front of your API"

DESCRIPTION = """\
Runs the gateway with a rules file until SIGTERM or Ctrl-C. Requests in flight finish and settle first.

  $ gateway run -c gateway.toml

With --example, the API behind it is a small users API that the command starts on the upstream's address, with
a database of its own (example.db) and a delay of half a second for creates, so that overlaps are visible:

  $ gateway run -c config/gateway.toml --example
"""

EXAMPLE_DELAY = 0.5
TRY_IT = """\
The gateway runs in front of an example API. In another terminal, in this directory:

  curl -i {server}/users -H 'Content-Type: application/json' \\
       -d '{{"name": "Ada", "email": "ada@example.com", "username": "ada"}}'

  the first time it answers 201; again, and it answers 409 and says where the user is.
  Fifty at once: {program} probe {server}/users -n 50 \\
       -d '{{"name": "Bob", "email": "bob{{{{unique}}}}@example.com", "username": "bob{{{{unique}}}}"}}'
  What the API has: curl {server}/users
  Stop with Ctrl-C, start again, send the same create: still 409.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--example", action="store_true", help="start the example API as the upstream")


def execute(args: argparse.Namespace) -> int:
    """Serve until stopped; return the exit code."""
    try:
        config = load(args.config)
    except ConfigError as error:
        print(f"{args.config} cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 1
    if crash_at := os.environ.get("GATEWAY_CRASH_AT"):
        from gateway.process import crash  # imported only when needed

        crash.arm(crash_at)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_with_example(config, args.config) if args.example else serve(config, args.config))
    return 0


async def _with_example(config: Config, path: Path) -> None:
    url = None if config.upstream is None else config.upstream.url
    upstream = None if url is None else parse_upstream(url)
    if upstream is None or upstream.unix is not None or upstream.tls:
        raise GatewayError("--example needs an upstream.url of the form http://127.0.0.1:PORT")
    child = await start_example(f"{upstream.host}:{upstream.port}", "example.db", EXAMPLE_DELAY)
    try:
        print(TRY_IT.format(server=_url(config.server.listen), program=_program()), file=sys.stderr)
        await serve(config, path)
    finally:
        await child.stop()


def _url(listen: str) -> str:
    """The URL of the gateway on this machine, for curl."""
    address = parse_listen(listen)
    if isinstance(address, UnixAddress):
        return f"--unix-socket {address.path} http://localhost"
    everywhere = address.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on
    return f"http://{TcpAddress('127.0.0.1', address.port) if everywhere else address}"


def _program() -> str:
    """The command by which this program was started."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return "python -m gateway"
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)
