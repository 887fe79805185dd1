# The benchmarks' own load generator: one process, persistent connections, one request at a time on each (closed loop).
# Prints one JSON object at the end.

import argparse
import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks.processes import allow_many_files
from benchmarks.requests import MARKER, numbered


class Load(msgspec.Struct, frozen=True):
    """What one run of a load measured."""

    requests: int
    """How many were answered."""
    seconds: float
    refused: int
    """How many of the answers had a status of 400 or above."""
    errors: int
    """Connections that broke, and requests without an answer."""
    p50: float
    """Milliseconds."""
    p99: float
    longest: float
    statuses: dict[int, int] | None = None
    """How often each status came; None when the generator does not tell them apart."""


def endless(text: bytes, numbers: int) -> Iterator[bytes]:
    """Yield the requests of a run: numbered from 0, and again from 0 after so many."""
    if MARKER.encode() not in text:
        return itertools.repeat(text)
    return (numbered(text, number % numbers) for number in itertools.count())


class Run:
    """What all connections share: the requests still to send, and what came back."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.waiting = requests
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.errors = 0
        self.over = False
        self.busy = 0
        """How many connections have a request in progress."""
        self.finished = asyncio.Event()

    def end(self) -> None:
        """Let no connection send any more."""
        self.over = True

    def release(self) -> None:
        """Count a connection as done: it broke, or there is nothing more to send."""
        self.busy -= 1
        if self.busy == 0:
            self.finished.set()


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered. A connection that breaks stays broken."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sent_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def send_next(self) -> None:
        """Send a request, if any is left."""
        request = None if self._run.over else next(self._run.waiting, None)
        if request is None:
            self._sent_at = None
            self._run.release()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._sent_at is not None, "an answer that no request asked for"
        self._run.latencies.append(time.perf_counter() - self._sent_at)
        self._run.statuses[self._parser.get_status_code()] += 1
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent_at is not None:
            self._sent_at = None
            self._run.errors += 1
            self._run.release()

    def close(self) -> None:
        self._transport.close()


async def run_load(port: int, requests: Iterator[bytes], connections: int, seconds: float | None) -> Load:
    """Send `requests` over so many connections, for so many seconds or until there are no more."""
    run = Run(requests)
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(lambda: Connection(run), "127.0.0.1", port))[1] for _ in range(connections)]
    run.busy = len(opened)
    start = time.perf_counter()
    if seconds is not None:
        loop.call_later(seconds, run.end)
    for connection in opened:
        connection.send_next()
    await run.finished.wait()
    taken = time.perf_counter() - start
    for connection in opened:
        connection.close()
    ranked = [latency * 1000 for latency in sorted(run.latencies)] or [0.0]
    return Load(
        requests=run.statuses.total(),
        seconds=taken,
        refused=sum(count for status, count in run.statuses.items() if status >= 400),
        errors=run.errors,
        p50=ranked[len(ranked) // 2],
        p99=ranked[len(ranked) * 99 // 100],
        longest=ranked[-1],
        statuses=dict(run.statuses),
    )


def main() -> None:
    """Run one load and print what it measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--text", type=Path, required=True, help="a file with the request, markers included")
    parser.add_argument("--numbers", type=int, required=True, help="how many numbers there are before they start again")
    parser.add_argument("--connections", type=int, required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float)
    length.add_argument("--count", type=int, help="how many requests to send, whatever time it takes")
    arguments = parser.parse_args()
    allow_many_files()
    requests = endless(arguments.text.read_bytes(), arguments.numbers)
    if arguments.count is not None:
        requests = itertools.islice(requests, arguments.count)
    load = uvloop.run(run_load(arguments.port, requests, arguments.connections, arguments.seconds))
    print(msgspec.json.encode(load).decode())


if __name__ == "__main__":
    main()
