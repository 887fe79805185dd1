# What the promotions campaign was told, as a person reads it, and whether it can be true.

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from campaigns.cluster.records import Figures
from campaigns.promotions.faults import Refusals, broken


@dataclass
class Seen:
    """What one way to disturb has brought."""

    ways: Counter[str] = field(default_factory=Counter)
    identities: int = 0
    put_back: int = 0
    """Claims that gateways wrote again."""
    taken: int = 0
    """Claims that were lost, and were another operation's when they were to be written again."""
    longest: float = 0.0
    """Seconds from the end of a disturbance until something was created."""


@dataclass
class Report:
    """All that was seen."""

    figures: Figures = field(default_factory=Figures)
    phases: dict[str, Seen] = field(default_factory=dict)
    refusals: list[Refusals] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """What never came to an end."""
    deadlocks: int = 0
    """How many the servers have broken."""
    sessions: int = 0
    """The most that were there at a time, of all gateways."""

    def lines(self, name: str) -> list[str]:
        """What was seen of one thing, as a person reads it below HEADING."""
        seen, figures = self.phases[name], self.figures
        requests = sum(count for (of, _), count in figures.answers.items() if of == name)
        refused = figures.answers[name, "store-unavailable"]
        unknown = [state for told, state in figures.told.items() if told.rpartition("-")[0] == name].count("unknown")
        ways = ", ".join([f"{times} {way}" for way, times in seen.ways.most_common()])
        line = (
            f"{name:20}{seen.ways.total():>6}{seen.identities:>11,}{requests:>9,}{refused:>8,}{unknown:>8,}"
            f"{seen.put_back:>9,}{seen.longest:>10.2f}  {ways}"
        )
        return [
            line,
            *[
                f"  noticed after {one.noticed_after:.2f} s, {one.refused} refused, {one.forwarded} forwarded, well "
                f"{one.healthy_after:.2f} s after its end; {'; '.join(sorted(one.reasons))}"
                for one in self.refusals
                if one.fault == name
            ],
        ]

    def rest(self) -> list[str]:
        """What was seen all along."""
        counted = f"{self.deadlocks} deadlocks broken by the server; at most {self.sessions} sessions of gateways"
        return [counted, *[f"skipped: {what}" for what in self.skipped]]


HEADING = (
    f"{'':20}{'times':>6}{'identities':>11}{'requests':>9}{'503':>8}{'unknown':>8}{'put back':>9}{'longest s':>10}"
)


def verdicts(report: Report) -> Iterator[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    figures = report.figures
    sent = sum(seen.identities for seen in report.phases.values())
    twice = [name for name, count in figures.counts.items() if count > 1]
    lost = [what for what in ("refused", "no answer") if any(slug == what for _, slug in figures.answers)]
    yield f"{len(figures.told):,} identities have an end, of {sent:,}", len(figures.told) == sent > 0
    yield f"{len(twice)} reached the API more than once {twice[:5]}", not twice
    yield f"{figures.forwarded_again} of those that were known were forwarded again", not figures.forwarded_again
    yield f"{len(figures.wrong)} wrong answers {figures.wrong[:5]}", not figures.wrong
    yield (
        f"{sum(seen.taken for seen in report.phases.values())} lost claims were somebody else's by then",
        not any(seen.taken for seen in report.phases.values()),
    )
    yield f"{len(lost)} kinds of broken requests {lost}", not lost
    for problem in [*report.stuck, *[line for one in report.refusals for line in broken(one)]]:
        yield problem, False
