# Uploads that the API refuses during their body, and closes at once, so that a reset follows its response: how many
# clients get that response. Run it with `python -m campaigns.early_answers`.

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file

REFUSED = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"
PIECE = b"x" * 65536
READ_FIRST = (0, 1, 100_000, 1_000_000)
"""Bytes of a body that the API reads before it refuses it."""


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a little of an upload, as much as its target says, refuse it, and close with the rest unread."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.split(b" ")[1].removeprefix(b"/")))
        writer.write(REFUSED)
    writer.close()


async def upload(port: int, size: int, read_first: int) -> str:
    """Send an upload until it is answered or the connection breaks; the answer's status line, or what went wrong."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PUT /%d HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: %d\r\n\r\n" % (read_first, size))
    sending = asyncio.create_task(send(writer, size))
    try:
        return (await reader.readuntil(b"\r\n")).decode("latin-1").strip()
    except asyncio.IncompleteReadError:
        return "closed without an answer"
    except ConnectionError as error:
        return type(error).__name__
    finally:
        sending.cancel()
        writer.transport.abort()


async def send(writer: asyncio.StreamWriter, size: int) -> None:
    """Send a body, or as much of it as is taken."""
    with contextlib.suppress(ConnectionError):
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()


async def measure(port: int, upstream: int, options: argparse.Namespace) -> Counter[str]:
    """Send the uploads, some at once; how often each answer came."""
    told: Counter[str] = Counter()
    numbers = iter(range(options.uploads))

    async def send_some() -> None:
        for number in numbers:
            told[await upload(port, options.size, READ_FIRST[number % len(READ_FIRST)])] += 1

    server = await asyncio.start_server(refuse, "127.0.0.1", upstream)
    async with server:
        await asyncio.gather(*(send_some() for _ in range(options.at_once)))
    return told


def main() -> int:
    """Exit code 0 when every client got the API's answer; 1 when one did not."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.early_answers",
        description="Uploads that the API refuses during their body and closes at once.",
    )
    parser.add_argument("--uploads", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=20 * 2**20, help="bytes of each (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory, ExitStack() as stack:
        place = Place(free_port(), free_port(), Path(directory))
        stack.enter_context(started("the gateway", gateway_program(place, rules_file(place)), place.directory))
        told = asyncio.run(measure(place.port, place.upstream, options))
    for answer, count in told.most_common():
        print(f"{count:5} x {answer}")
    lost = options.uploads - sum(count for answer, count in told.items() if answer.startswith("HTTP/1.1 413"))
    print(f"{lost} of {options.uploads} clients did not get the API's answer")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
