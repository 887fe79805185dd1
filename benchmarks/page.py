# An operator whose page is open, as a gateway notices it, and a Prometheus beside: a process that reads the stream of
# events, asks what the page asks, scrapes, and may ask more. It says when the page is open, and what answers took.

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import aiohttp

from benchmarks.processes import CORES

ASKED_BY_PAGE = ("/status", "/report", "/claims?state=unknown&limit=50")
EVERY = 2.0
"""Seconds between two rounds of the page's questions while much happens."""
SCRAPE = "/metrics"
NICE = 19
"""It must not take the core from the load."""
Took = dict[str, list[float]]
"""Milliseconds of each answer, by what was asked."""


@contextlib.contextmanager
def open_page(port: int, scrape_every: float, more: Sequence[str] = (), pause: float = 0.1) -> Iterator[Took]:
    """Have the page of an admin listener open; what answers took is there at the end.

    `more` is asked in turns, with a pause in seconds between two. RuntimeError when something is not answered with 200.
    """
    command = [sys.executable, "-m", "benchmarks.page", "--port", str(port), "--scrape-every", str(scrape_every)]
    command += ["--pause", str(pause), *more]
    took: Took = {}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "open\n":
            raise RuntimeError("the operator's page does not open")
        yield took
    finally:
        process.terminate()
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("an operator's question was not answered with 200")
    took |= json.loads(said)


async def _ask(session: aiohttp.ClientSession, path: str, took: Took) -> None:
    begun = time.perf_counter()
    async with session.get(path) as answer:
        await answer.read()
    took[path].append((time.perf_counter() - begun) * 1000)


async def _watch(session: aiohttp.ClientSession) -> None:
    async with session.get("/events", timeout=aiohttp.ClientTimeout()) as answer:
        is_open = False
        async for line in answer.content:
            if not is_open and line.startswith(b"event: "):
                print("open", flush=True)
                is_open = True


async def _every(seconds: float, session: aiohttp.ClientSession, paths: Sequence[str], took: Took) -> None:
    """Ask for all of them at once, again and again."""
    while True:
        await asyncio.gather(*(_ask(session, path, took) for path in paths))
        await asyncio.sleep(seconds)


async def _in_turns(pause: float, session: aiohttp.ClientSession, paths: Sequence[str], took: Took) -> None:
    while True:
        for path in paths:
            await _ask(session, path, took)
            await asyncio.sleep(pause)


async def run(options: argparse.Namespace) -> Took:
    """Ask until SIGTERM. Raises aiohttp.ClientError for an answer that is not 200."""
    took: Took = defaultdict(list)
    base = f"http://127.0.0.1:{options.port}"
    async with aiohttp.ClientSession(base, raise_for_status=True) as session:
        tasks = [
            asyncio.create_task(_watch(session)),
            asyncio.create_task(_every(EVERY, session, ASKED_BY_PAGE, took)),
            asyncio.create_task(_every(options.scrape_every, session, [SCRAPE], took)),
        ]
        if options.more:
            tasks.append(asyncio.create_task(_in_turns(options.pause, session, options.more, took)))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: [task.cancel() for task in tasks])
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
    return took


def main() -> None:
    """Print "open" once it is, and what answers took at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True, help="of the admin listener")
    parser.add_argument("--scrape-every", type=float, required=True, help="seconds")
    parser.add_argument("--pause", type=float, required=True, help="seconds between two of these")
    parser.add_argument("more", nargs="*", help="what else to ask, in turns")
    options = parser.parse_args()
    os.nice(NICE)
    os.sched_setaffinity(0, CORES[:1])  # not where the gateway is measured, if there is another one
    print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main()
