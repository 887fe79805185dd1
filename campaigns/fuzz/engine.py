# The loop: inputs that are valid, changed, or made of what did something new; what fails is made smaller.

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from campaigns.fuzz.common import ACCEPTED, Broken, Reader
from campaigns.fuzz.cost import Costs, weigh
from campaigns.fuzz.mutate import Mutator

COSTS_EVERY = 40
"""Inputs after which one is enlarged."""
_KEPT_OF_EACH = 12
"""Inputs of the same outcome that are changed further."""
_MOST_TRIES = 3000
"""How often an input is checked while it is made smaller."""
_COSTS = frozenset({"time", "growth", "memory"})
"""Kinds of failures of an input that was enlarged: what is shown is what it was made of."""


@dataclass(frozen=True)
class Failure:
    """What does not hold, and the smallest input found for which it does not."""

    reader: str
    kind: str
    reason: str
    data: bytes

    def lines(self, seed: int) -> list[str]:
        """Say it."""
        return [f"NOT  {self.reader}: {self.reason}", f"     input {self.data!r}", f"     --seed {seed}"]


@dataclass
class Tally:
    """What was done with one reader."""

    reader: str
    inputs: int = 0
    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    costs: Costs = field(default_factory=Costs)
    failures: dict[str, Failure] = field(default_factory=dict)
    """By kind: the first of each."""


def fuzz(
    reader: Reader,
    seed: int,
    *,
    inputs: int | None = None,
    seconds: float = 0.0,
    judges_time: bool = True,
    until: str | None = None,
) -> Tally:
    """Fuzz one reader with so many inputs, or for so long, or until there is a failure of one kind.

    What is done hangs on the seed alone.
    """
    random, tally = Random(f"{seed}-{reader.name}"), Tally(reader.name)
    mutator, kept = Mutator(reader.tokens, random), [reader.make(random) for _ in range(20)]
    end = time.monotonic() + seconds
    while (tally.inputs < inputs if inputs is not None else time.monotonic() < end) and until not in tally.failures:
        data = reader.make(random) if random.random() < 0.5 else random.choice(kept)
        if random.random() < 0.8:
            data = mutator.change(data, random.choice(kept))
        tally.inputs += 1
        came = _check(reader, data, tally)
        tally.accepted += came == ACCEPTED
        tally.outcomes[came] += 1
        if tally.outcomes[came] <= _KEPT_OF_EACH:
            kept.append(data)
        if tally.inputs % COSTS_EVERY == 1:
            failure = _weighed(reader, data, random, tally.costs, judges_time=judges_time)
            if failure is not None:
                tally.failures.setdefault(failure.kind, failure)
    return tally


def _weighed(reader: Reader, data: bytes, random: Random, costs: Costs, *, judges_time: bool) -> Failure | None:
    try:
        weigh(reader, data, random, costs, judges_time=judges_time)
    except Broken as broken:
        return Failure(reader.name, broken.kind, str(broken), data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the campaign looks for
        return Failure(reader.name, type(error).__name__, f"an enlarged input raised {error!r}", data)
    return None


def _check(reader: Reader, data: bytes, tally: Tally) -> str:
    failed = failing(reader, data)
    if isinstance(failed, str):
        return failed
    kind = kind_of(failed)
    if kind not in tally.failures:
        smallest = shrink(data, lambda smaller: _fails_alike(reader, smaller, kind))
        shown = failing(reader, smallest)
        tally.failures[kind] = Failure(tally.reader, kind, repr_of(shown), smallest)
    return f"failed: {kind}"


def failing(reader: Reader, data: bytes) -> str | Exception:
    """The outcome of one input, or what does not hold."""
    try:
        return reader.check(data)
    except Exception as error:  # noqa: BLE001 - as above
        return error


def kind_of(error: Exception) -> str:
    """What stays the same of a failure while its input is made smaller."""
    return error.kind if isinstance(error, Broken) else type(error).__name__


def repr_of(failed: str | Exception) -> str:
    """A failure in words."""
    return str(failed) if isinstance(failed, Broken) else f"raised {failed!r}"


def _fails_alike(reader: Reader, data: bytes, kind: str) -> bool:
    failed = failing(reader, data)
    return not isinstance(failed, str) and kind_of(failed) == kind


def shrink(data: bytes, still_fails: Callable[[bytes], bool]) -> bytes:
    """Delete chunks, ever smaller ones, as long as the rest still fails."""
    size, tries = max(len(data) // 2, 1), 0
    while size and tries < _MOST_TRIES:
        at, has_shrunk = 0, False
        while at < len(data) and tries < _MOST_TRIES:
            tries += 1
            smaller = data[:at] + data[at + size :]
            if still_fails(smaller):
                data, has_shrunk = smaller, True
            else:
                at += size
        size = size if has_shrunk and size == 1 else size // 2
    return data
