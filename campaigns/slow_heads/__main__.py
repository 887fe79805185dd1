# Clients that send the head of a request byte by byte: when they are closed, their cost, and the effect on others.
# Run it with `make slow-heads`.

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from benchmarks.load import Load
from benchmarks.processes import Running, allow_many_files, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file, upstream_program
from campaigns.memory import most_resident, resident
from campaigns.verdicts import tell

HEAD = b"GET /users/17 HTTP/1.1\r\nHost: api.example.com\r\nX-Slow: "
GOOD = b"GET /users/17 HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n\r\n"
OPENING = 1.0
"""Seconds over which the connections are opened."""
LATE = 3.0
"""Seconds after its time when a connection must have been cut; on a busy machine, both sides wait for their turn."""
MOST_MEMORY = 64 * 2**20
MOST_SLOWER = 2.0
GOOD_CONNECTIONS = 10


@dataclass
class Cuts:
    """What became of the slow connections."""

    after: list[float] = field(default_factory=list)
    """Seconds from opening to the first byte of an answer, or to the end, for each that was cut."""
    said: Counter[str] = field(default_factory=Counter)
    """Their responses."""
    opened: int = 0
    open_now: int = 0
    most_open: int = 0


class SlowClient(asyncio.Protocol):
    """Sends a byte of a head a second, until it is cut."""

    def __init__(self, cuts: Cuts, gone: asyncio.Future[None]) -> None:
        self._cuts = cuts
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._answer = b""
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._opened = self._loop.time()
        self._cuts.opened += 1
        self._cuts.open_now += 1
        self._cuts.most_open = max(self._cuts.most_open, self._cuts.open_now)
        self._send()

    def _send(self) -> None:
        self._transport.write(HEAD[self._sent : self._sent + 1] or b"a")
        self._sent += 1
        self._timer = self._loop.call_later(1, self._send)

    def data_received(self, data: bytes) -> None:
        if not self._answer:
            self._cuts.after.append(self._loop.time() - self._opened)
        self._answer += data

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._cuts.open_now -= 1
        if not self._answer:
            self._cuts.after.append(self._loop.time() - self._opened)
        self._cuts.said[self._answer.partition(b"\r\n")[0].decode("latin-1") or "nothing"] += 1
        if not self._gone.done():
            self._gone.set_result(None)


async def slow_client(port: int, cuts: Cuts, delay: float, until: float) -> None:
    """Keep one slow connection open until a point of the loop's time: another one as soon as it is cut."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(delay)
    while loop.time() < until:
        gone: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda gone=gone: SlowClient(cuts, gone), "127.0.0.1", port)  # type: ignore[misc]
        await gone


async def good_traffic(port: int, text: Path, seconds: float) -> Load:
    """Measure GETs over kept connections, from a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", "--port", str(port), "--text", str(text), "--numbers", "1"),
        *("--connections", str(GOOD_CONNECTIONS), "--seconds", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return msgspec.json.decode(output, type=Load)


@dataclass
class Seen:
    """What was measured."""

    alone: Load
    beside: Load
    cuts: Cuts
    grown: int
    """Bytes of memory that the gateway had at most, beyond what it had before the slow connections came."""


async def attack(options: argparse.Namespace, running: Running, text: Path) -> Seen:
    """Measure good traffic alone, then with the slow connections beside it, until the last of them is cut."""
    await good_traffic(running.port, text, 2)
    alone = await good_traffic(running.port, text, options.seconds)
    before = resident(running.pid)
    cuts = Cuts()
    loop = asyncio.get_running_loop()
    until = loop.time() + options.seconds
    slow = [
        asyncio.create_task(slow_client(running.port, cuts, OPENING * number / options.connections, until))
        for number in range(options.connections)
    ]
    beside = await good_traffic(running.port, text, options.seconds)
    late = until + options.head_timeout + OPENING + LATE - loop.time()
    _, left = await asyncio.wait(slow, timeout=max(0, late))
    for task in left:
        task.cancel()
    return Seen(alone, beside, cuts, most_resident(running.pid) - before)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.slow_heads",
        description="Clients that send a byte of a head a second, beside ordinary ones.",
    )
    parser.add_argument("--connections", type=int, default=2000, help="slow ones at once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="how long they come (default: %(default)s)")
    parser.add_argument("--head-timeout", type=int, default=10, help="seconds (default: %(default)s)")
    return parser.parse_args()


def verdicts(options: argparse.Namespace, seen: Seen) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    alone, beside, cuts = seen.alone, seen.beside, seen.cuts
    first, last = min(cuts.after, default=0), max(cuts.after, default=0)
    told = ", ".join(f"{count} x {said}" for said, count in cuts.said.most_common())
    ratio = beside.p99 / alone.p99
    told_of_good = (
        f"good traffic: p99 {alone.p99:.2f} ms alone, {beside.p99:.2f} ms beside them: {ratio:.2f} times "
        f"(p50 {alone.p50:.2f}, {beside.p50:.2f}; longest {alone.longest:.0f}, {beside.longest:.0f})"
    )
    rates = (
        f"good traffic: {alone.requests / alone.seconds:,.0f} requests a second alone, "
        f"{beside.requests / beside.seconds:,.0f} beside them, {beside.errors} errors, {beside.refused} refused"
    )
    limit = options.head_timeout
    return [
        (
            f"slow connections: {cuts.most_open} at once, {cuts.opened} in all, {len(cuts.after)} cut: {told}",
            0 < cuts.opened == len(cuts.after),
        ),
        (
            f"cut after {first:.2f} to {last:.2f} s; head_timeout is {limit} s",
            limit - 0.1 <= first <= last <= limit + LATE,
        ),
        (told_of_good, ratio <= MOST_SLOWER),
        (rates, beside.errors == beside.refused == 0),
        (f"resident memory grew by {seen.grown / 2**20:.1f} MiB", seen.grown < MOST_MEMORY),
    ]


def main() -> int:
    """Exit code 0 when all is as it must be; 1 when not."""
    options = arguments()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory, ExitStack() as stack:
        place = Place(free_port(), free_port(), Path(directory))
        text = place.directory / "request"
        text.write_bytes(GOOD)
        server = {"listen": f"127.0.0.1:{place.port}", "head_timeout": f"{options.head_timeout}s"}
        programs = [upstream_program(place.upstream), *gateway_program(place, rules_file(place, server=server))]
        running = stack.enter_context(started("the gateway", programs, place.directory))
        told = verdicts(options, uvloop.run(attack(options, running, text)))
    return not tell(told)


if __name__ == "__main__":
    sys.exit(main())
