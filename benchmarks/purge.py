# The effect of a purge on clients: the same load of creates on a store full of expired claims, and on one without any.

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import preload, requests
from benchmarks.generators import MANY, Generator
from benchmarks.load import Load
from benchmarks.measure import WrongAnswerError
from benchmarks.series import CONNECTIONS, Ground, filled


def purge(ground: Ground, generator: Generator, count: int, seconds: float) -> list[dict[str, Any]]:
    """Send creates for so many seconds to a store with `count` claims, none expired, then to one where all have."""
    rows = []
    for name, expired in (("none expired", False), ("all expired", True)):
        place = filled(ground, name.replace(" ", "-"), count, expired=expired)
        store = place.directory / "gateway.db"
        with ExitStack() as stack:
            running = ground.start(place, stack)
            load = _load(generator, running.port, place.directory / "request", seconds)
        left = preload.expired(store, time.time_ns() // 1_000_000)
        rows.append(
            {
                "store": f"{count:,} claims, {name}",
                "removed": count - left if expired else 0,
                "seconds": load.seconds,
                "requests_per_second": load.requests / load.seconds,
                "p50_ms": load.p50,
                "p99_ms": load.p99,
                "longest_ms": load.longest,
            }
        )
        print(f"purge, {name}: done", file=sys.stderr, flush=True)
    return rows


def _load(generator: Generator, port: int, text: Path, seconds: float) -> Load:
    text.write_bytes(requests.create("purge"))
    load = generator(port, text, MANY, CONNECTIONS, seconds)
    if load.errors or load.refused:
        raise WrongAnswerError(f"purge: of {load.requests} creates {load.refused} were refused, {load.errors} errors")
    return load
