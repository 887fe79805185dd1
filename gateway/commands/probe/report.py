# Derives a verdict on an API from its answers to identical creates. Pure: no I/O, no clock.

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

REFUSALS = frozenset({400, 409, 412, 422})
"""Statuses by which APIs refuse a create because the thing exists already."""

IN_SEQUENCE = "in sequence"
AT_ONCE = "at once"

Kind = Literal["stops", "makes", "cannot-tell"]

_VERDICTS: dict[Kind, str] = {
    "makes": "makes duplicates",
    "cannot-tell": "cannot tell",
    "stops": "stops duplicates",
}
_WORST_FIRST = list(_VERDICTS)


class Result(msgspec.Struct, frozen=True):
    """The result of one create: a response, or the reason why there was none."""

    seconds: float
    status: int | None = None
    error: str | None = None
    resource: str | None = None
    """The created resource according to the answer: its Location, or the id in its body."""
    sent: bool = True
    """False only when no connection was made, so that nothing can have happened."""

    @property
    def accepted(self) -> bool:
        """Whether the API says that it created the thing."""
        return self.status is not None and (200 <= self.status < 300 or self.status == 303)

    @property
    def refused(self) -> bool:
        """Whether the API refused the create in a way that fits a duplicate."""
        return self.status in REFUSALS


class Phase(msgspec.Struct, frozen=True):
    """The results of one phase, in the order of their arrival."""

    name: str
    results: tuple[Result, ...]
    fresh: bool
    """Whether its identity had not been sent before."""

    @property
    def accepted(self) -> list[Result]:
        """The results that say that the thing was created."""
        return [result for result in self.results if result.accepted]

    @property
    def resources(self) -> list[str]:
        """The different resources that were created, as far as the answers name them, in order."""
        return list(dict.fromkeys(one.resource for one in self.accepted if one.resource is not None))

    @property
    def statuses(self) -> dict[int, int]:
        """The number of answers by status."""
        return dict(sorted(Counter(one.status for one in self.results if one.status is not None).items()))

    @property
    def errors(self) -> dict[str, int]:
        """The number of failures by reason."""
        return dict(Counter(one.error for one in self.results if one.error is not None))


class Latency(msgspec.Struct, frozen=True):
    """How long answers took, in milliseconds."""

    min: float
    median: float
    max: float


class Verdict(msgspec.Struct, frozen=True):
    """The conclusion in one line, and what it leaves open."""

    kind: Kind
    text: str
    limits: tuple[str, ...] = ()


def latency(phase: Phase) -> Latency | None:
    """Return how long answers took; None when none came."""
    times = [result.seconds * 1000 for result in phase.results if result.status is not None]
    if not times:
        return None
    return Latency(*(round(value, 1) for value in (min(times), statistics.median(times), max(times))))


def judge(phases: Sequence[Phase]) -> Verdict:
    """Return the verdict over all phases.

    A phase that is not fresh repeats the identity of the one before it; the two are judged together.
    """
    groups: list[list[Phase]] = []
    for phase in phases:
        if phase.fresh or not groups:
            groups.append([phase])
        else:
            groups[-1].append(phase)
    found = [(group[0].name, *_judge_identity([one for part in group for one in part.results])) for group in groups]
    kind = min((kind for _, kind, _ in found), key=_WORST_FIRST.index)
    chosen = {name: text for name, one, text in found if one == kind}
    if len(chosen) == len(found) and len(set(chosen.values())) == 1:
        text = next(iter(chosen.values()))
    else:
        text = "; ".join(f"{name}, {text}" for name, text in chosen.items())
    return Verdict(kind, f"{_VERDICTS[kind]}: {text}", tuple(_limits(kind, phases)))


def _judge_identity(results: Sequence[Result]) -> tuple[Kind, str]:
    total = len(results)
    accepted = [one for one in results if one.accepted]
    refused = [one for one in results if one.refused]
    named = {one.resource for one in accepted if one.resource is not None}
    came = _came(results)
    if len(named) > 1:
        text = f"{len(accepted)} of {total} identical creates were accepted, {len(named)} different resources"
        return "makes", text
    if len(accepted) == 1 and len(refused) == total - 1:
        return "stops", f"1 accepted, {_came(refused)}"
    if not any(one.status for one in results):
        return "cannot-tell", f"no create got an answer ({came})"
    if len(refused) == total:
        return "cannot-tell", f"none was accepted ({came}): the thing exists already, or the request is wrong"
    if not accepted:
        return "cannot-tell", f"none was accepted ({came})"
    unclear = total - len(accepted) - len(refused)
    if unclear:
        return "cannot-tell", f"{unclear} of {total} ended neither accepted nor refused ({came})"
    if None in {one.resource for one in accepted}:
        text = f"{len(accepted)} of {total} were accepted, but the answers name no resource (no Location, no id)"
        return "cannot-tell", text
    return "cannot-tell", f"{len(accepted)} of {total} were accepted, and all name the same resource"


def _came(results: Sequence[Result]) -> str:
    statuses = Counter(one.status for one in results if one.status is not None)
    errors = Counter(one.error for one in results if one.error is not None)
    answered = [f"{count} answered {status}" for status, count in sorted(statuses.items())]
    return ", ".join([*answered, *(f"{count} x {error}" for error, count in errors.items())])


def _limits(kind: Kind, phases: Sequence[Phase]) -> Iterator[str]:
    results = [one for phase in phases for one in phase.results]
    raced = any(phase.fresh and phase.name == AT_ONCE for phase in phases)
    if kind == "stops":
        if not raced:
            yield (
                "No two creates raced to be the first: those sent at once met an identity that existed already."
                " Put {{unique}} into the body, a header or the URL to test that."
            )
        if any(one.refused and one.status != 409 for one in results):
            yield "Some refusals are not 409. Read one to be sure that it means a duplicate."
        yield "Not tested: a create whose answer is lost, by a timeout or a crash, and the retry that follows it."
    if kind == "cannot-tell":
        accepted = [one for one in results if one.accepted]
        if len(accepted) > 1:
            yield (
                "Accepted answers that name one resource, or none, may be a first answer replayed, one thing updated,"
                " or duplicates that do not show. Count what the API holds now."
            )
        if any((one.error and one.sent) or (one.status or 0) >= 500 for one in results):
            yield "A create without an answer, or with a 5xx, may have happened. Count what the API holds now."
        if not accepted and all(one.refused for one in results) and not raced:
            yield "Put {{unique}} into the body, a header or the URL, so that each phase creates something new."
