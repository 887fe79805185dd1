# Server-sent events: how long each takes from the API to the client, through the gateway and without it. Run it with
# `python -m campaigns.event_delay`.

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LONGEST = 50.0
"""Milliseconds that no event may take."""


async def send_events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, every: float) -> None:
    """Send events until the client disconnects; each contains the time at which it was sent."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        while not writer.is_closing():
            event = b"data: %d\n\n" % time.monotonic_ns()
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(every)
    writer.close()


async def take_events(port: int, count: int) -> list[float]:
    """Read so many events; the milliseconds that each of them took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: api.example.com\r\nAccept: text/event-stream\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    taken: list[float] = []
    while len(taken) < count:
        line = await reader.readline()
        if line.startswith(b"data: "):
            taken.append((time.monotonic_ns() - int(line[6:])) / 1e6)
    writer.close()
    return taken


async def measure(port: int, upstream: int, options: argparse.Namespace) -> list[float]:
    """Take events from several streams at once; the milliseconds that each event took, ascending."""
    sending: list[asyncio.Task[None]] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending.append(asyncio.create_task(send_events(reader, writer, options.every / 1000)))

    async with await asyncio.start_server(accept, "127.0.0.1", upstream):
        streams = await asyncio.gather(*(take_events(port, options.events) for _ in range(options.streams)))
        await asyncio.gather(*sending)
    return sorted(each for stream in streams for each in stream)


def main() -> int:
    """Exit code 0 when no event took too long; 1 when one did."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.event_delay", description="How long server-sent events take."
    )
    parser.add_argument("--events", type=int, default=1000, help="of each stream (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=10, help="at once (default: %(default)s)")
    parser.add_argument("--every", type=float, default=10, help="milliseconds between two (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory, ExitStack() as stack:
        place = Place(free_port(), free_port(), Path(directory))
        stack.enter_context(started("the gateway", gateway_program(place, rules_file(place)), place.directory))
        found = {
            "direct": asyncio.run(measure(place.upstream, place.upstream, options)),
            "through the gateway": asyncio.run(measure(place.port, place.upstream, options)),
        }
    for name, taken in found.items():
        middle, late = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(f"{name}: {len(taken)} events, p50 {middle:.2f} ms, p99 {late:.2f} ms, longest {taken[-1]:.2f} ms")
    return found["through the gateway"][-1] >= LONGEST


if __name__ == "__main__":
    sys.exit(main())
