# The example API as a process: options, listener, signals.

import argparse
import asyncio
import signal
import sqlite3
import sys

from aiohttp import web

from gateway.example.address import parse_address
from gateway.example.api import ExampleApi, say
from gateway.example.database import Database

DESCRIPTION = """\
A small users API to put the gateway in front of. It stores what it is sent and never checks whether it
exists already: the API that nobody wants to change.

    python -m gateway.example --listen 127.0.0.1:9000 --database example.db --delay 0.3
    curl -i http://127.0.0.1:9000/users -d '{"name": "Ada", "email": "ada@example.com", "username": "ada"}'
"""


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when the address or the database cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.example",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--listen", type=_address, default="127.0.0.1:9000", metavar="HOST:PORT", help="default: %(default)s"
    )
    parser.add_argument(
        "--database",
        default="example.db",
        metavar="FILE",
        help='a file, or ":memory:" (default: %(default)s)',
    )
    parser.add_argument(
        "--delay",
        type=_seconds,
        default=0.3,
        metavar="SECONDS",
        help="how long a create takes (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-crash",
        action="store_true",
        help='let a create with "X-Example-Crash: after-commit" end the process once the row is stored, unanswered',
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="stop when standard input ends, so that the API never outlives the process that started it",
    )
    return asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        database = await Database.open(options.database)
    except sqlite3.Error as error:
        say(f"cannot use the database {options.database}: {error}")
        return 1
    api = ExampleApi(database, options.delay, allow_crash=options.allow_crash)
    runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=5)
    try:
        await runner.setup()
        host, port = options.listen
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            say(f"cannot listen on {host}:{port}: {error.strerror or error}")
            return 1
        bound = runner.addresses[0]
        place = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
        say(f"listening on http://{place} (database {options.database}, {options.delay:g} s per create)")
        if options.until_stdin_closes:
            await loop.connect_read_pipe(lambda: _EndOfInput(stop), sys.stdin)
        await stop.wait()
    finally:
        await runner.cleanup()
        await database.close()
    return 0


class _EndOfInput(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, _: Exception | None) -> None:
        self._stop.set()


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
