# What an input costs: CPU time as it grows, and memory. Times are the least of several, for the machine is shared.

import time
import tracemalloc
from dataclasses import dataclass
from random import Random

from campaigns.fuzz.common import MIB, Broken, Reader, attempt

LIMIT = 50.0
"""Milliseconds of CPU for which no input may hold up other requests."""
BASE = MIB // 4
"""Bytes that are there whatever the size is: decoders and what they keep for the next time."""
STEEPEST = 24
"""How many times as long an input may take that is eight times as large."""
_SHORT = 5.0
"""Milliseconds below which a growth says nothing."""


@dataclass
class Costs:
    """The most that was seen of one reader."""

    slowest: float = 0.0
    """Milliseconds of an input of the largest size."""
    memory: float = 0.0
    """Times the text."""
    timed: int = 0


def milliseconds(reader: Reader, data: bytes, rounds: int) -> float:
    """The least CPU time of reading an input."""
    least = float("inf")
    for _ in range(rounds):
        start = time.thread_time_ns()
        attempt(lambda: reader.read(data))
        least = min(least, (time.thread_time_ns() - start) / 1e6)
    return least


def peak(reader: Reader, data: bytes) -> int:
    """The most bytes that reading an input takes beside it."""
    tracemalloc.start()
    try:
        attempt(lambda: reader.read(data))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def weigh(reader: Reader, data: bytes, random: Random, costs: Costs, *, judges_time: bool = True) -> None:
    """Enlarge an input, and hold its costs against the limits. Raises Broken."""
    make = reader.enlarge(data, random)
    eighth, whole = make(reader.largest // 8), make(reader.largest)
    costs.timed += 1
    before = milliseconds(reader, eighth, 1)
    is_slow = before * 64 > LIMIT or before * 8 > costs.slowest  # all below is quick even if it takes the square
    if is_slow and judges_time:
        _judge(reader, eighth, whole, costs)
    if is_slow or costs.timed % 16 == 1:
        used = max(peak(reader, whole) - BASE, 0) / max(len(whole), MIB // 16)
        costs.memory = max(costs.memory, used)
        if used > reader.most_memory:
            raise Broken("memory", f"{len(whole):,} bytes take {used:.1f} times as much; {recipe(whole)}")


def _judge(reader: Reader, eighth: bytes, whole: bytes, costs: Costs) -> None:
    taken = milliseconds(reader, whole, 3)
    if taken > LIMIT:
        taken = min(taken, milliseconds(reader, whole, 7))
        if taken > LIMIT:
            raise Broken("time", f"{len(whole):,} bytes take {taken:.0f} ms of CPU; {recipe(whole)}")
    costs.slowest = max(costs.slowest, taken)
    if taken > _SHORT and taken > STEEPEST * milliseconds(reader, eighth, 5):
        taken, before = milliseconds(reader, whole, 7), milliseconds(reader, eighth, 7)
        if taken > max(STEEPEST * before, _SHORT):
            raise Broken("growth", f"{before:.2f} ms, and {taken:.2f} ms for eight times as much; {recipe(whole)}")


def recipe(data: bytes) -> str:
    """A large input, told by its ends: its whole is made again with the seed."""
    return repr(data) if len(data) < 400 else f"{data[:200]!r} ... {data[-100:]!r}"
