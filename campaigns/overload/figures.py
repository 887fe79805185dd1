# The results of an open-loop load: responses, times, and time windows. Printed by the load, read by the campaign.

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

WINDOW = 0.5
"""Seconds that are looked at together, to see when all is well again."""


class Taken(msgspec.Struct):
    """One answer."""

    sent_at: float
    """By the monotonic clock, which all processes share."""
    seconds: float
    """From writing the request to the end of its answer."""
    status: int


class Came(msgspec.Struct):
    """What came back for requests of one kind."""

    statuses: dict[int, int]
    lost: int
    """How many got no answer."""
    p50: float
    """Milliseconds, from writing the request to the end of its answer."""
    p99: float
    longest: float
    refused_p99: float
    """Of those that were answered 503."""


class Window(msgspec.Struct):
    """What was sent within WINDOW seconds."""

    at: float
    """When it began, by the monotonic clock that all processes share."""
    answered: int
    p99: float


class Offered(msgspec.Struct):
    """What one run of the load measured."""

    began: float
    ended: float
    """When the first request was due, and when the last one was, by the monotonic clock."""
    due: int
    sent: int
    """How many of those that were due found a connection free."""
    kinds: dict[str, Came]
    windows: list[Window]
    opened: int
    """Connections, those that took the place of others included."""
    broken: dict[str, int]
    """Why requests were lost, and connections could not be made."""


def came(taken: Sequence[Taken], lost: int) -> Came:
    """Sum up the answers to requests of one kind."""
    ranked = sorted(each.seconds * 1000 for each in taken) or [0.0]
    refused = sorted(each.seconds * 1000 for each in taken if each.status == 503) or [0.0]
    statuses = Counter(each.status for each in taken)
    return Came(dict(statuses), lost, ranked[len(ranked) // 2], _p99(ranked), ranked[-1], _p99(refused))


def windows(kinds: Iterable[Sequence[Taken]]) -> Iterator[Window]:
    """Sum up all answers by when their requests were sent."""
    together: defaultdict[int, list[float]] = defaultdict(list)
    for each in itertools.chain.from_iterable(kinds):
        together[int(each.sent_at / WINDOW)].append(each.seconds * 1000)
    for number, times in sorted(together.items()):
        yield Window(number * WINDOW, len(times), _p99(sorted(times)))


def _p99(ranked: Sequence[float]) -> float:
    return ranked[len(ranked) * 99 // 100]
