# What clients of the failover campaign were told, and whether it can be true.

from collections import Counter
from dataclasses import dataclass, field

from typing_extensions import override

from campaigns.cluster import records
from campaigns.failover.api import FICKLE, SILENT
from tests.support.burst import Outcome

_UNANSWERED = {"in-progress", "store-unavailable", "overloaded"}


@dataclass
class Figures(records.Figures):
    """Of one phase: counters, and what is wrong, a text each."""

    kept: Counter[str] = field(default_factory=Counter)
    """How often each was carried out by the API."""
    refused: set[str] = field(default_factory=set)
    """By the API, each once."""
    pauses: list[float] = field(default_factory=list)
    """Seconds from each fault until all gateways took creates again."""
    lagging: int = 0
    """In how many rounds the replica lacked something."""
    put_back: int = 0
    taken: int = 0
    """Of the claims that a server had lost, how many were put back, and how many others held by then."""
    replicas: int = 0
    """What store.replicas was."""
    uncommitted: int = 0
    """Creates that the API got while nothing could be committed."""
    gateways_killed: bool = False
    """Whether gateways were killed too, so that what they had in flight is unknown."""
    stuck: list[str] = field(default_factory=list)
    """Those that got no answer in the end."""

    @override
    def note(self, phase: str, name: str, outcome: Outcome) -> None:
        if outcome.status == 422 and name.startswith(FICKLE) and name not in self.refused:
            self.refused.add(name)
            self.answers[phase, "refused by the API"] += 1
            return
        if outcome.slug == "outcome-unknown" and self.told.get(name) == "created":
            self.wrong.append(f"{name} was created, and is unknown")
        super().note(phase, name, outcome)

    def is_answered(self, name: str, outcome: Outcome) -> bool:
        """Whether it is known now what became of an identity; takes note of it."""
        if outcome.status is None or outcome.slug in _UNANSWERED:
            return False
        if name in self.told:
            self.note_again(name, outcome)
        else:
            self.note("again", name, outcome)
        return name in self.told

    def twice(self) -> list[str]:
        """What the API created more than once."""
        return [name for name, count in self.kept.items() if count > 1]

    def verdicts(self) -> list[tuple[str, bool]]:
        """A line each, and whether it is what it must be."""
        twice = self.twice()
        unknown = [name for name, state in self.told.items() if state == "unknown" and not name.startswith(SILENT)]
        is_explained = self.gateways_killed or not unknown
        lost = [name for name, state in self.told.items() if state == "created" and not self.kept[name]]
        return [
            (f"{len(twice)} of {len(self.kept):,} identities were created twice {twice[:5]}", not twice),
            (f"{len(self.wrong)} were forgotten, or answered wrongly {self.wrong[:5]}", not self.wrong),
            (f"{len(self.stuck)} got no answer in the end {self.stuck[:5]}", not self.stuck),
            (f"{len(unknown)} are unknown without a reason {unknown[:5]}", is_explained),
            (f"{self.uncommitted} were forwarded while nothing could be committed", not self.uncommitted),
            (f"{len(lost)} are told to be created, and are not {lost[:5]}", not lost),
        ]
