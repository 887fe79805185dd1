# What operators ask of a large SQLite store, and what it costs the creates beside it: `python -m benchmarks.lists`.
#
# One process, without HTTP: what is measured is the store. Creates (reserved, then settled) come at a fixed rate, in
# turns alone, beside lists and counts that are asked for ten times a second, and beside as many as it can answer.

import argparse
import asyncio
import itertools
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from benchmarks import preload
from benchmarks.machine import machine
from gateway.model import Claim, Filter, Reserved, Settlement, State
from gateway.stores.base import Opened, Store
from gateway.stores.open import open_sqlite

HOUR = 3600 * 1000
LIMIT = 50
NOTHING = Filter(entry="no such entry")
RULE = "create-user"
BESIDE: dict[str, float | None] = {"alone": None, "ten questions a second": 0.1, "questions without a pause": 0.0}
"""What is asked beside creates: the seconds between two questions."""
LANES = 50
Ask = Callable[[], Awaitable[Any]]


async def opened(path: Path) -> Opened:
    """Open a store that waits for a busy machine."""
    return await open_sqlite(str(path), "process", b"benchmark", now(), commit_timeout=30)


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def create(store: Store) -> None:
    """One create that succeeds."""
    owner, claims = os.urandom(16), [Claim(os.urandom(32), RULE, "email", HOUR)]
    assert isinstance(await store.reserve(claims, owner, now()), Reserved), "a new identity is held"
    await store.settle(owner, claims, Settlement(State.CREATED, now() + 24 * HOUR, "/users/1"), now())


async def make(path: Path, count: int, unknown: int) -> None:
    """A store of schema version 3 with so many claims, some of unknown outcome."""
    store = (await opened(path)).store
    await create(store)
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:  # before it is large: columns go row by row
        database.executescript(
            "DROP INDEX claims_by_link; ALTER TABLE claims DROP COLUMN version; ALTER TABLE claims DROP COLUMN link;"
            "ALTER TABLE in_flight DROP COLUMN version; ALTER TABLE in_flight DROP COLUMN link;"
        )
    preload.fill(path, count, now() + HOUR, now() + 24 * HOUR, in_order=True)
    preload.forget_outcomes(path, unknown)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(
            "DROP TRIGGER claim_removed; DROP TRIGGER claim_changed; DROP INDEX unknown_by_age;"
            "DROP INDEX unknown_by_rule; DROP TABLE counts; PRAGMA user_version = 3;"
        )


def questions(store: Store) -> dict[str, Ask]:
    """What operators ask, by name."""
    some = itertools.cycle(os.urandom(32) for _ in range(1000))
    return {
        "counts and oldest unknown": lambda: store.overview(now()),
        "unknown, first page": lambda: store.list_claims(Filter(state=State.UNKNOWN), b"", LIMIT, now()),
        "unknown of a rule": lambda: store.list_claims(Filter(RULE, state=State.UNKNOWN), b"", LIMIT, now()),
        "unknown, an entry there is not": lambda: store.list_claims(
            Filter(entry="none", state=State.UNKNOWN), b"", LIMIT, now()
        ),
        "in flight": lambda: store.list_claims(Filter(state=State.IN_FLIGHT), b"", LIMIT, now()),
        "any, a page from anywhere": lambda: store.list_claims(Filter(), next(some), LIMIT, now()),
        "any, an entry there is not, from anywhere": lambda: store.list_claims(NOTHING, next(some), LIMIT, now()),
    }


async def timed(ask: Ask) -> float:
    """Milliseconds that a call takes."""
    begun = time.perf_counter()
    await ask()
    return (time.perf_counter() - begun) * 1000


async def load(store: Store, rate: int, seconds: float) -> list[float]:
    """Creates at a fixed rate; the milliseconds of each, counted from when it was due."""
    loop, pause = asyncio.get_running_loop(), LANES / rate
    took: list[float] = []

    async def lane(number: int) -> None:
        due = loop.time() + pause * number / LANES
        end = due + seconds
        while due < end:
            await asyncio.sleep(due - loop.time())
            await create(store)
            took.append((loop.time() - due) * 1000)
            due += pause

    await asyncio.gather(*map(lane, range(LANES)))
    return took


async def beside(store: Store, rate: int, seconds: float, pause: float) -> tuple[list[float], dict[str, list[float]]]:
    """The same while all questions are asked in turns, with a pause between two; what these took, too."""
    asked: dict[str, list[float]] = {name: [] for name in questions(store)}

    async def ask_all() -> None:
        for name, ask in itertools.cycle(questions(store).items()):
            asked[name].append(await timed(ask))
            await asyncio.sleep(pause)

    asking = asyncio.create_task(ask_all())
    took = await load(store, rate, seconds)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    return took, asked


def quantile(values: list[float], share: float) -> float:
    """The value that so many are below."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def walk(store: Store) -> tuple[int, float]:
    """A list of nothing, to its end: the calls it takes, and the seconds."""
    begun, calls, after = time.perf_counter(), 0, b""
    while True:
        page = await store.list_claims(NOTHING, after, LIMIT, now())
        calls += 1
        if page.next is None:
            return calls, time.perf_counter() - begun
        after = page.next


async def measure(path: Path, options: argparse.Namespace) -> list[str]:
    """The figures, as lines of Markdown."""
    await make(path, options.claims, options.unknown)
    begun = time.perf_counter(), time.process_time()
    store = (await opened(path)).store
    upgrade = time.perf_counter() - begun[0], time.process_time() - begun[1]
    still = {name: [await timed(ask) for _ in range(50)] for name, ask in questions(store).items()}
    calls, seconds = await walk(store)
    await load(store, options.rate, options.seconds)
    creates: list[list[list[float]]] = [[] for _ in BESIDE]
    asked: list[list[dict[str, list[float]]]] = [[] for _ in BESIDE]
    for _ in range(options.rounds):
        for at, pause in enumerate(BESIDE.values()):
            answers: dict[str, list[float]] = {}
            if pause is None:
                took = await load(store, options.rate, options.seconds)
            else:
                took, answers = await beside(store, options.rate, options.seconds, pause)
            creates[at].append(took)
            asked[at].append(answers)
    await store.close()
    return [
        f"{options.claims:,} claims, {options.unknown:,} of them unknown, {preload.size(path) / 2**20:,.0f} MiB.",
        f"From schema 3 to now: {upgrade[0]:.1f} s, {upgrade[1]:.1f} s of CPU.",
        f"A list of nothing: {calls} calls, {seconds:.1f} s.",
        "",
        *answer_lines(still, asked[-1]),
        "",
        *create_lines(creates, options.rate),
    ]


def answer_lines(still: dict[str, list[float]], rounds: list[dict[str, list[float]]]) -> list[str]:
    """What answers take, alone and beside creates."""
    lines = ["| asked for | p50 ms | p99 ms | p50 ms beside creates | p99 ms |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, alone in still.items():
        beside_creates = [took for answers in rounds for took in answers[name]]
        cells = [quantile(took, share) for took in (alone, beside_creates) for share in (0.5, 0.99)]
        lines.append(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return lines


def create_lines(creates: list[list[list[float]]], rate: int) -> list[str]:
    """What creates take: medians of rounds, and the median of the rounds' ratios of p99 to that of creates alone."""
    lines = [f"| {rate:,} creates a second | p50 ms | p99 ms | p99 to alone |", "| --- | ---: | ---: | ---: |"]
    for name, rounds in zip(BESIDE, creates, strict=True):
        cells = [statistics.median(quantile(took, share) for took in rounds) for share in (0.5, 0.99)]
        ratios = [quantile(took, 0.99) / quantile(alone, 0.99) for took, alone in zip(rounds, creates[0], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} | {spread} |")
    return lines


def main() -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lists", description="Lists and counts of a large store."
    )
    parser.add_argument("--claims", type=int, default=10_000_000, help="in the store (default: %(default)s)")
    parser.add_argument("--unknown", type=int, default=10_000, help="of unknown outcome (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="creates a second (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="of creates alone and beside (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="of each (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where the store is made; 10 million claims take 2 GiB")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=options.directory) as directory:
        lines = asyncio.run(measure(Path(directory) / "gateway.db", options))
    print("\n".join(lines))
    print(
        f"\n{about['date']}, {about['processor']}, {about['cores']} cores, load average {about['load_average']} before."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
