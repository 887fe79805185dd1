# The load: one process, kept connections, one request at a time on each. Prints one JSON object when it is done.

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Literal, cast

import httptools
import msgspec
import uvloop

Kind = Literal["get", "create", "repeat"]


class Load(msgspec.Struct, frozen=True):
    """What one run of the load measured."""

    requests: int
    seconds: float
    statuses: dict[int, int]
    errors: int
    """Requests without an answer, sent or not."""
    p50: float
    """Milliseconds."""
    p99: float


def get_request() -> bytes:
    """A GET that no rule guards."""
    return b"GET /things/17?with=tags HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\n\r\n"


def create_request(email: str) -> bytes:
    """A create of about 200 bytes of JSON."""
    user = {
        "email": email,
        "username": email.partition("@")[0],
        "name": {"given": "Ada", "family": "Lovelace"},
        "roles": ["reader", "writer"],
        "locale": "en-GB",
        "note": "One of many, all of them alike but for the address.",
    }
    body = json.dumps(user).encode()
    head = (
        b"POST /users HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    return head % len(body) + body


def requests_of(kind: Kind, count: int, series: str) -> list[bytes]:
    """All requests of a run, built before the clock starts. Creates of one `series` are alike in every run."""
    if kind == "get":
        return [get_request()] * count
    if kind == "repeat":
        return [create_request(f"{series}@example.org")] * count
    return [create_request(f"{series}-{number}@example.org") for number in range(count)]


class Run:
    """What all connections share: the requests still to send, and what came back."""

    def __init__(self, requests: list[bytes]) -> None:
        self.waiting: Iterator[bytes] = iter(requests)
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.busy = 0
        """How many connections have a request under way."""
        self.finished = asyncio.Event()

    def release(self) -> None:
        """Count a connection as done: it broke, or found nothing more to send."""
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
        request = next(self._run.waiting, None)
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
            self._run.release()

    def close(self) -> None:
        self._transport.close()


async def run_load(port: int, requests: list[bytes], connections: int) -> Load:
    """Send all `requests` over so many connections; those that got no answer count as errors."""
    run = Run(requests)
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(lambda: Connection(run), "127.0.0.1", port))[1] for _ in range(connections)]
    run.busy = len(opened)
    start = time.perf_counter()
    for connection in opened:
        connection.send_next()
    await run.finished.wait()
    seconds = time.perf_counter() - start
    for connection in opened:
        connection.close()
    ranked = sorted(run.latencies) or [0.0]
    return Load(
        requests=len(requests),
        seconds=seconds,
        statuses=dict(run.statuses),
        errors=len(requests) - run.statuses.total(),
        p50=ranked[len(ranked) // 2] * 1000,
        p99=ranked[len(ranked) * 99 // 100] * 1000,
    )


def main() -> None:
    """Run one load and print what it measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=["get", "create", "repeat"], required=True)
    parser.add_argument("--series", required=True, help="what sets the identities of this run apart")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    arguments = parser.parse_args()
    requests = requests_of(arguments.kind, arguments.requests, arguments.series)
    load = uvloop.run(run_load(arguments.port, requests, arguments.connections))
    print(msgspec.json.encode(load).decode())


if __name__ == "__main__":
    main()
