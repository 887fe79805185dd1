# Creates at a fixed rate, whatever the answers take (open loop), over persistent connections: one process. Prints the
# milliseconds of each as a JSON array.

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import httptools
import uvloop

from benchmarks.processes import START_LIMIT
from benchmarks.requests import numbered

LANES = 50
"""Connections; each has a request in progress at most, and sends at a fixed rate."""


def paced(port: int, text: Path, first: int, rate: int, seconds: float) -> list[float]:
    """Send creates, numbered from `first`, in a process of its own; the milliseconds of each.

    RuntimeError when one of them fails.
    """
    command = [sys.executable, "-m", "benchmarks.paced", "--port", str(port), "--text", str(text)]
    command += ["--first", str(first), "--rate", str(rate), "--seconds", str(seconds)]
    result = subprocess.run(command, capture_output=True, timeout=seconds + START_LIMIT, check=False)
    if result.returncode:
        raise RuntimeError(f"the load failed:\n{result.stderr.decode(errors='replace')[-2000:]}")
    return list(json.loads(result.stdout))


class Lane(asyncio.Protocol):
    """One connection. Mutable state: what waits for the answer to the request in progress."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes) -> int:
        """Send a request, and return the status of its answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._answered.set_result(self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(error or ConnectionError("closed"))

    def close(self) -> None:
        self._transport.close()


async def run(port: int, requests: Sequence[bytes], rate: int) -> list[float]:
    """Send all of them, so many a second; RuntimeError when one is not answered with 201."""
    loop = asyncio.get_running_loop()
    lanes = [(await loop.create_connection(Lane, "127.0.0.1", port))[1] for _ in range(LANES)]
    begin = time.perf_counter() + 0.1
    took: list[float] = []

    async def send(lane: Lane, number: int) -> None:
        for at in range(number, len(requests), LANES):
            begun = begin + at / rate
            pause = begun - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
                begun = time.perf_counter()  # it may have slept too long; one that waits for the last answer is late
            status = await lane.ask(requests[at])
            if status != 201:
                raise RuntimeError(f"a create was answered with {status}")
            took.append((time.perf_counter() - begun) * 1000)

    await asyncio.gather(*(send(lane, number) for number, lane in enumerate(lanes)))
    for lane in lanes:
        lane.close()
    return took


def main() -> None:
    """Send, and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--text", type=Path, required=True, help="a file with the request, with a marker in it")
    parser.add_argument("--first", type=int, required=True, help="number")
    parser.add_argument("--rate", type=int, required=True, help="a second")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    text = options.text.read_bytes()
    last = options.first + int(options.rate * options.seconds)
    requests = [numbered(text, number) for number in range(options.first, last)]
    print(json.dumps(uvloop.run(run(options.port, requests, options.rate))))


if __name__ == "__main__":
    main()
