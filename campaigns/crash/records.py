# The knowledge of the clients in the crash campaign: which creates they sent, the responses, and whether later
# responses are consistent with them.

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.burst import Outcome
from tests.support.client import create_bytes, request_bytes

PASSED = request_bytes("GET", "/users/17")
_KNOWN = {"duplicate": "created", "outcome-unknown": "unknown"}


@dataclass(frozen=True)
class Sent:
    """One request; without an identity, one that no rule guards."""

    identity: str | None

    @property
    def data(self) -> bytes:
        """Its bytes."""
        if self.identity is None:
            return PASSED
        return create_bytes(self.identity, headers=[("X-Identity", self.identity)])


@dataclass
class Broken:
    """How often something was not as promised."""

    duplicates: int = 0
    """Creates that reached the API more than once."""
    forgotten: int = 0
    """Responses that contradict an earlier one."""
    unclean: int = 0
    """Starts that failed or were not ready, and errors in the gateway's log."""
    other: int = 0
    """Answers that nothing explains."""

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.forgotten or self.unclean or self.other)


@dataclass
class Row:
    """What was seen of one point with one durability."""

    point: str
    durability: str
    kills: int = 0
    longest_ready: float = 0.0
    broken: Broken = field(default_factory=Broken)


@dataclass
class Campaign:
    """What is to be done, and what was seen so far."""

    points: Sequence[str]
    durabilities: Sequence[str]
    kills: int
    workers: int
    seed: int
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    """How many identities were created, and of how many the outcome stayed unknown."""
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """How many kills there were."""
        return sum(row.kills for row in self.rows.values())

    @property
    def longest_ready(self) -> float:
        """Seconds that the slowest start took."""
        return max(row.longest_ready for row in self.rows.values())

    @property
    def is_broken(self) -> bool:
        """Whether anything was not as promised, the time to be ready aside."""
        return bool(self.wrong) or any(row.broken for row in self.rows.values())

    def tell_progress(self) -> None:
        """Say on standard error how far it is."""
        wanted = len(self.rows) * self.kills
        print(f"{self.total} of {wanted} kills, {len(self.wrong)} things wrong", file=sys.stderr, flush=True)


@dataclass
class Records:
    """All creates that were sent to the gateways on one store."""

    told: dict[str, str] = field(default_factory=dict)
    """The last known state of each identity: created, or unknown."""
    open: dict[str, None] = field(default_factory=dict)
    """Identities without a final response to any client."""
    fresh: dict[str, None] = field(default_factory=dict)
    """Identities with a response since they were last checked."""

    def due(self) -> list[Sent]:
        """Creates that their clients send again after a start: without an answer, or to see that it still holds."""
        return [Sent(identity) for identity in {**self.open, **self.fresh}]

    def all(self) -> list[Sent]:
        """Every create there ever was, once."""
        return [Sent(identity) for identity in {**self.told, **self.open}]

    def judge(
        self, sent: Sequence[Sent], outcomes: Sequence[Outcome], before: Counter[str], now: Counter[str], broken: Broken
    ) -> list[str]:
        """Take note of what came of requests that were sent together; returns what is wrong, a line each.

        `before` and `now` are what the API had counted before they were sent, and has now.
        """
        wrong: list[str] = []
        told_before = dict(self.told)
        for outcome in outcomes:
            identity = sent[outcome.index].identity
            met = outcome.slug or outcome.status
            if identity is None:
                if met not in {200, None}:
                    broken.other += 1
                    wrong.append(f"a passed request was answered {met}")
            elif outcome.was_sent:
                self._judge_create(identity, met, told_before.get(identity), now, broken, wrong)
        for identity, count in (now - before).items():
            if now[identity] > 1:
                broken.duplicates += count
                wrong.append(f"{identity} reached the API {now[identity]} times")
        return wrong

    def _judge_create(
        self,
        identity: str,
        met: int | str | None,
        known: str | None,
        now: Counter[str],
        broken: Broken,
        wrong: list[str],
    ) -> None:
        if met in {None, "in-progress"} and known is None:
            if identity not in self.told:
                self.open[identity] = None
            return
        if met is None:
            return
        became = "created" if met == 201 else _KNOWN.get(str(met))
        if known is not None:
            self.fresh.pop(identity, None)
            if met == 201 or became != known:
                broken.forgotten += 1
                wrong.append(f"{identity} was {known}, and is answered {met}")
        elif (
            became != self.told.get(identity, became or "")  # racing copies got different responses
            or (became == "created" and not now[identity])
        ):
            broken.other += 1
            wrong.append(f"{identity}, which reached the API {now[identity]} times, is answered {met}")
        elif became is not None:
            self.told[identity] = became
            self.open.pop(identity, None)
            self.fresh[identity] = None
