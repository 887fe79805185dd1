# What the cluster campaign was told, and whether it can be true.

from collections import Counter
from dataclasses import dataclass, field

from tests.support.burst import Outcome
from tests.support.shared import Backend

_HELD = {"duplicate", "in-progress", "outcome-unknown"}
_NOT_FORWARDED = {"store-unavailable", "upstream-unreachable", "overloaded"}


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    identities: int
    copies: int
    nodes: int
    pause: float
    seed: int
    backend: Backend = "valkey"


@dataclass
class Figures:
    """Counters, and what is wrong, a text each."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By phase and what was answered."""
    told: dict[str, str] = field(default_factory=dict)
    """By identity what its claim is known to be: created or unknown."""
    created: Counter[str] = field(default_factory=Counter)
    """How often each was answered as created."""
    counts: Counter[str] = field(default_factory=Counter)
    """How often each reached the API."""
    wrong: list[str] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    kills: int = 0
    restarts: int = 0
    forwarded_again: int = 0

    def note(self, phase: str, name: str, outcome: Outcome) -> None:
        """Take note of one answer."""
        met = outcome.slug or ("created" if outcome.status in {200, 201, 202} else str(outcome.status or ""))
        if outcome.status is None:
            met = "no answer" if outcome.was_sent else "refused"
        self.answers[phase, met] += 1
        if met == "created":
            self.created[name] += 1
            if self.created[name] > 1:
                self.wrong.append(f"{name} was created {self.created[name]} times")
        if met in {"created", "duplicate"}:
            self._become(name, "created")
        elif met == "outcome-unknown":
            self._become(name, "unknown")
        elif met not in {"in-progress", "no answer", "refused", *_NOT_FORWARDED}:
            self.wrong.append(f"{name} is answered {met}")

    def note_again(self, name: str, outcome: Outcome) -> None:
        """Take note of the answer to what is known already."""
        met = outcome.slug or str(outcome.status)
        expected = {"created": {"duplicate"}, "unknown": {"outcome-unknown", "duplicate"}}[self.told[name]]
        if met not in expected:
            self.wrong.append(f"{name} was {self.told[name]}, and in the end is answered {met}")

    def _become(self, name: str, state: str) -> None:
        """An unknown outcome may still become known, when the gateway that sent it lives: never the other way round."""
        before = self.told.setdefault(name, state)
        if before == "unknown" and state == "created":
            self.told[name] = state
