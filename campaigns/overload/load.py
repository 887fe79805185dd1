# An open-loop load generator: requests are sent when they are due, even if earlier ones are unanswered, each over a
# free connection. Runs as a separate process, and prints the results.

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys
import time
from collections import Counter, defaultdict, deque
from random import Random
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks import requests
from benchmarks.processes import allow_many_files
from campaigns.overload.figures import Offered, Taken, came, windows

CREATE, LARGE, DUPLICATE, GET = "create", "large create", "duplicate", "GET"
SHARES = {CREATE: 35, LARGE: 3, DUPLICATE: 27, GET: 35}
"""How many of a hundred requests are of each kind."""
LARGE_BODY = 128 * 1024
_PAUSE = 0.001
"""Seconds between two looks at what is due."""
_REMEMBERED = 10_000
"""How many identities that were created are known, to send duplicates of them."""
_OPENING = 200
"""Connections that are being opened at once."""
_PATIENCE = 60.0
"""Seconds for which the last answers are waited for."""


class Mix:
    """Requests as they come in life. Mutable state: what was created, to be sent again."""

    def __init__(self, series: str) -> None:
        self._random = Random(series)
        self._kinds = list(SHARES)
        self._weights = list(itertools.accumulate(SHARES.values()))
        self._created: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._texts = {CREATE: requests.create(series), LARGE: requests.create(f"{series}-large", LARGE_BODY)}
        self._numbers = itertools.count()
        self._get = requests.get()

    def next(self) -> tuple[str, bytes]:
        """Choose a kind, and write a request of it."""
        kind = self._random.choices(self._kinds, cum_weights=self._weights)[0]
        if kind == GET:
            return GET, self._get
        if kind == DUPLICATE and self._created:
            return DUPLICATE, self._random.choice(self._created)
        text = self._texts[LARGE if kind == LARGE else CREATE]
        return (kind if kind == LARGE else CREATE), requests.numbered(text, next(self._numbers))

    def learn(self, kind: str, request: bytes, status: int) -> None:
        """Remember what was created."""
        if kind == CREATE and status == 201:
            self._created.append(request)


class Run:
    """What all connections share. Mutable state: the free ones, the longest free first; and what came back."""

    def __init__(self, port: int, mix: Mix) -> None:
        self.mix = mix
        self.free: deque[Connection] = deque()
        self.lost: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.taken: defaultdict[str, list[Taken]] = defaultdict(list)
        self.due = self.sent = self.opened = self.under_way = 0
        self.is_over = False
        self._none_under_way = asyncio.Event()
        self._port = port
        self._opening: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make one connection, and another try until there is one."""
        while not self.is_over:
            try:
                await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", self._port)
            except OSError as error:
                self.broken[f"connecting: {type(error).__name__}"] += 1
                await asyncio.sleep(0.1)
            else:
                self.opened += 1
                return

    def end(self) -> None:
        """Send nothing more."""
        self.is_over = True

    async def last_answer(self) -> None:
        """Wait until no request is under way."""
        self._none_under_way.clear()
        if self.under_way:
            await self._none_under_way.wait()

    def settle(self) -> None:
        """Count a request as over."""
        self.under_way -= 1
        if not self.under_way:
            self._none_under_way.set()

    def replace(self) -> None:
        """Make a connection in the place of one that has ended."""
        if not self.is_over:
            task = asyncio.get_running_loop().create_task(self.open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def offer(self, rate: float, seconds: float) -> None:
        """Send so many requests a second, those that find a connection free."""
        start = time.monotonic()
        while (now := time.monotonic() - start) < seconds and not self.is_over:
            for _ in range(int(now * rate) - self.due):
                self.due += 1
                if self.free:
                    self.free.popleft().send()
            await asyncio.sleep(_PAUSE)

    async def repeat(self, seconds: float) -> None:
        """Send over each connection whenever it is free."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.is_over:
            while self.free:
                self.due += 1
                self.free.popleft().send()
            await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """Carries one request at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kind = ""
        self._request = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._run.free.append(self)

    def send(self) -> None:
        """Send the next request of the mix."""
        run = self._run
        self._kind, self._request = run.mix.next()
        run.sent += 1
        run.under_way += 1
        self._sent_at = time.monotonic()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        run, kind, status = self._run, self._kind, self._parser.get_status_code()
        if not kind:
            run.broken[f"{status} that no request asked for"] += 1
            return
        run.taken[kind].append(Taken(self._sent_at, time.monotonic() - self._sent_at, status))
        run.mix.learn(kind, self._request, status)
        self._kind = ""
        run.settle()
        if self._parser.should_keep_alive():
            run.free.append(self)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        run = self._run
        if self._kind:
            run.lost[self._kind] += 1
            run.broken[f"lost: {type(error).__name__ if error else 'closed'}"] += 1
            run.settle()
            self._kind = ""
        elif self in run.free:
            run.free.remove(self)
        run.replace()

    def close(self) -> None:
        self._transport.close()


async def measure(options: argparse.Namespace) -> Offered:
    """Open the connections, send the load, wait for the last answers."""
    run = Run(options.port, Mix(options.series))
    limit = asyncio.Semaphore(_OPENING)

    async def open_one() -> None:
        async with limit:
            await run.open()

    await asyncio.gather(*(open_one() for _ in range(options.connections)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.end)
    began = time.monotonic()
    await (run.offer(options.rate, options.seconds) if options.rate else run.repeat(options.seconds))
    ended = time.monotonic()
    run.end()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(run.last_answer(), _PATIENCE)
    if run.under_way:
        run.broken["no answer in time"] += run.under_way
    for connection in list(run.free):
        connection.close()
    return Offered(
        began=began,
        ended=ended,
        due=run.due,
        sent=run.sent,
        kinds={kind: came(run.taken[kind], run.lost[kind]) for kind in SHARES},
        windows=list(windows(run.taken.values())),
        opened=run.opened,
        broken=dict(run.broken),
    )


def main() -> None:
    """Run one load and print what it measured; SIGTERM ends it in good order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--series", required=True, help="what the identities begin with")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: as many as are answered")
    parser.add_argument("--seconds", type=float, required=True)
    allow_many_files()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
