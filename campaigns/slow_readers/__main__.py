# Clients that give their downloads up, and clients that read slowly: what memory they cost, and the effect on others.
# Run it with `make slow-readers`.

import argparse
import asyncio
import socket
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.load import Load
from benchmarks.processes import Program, Running, allow_many_files, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file
from campaigns.memory import resident
from campaigns.slow_heads.__main__ import GOOD, good_traffic
from campaigns.verdicts import tell

REQUEST = b"GET /large HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
RECEIVE_BUFFER = 16 * 1024
"""Bytes that the kernel takes for a client that does not read."""
GULP = 8 * 1024
"""Bytes that a slow reader takes each second."""
MOST_LEFT = 64 * 2**20
"""Bytes by which the gateway may be larger after the given-up downloads."""
LEFT_WITHIN = 10.0
"""Seconds that it has to give memory back."""
BOUND = 256 * 2**20
"""The default of `max_buffered_answers`."""
MOST_SLOWER = 2.0


@dataclass
class Seen:
    """What was measured. Memory in bytes, beyond what the gateway had before."""

    alone: Load
    beside: Load
    given_up: int
    left: int
    """After the given-up downloads."""
    most_given_up: int
    readers: int
    cut: int
    """Slow readers whose connection ended."""
    grown: int
    """At most, with the slow readers."""


class Memory:
    """Samples the memory of a process. Mutable state: the most since it was last asked."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resident(pid)
        self.most = 0

    @property
    def now(self) -> int:
        """Bytes beyond those at the beginning."""
        grown = resident(self._pid) - self._before
        self.most = max(self.most, grown)
        return grown

    async def watch(self) -> None:
        """Sample for ever."""
        while True:
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.1)


async def begin(port: int) -> socket.socket:
    """Ask for a large answer, and read its first bytes."""
    loop = asyncio.get_running_loop()
    own = socket.socket()
    own.setblocking(False)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    await loop.sock_connect(own, ("127.0.0.1", port))
    await loop.sock_sendall(own, REQUEST)
    assert await loop.sock_recv(own, 1024)
    return own


async def give_up(port: int, clients: int) -> None:
    """Begin so many downloads at once, and leave."""
    opened = await asyncio.gather(*(begin(port) for _ in range(clients)))
    await asyncio.sleep(1)
    for each in opened:
        each.close()


async def read_slowly(port: int, delay: float) -> None:
    """Take a little of an answer each second; returns when the connection has ended."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(delay)
    own = await begin(port)
    try:
        while await loop.sock_recv(own, GULP):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(1)
    except OSError:
        pass
    finally:
        own.close()


async def measure(options: argparse.Namespace, running: Running, text: Path) -> Seen:
    """Measure good traffic alone, the given-up downloads, then good traffic beside slow readers."""
    await good_traffic(running.port, text, 2)
    alone = await good_traffic(running.port, text, options.seconds)
    loop = asyncio.get_running_loop()
    memory = Memory(running.pid)
    watching = asyncio.create_task(memory.watch())
    for _ in range(options.waves):
        await give_up(running.port, options.clients)
    end = loop.time() + LEFT_WITHIN
    while memory.now > MOST_LEFT // 2 and loop.time() < end:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.1)
    left, most_given_up = memory.now, memory.most
    memory.most = 0
    slow = [
        asyncio.create_task(read_slowly(running.port, number / options.readers)) for number in range(options.readers)
    ]
    await asyncio.sleep(3)
    beside = await good_traffic(running.port, text, options.seconds)
    cut = sum(task.done() for task in slow)
    for task in (*slow, watching):
        task.cancel()
    await asyncio.gather(*slow, watching, return_exceptions=True)
    return Seen(
        alone, beside, options.waves * options.clients, left, most_given_up, options.readers, cut, grown=memory.most
    )


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.slow_readers",
        description="Given-up downloads, and slow readers beside ordinary clients: what memory they cost.",
    )
    parser.add_argument("--clients", type=int, default=300, help="downloads given up at once (default: %(default)s)")
    parser.add_argument("--waves", type=int, default=10, help="how often (default: %(default)s)")
    parser.add_argument("--readers", type=int, default=1000, help="slow ones at once (default: %(default)s)")
    parser.add_argument("--large", type=int, default=20, help="MiB of a given-up answer (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15, help="of ordinary traffic each (default: %(default)s)")
    return parser.parse_args()


def verdicts(seen: Seen) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    alone, beside, mib = seen.alone, seen.beside, 2**20
    ratio = beside.p99 / alone.p99
    given_up = (
        f"{seen.given_up:,} downloads given up: resident memory grew by {seen.most_given_up / mib:.0f} MiB at most, "
        f"and was {seen.left / mib:.0f} MiB above that before when idle"
    )
    rates = (
        f"good traffic: {alone.requests / alone.seconds:,.0f} requests a second alone, "
        f"{beside.requests / beside.seconds:,.0f} beside them, {beside.errors} errors, {beside.refused} refused"
    )
    return [
        (given_up, seen.left <= MOST_LEFT),
        (f"{seen.readers:,} slow readers: {seen.cut} cut", seen.cut == 0),
        (
            f"resident memory grew by {seen.grown / mib:.0f} MiB; bound {BOUND // mib} MiB",
            seen.grown < BOUND,
        ),
        (
            f"good traffic: p99 {alone.p99:.2f} ms alone, {beside.p99:.2f} ms beside them: {ratio:.2f} times",
            ratio <= MOST_SLOWER,
        ),
        (rates, beside.errors == beside.refused == 0),
    ]


def main() -> int:
    """Exit code 0 when all is as it must be; 1 when not."""
    options = arguments()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory, ExitStack() as stack:
        place = Place(free_port(), free_port(), Path(directory))
        text = place.directory / "request"
        text.write_bytes(GOOD)
        words = ("--port", str(place.upstream), "--large", str(options.large * 2**20))
        api = Program([sys.executable, "-m", "campaigns.slow_readers.api", *words], place.upstream)
        rules = rules_file(place, server={"listen": f"127.0.0.1:{place.port}"})
        running = stack.enter_context(started("the gateway", [api, *gateway_program(place, rules)], place.directory))
        told = verdicts(uvloop.run(measure(options, running, text)))
    return not tell(told)


if __name__ == "__main__":
    sys.exit(main())
