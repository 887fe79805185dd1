# The knowledge of the clients in the crash campaign: which creates they sent, the responses, and whether later
# responses are consistent with them.

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaigns.crash.accounts import Clients, Step
from campaigns.crash.stores import StoreKind
from campaigns.crash.traffic import Kind, Sent
from campaigns.crash.upstream import CountingUpstream, Given
from tests.support.burst import Outcome

_BECAME = {"created": "created", "replayed": "created", "duplicate": "created", "outcome-unknown": "unknown"}
"""The state of an identity, by what one of its creates met."""
_MARKS = frozenset({"idempotency-status", "idempotent-replayed"})
"""Fields that the gateway adds."""
_NOT_KEPT = frozenset({"set-cookie"})
"""Fields of the API's answers that are not given again."""


@dataclass
class Broken:
    """How often something was not as promised."""

    duplicates: int = 0
    """Creates that reached the API more than once."""
    forgotten: int = 0
    """Responses that contradict an earlier one, and refusals where a stored answer should have been given again."""
    foreign: int = 0
    """Answers with success that are not the one that the API gave to that very create of that very caller."""
    unclean: int = 0
    """Starts that failed or were not ready, and errors in the gateway's log."""
    other: int = 0
    """Answers that nothing explains."""

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.forgotten or self.foreign or self.unclean or self.other)


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
    store: StoreKind = "sqlite"
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    """How many identities were created, and of how many the outcome stayed unknown."""
    met: Counter[str] = field(default_factory=Counter)
    """What creates met: "created", "replayed", or a slug; "another-caller" for a 409 where an answer is stored."""
    rounds: Counter[int] = field(default_factory=Counter)
    """How many kills needed how many rounds of load."""
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

    senders: dict[str, dict[Sent, None]] = field(default_factory=dict)
    """The different creates that were sent of each identity."""
    answered: set[str] = field(default_factory=set)
    """Identities with a first answer: any other is a replay."""
    met: Counter[str] = field(default_factory=Counter)
    clients: Clients = field(default_factory=Clients)
    """What is known of accounts, which have a life of their own."""

    def due(self) -> list[Sent]:
        """Creates that their clients send again after a start: without an answer, or to see that it still holds."""
        creates = [sent for identity in {**self.open, **self.fresh} for sent in self.senders[identity]]
        return [*creates, *self.clients.due()]

    def replays_due(self, api: CountingUpstream) -> int:
        """How many of those that are due are known to be given a stored answer."""
        return sum(
            self.told.get(sent.identity or "") == "created" and is_retry_of(sent, api.given.get(sent.identity or ""))
            for sent in self.due()
        )

    def all(self) -> list[Sent]:
        """Every create there ever was, once for each caller; and one of each name of an account."""
        creates = [sent for identity in {**self.told, **self.open} for sent in self.senders[identity]]
        return [*creates, *self.clients.everybody()]

    def judge(
        self,
        requests: Sequence[Sent],
        outcomes: Sequence[Outcome],
        before: Counter[str],
        api: CountingUpstream,
        broken: Broken,
    ) -> list[str]:
        """Take note of what came of requests that were sent together; returns what is wrong, a line each.

        `before` is what the API had counted before they were sent.
        """
        wrong: list[str] = []
        told_before = dict(self.told)
        for outcome in outcomes:
            sent = requests[outcome.index]
            if isinstance(sent, Step):
                if outcome.was_sent and (why := self.clients.judge(sent, outcome)):
                    broken.other += 1
                    wrong.append(why)
            elif sent.identity is None:
                if outcome.status not in {200, None}:
                    broken.other += 1
                    wrong.append(f"a passed request was answered {outcome.slug or outcome.status}")
            elif outcome.was_sent:
                self.senders.setdefault(sent.identity, {})[sent] = None
                judge = self._judge_upsert if sent.kind is Kind.UPSERTED else self._judge_create
                judge(sent, sent.identity, outcome, told_before.get(sent.identity), api, broken, wrong)
        for identity, count in (api.counts - before).items():
            if api.counts[identity] > 1 + api.gone[identity]:
                broken.duplicates += count
                wrong.append(f"{identity} reached the API {api.counts[identity]} times")
        broken.duplicates += len(api.accounts.twice)
        wrong += api.accounts.twice
        api.accounts.twice.clear()
        return wrong

    def _judge_create(
        self,
        sent: Sent,
        identity: str,
        outcome: Outcome,
        known: str | None,
        api: CountingUpstream,
        broken: Broken,
        wrong: list[str],
    ) -> None:
        met = _met(outcome)
        if met in {None, "in-progress"} and known is None:
            if identity not in self.told:
                self.open[identity] = None
            return
        if met is None:
            return
        if sent.kind is Kind.VERIFIED:
            self._judge_verified(sent, identity, outcome, known, api, broken, wrong)
            return
        given = api.given.get(identity)
        is_retry = is_retry_of(sent, given)
        self.met["another-caller" if met == "duplicate" and sent.kind.is_replayed else met] += 1
        if met in {"created", "replayed"} and (why := _differs(sent, outcome, given, is_replay=met == "replayed")):
            broken.foreign += 1
            wrong.append(f"{identity} is answered {met} to {sent.caller!r}, but {why}")
        if met == "created":
            self._note_first_answer(identity, broken, wrong)
        became = _BECAME.get(met)
        expected = ("replayed" if is_retry else "duplicate") if (known or became) == "created" else "outcome-unknown"
        if known is not None:
            self.fresh.pop(identity, None)
            if met != expected:
                broken.forgotten += 1
                wrong.append(f"{identity} was {known}, and {sent.caller!r} is answered {met}, not {expected}")
        elif met == "duplicate" and met != expected:
            broken.forgotten += 1
            wrong.append(f"{identity} is of {sent.caller!r}, who is answered {met}")
        elif (
            became is None
            or became != self.told.get(identity, became)  # racing copies got different responses
            or (became == "created" and not api.counts[identity])
        ):
            broken.other += 1
            wrong.append(f"{identity}, which reached the API {api.counts[identity]} times, is answered {met}")
        else:
            self.told[identity] = became
            self.open.pop(identity, None)
            self.fresh[identity] = None

    def _note_first_answer(self, identity: str, broken: Broken, wrong: list[str]) -> None:
        if identity in self.answered:
            broken.other += 1
            wrong.append(f"{identity} got a first answer twice")
        self.answered.add(identity)

    def _judge_upsert(
        self,
        _sent: Sent,
        identity: str,
        outcome: Outcome,
        known: str | None,
        api: CountingUpstream,
        broken: Broken,
        wrong: list[str],
    ) -> None:
        """What was created may be gone, and is then created once more: only from there may it become unknown."""
        met = "upserted" if ("idempotency-status", "upserted") in outcome.fields else _met(outcome)
        if met in {None, "in-progress"}:
            if identity not in self.told:
                self.open[identity] = None
            return
        self.met[met] += 1
        became = "created" if met == "upserted" else _BECAME.get(met)
        was_gone = api.gone[identity] > 0
        if met == "duplicate" or became is None or (became == "created" and not api.counts[identity]):
            broken.other += 1
            wrong.append(f"{identity}, which reached the API {api.counts[identity]} times, is answered {met}")
            return
        if known is not None and (became != known or met == "created") and not (known == "created" and was_gone):
            broken.forgotten += 1
            wrong.append(f"{identity} was {known}, and is answered {met}")
        if self.told.get(identity) != "unknown":
            self.told[identity] = became
        self.open.pop(identity, None)
        if known is None:
            self.fresh[identity] = None
        else:
            self.fresh.pop(identity, None)

    def _judge_verified(
        self,
        sent: Sent,
        identity: str,
        outcome: Outcome,
        known: str | None,
        api: CountingUpstream,
        broken: Broken,
        wrong: list[str],
    ) -> None:
        """The same where unknown outcomes are found out: what was unknown may be created then, or free."""
        met = _met(outcome)
        self.met[f"verified: {met}"] += 1
        became = _BECAME.get(met or "")
        if met == "created":
            if why := _differs(sent, outcome, api.given.get(identity), is_replay=False):
                broken.foreign += 1
                wrong.append(f"{identity} is answered created, but {why}")
            self._note_first_answer(identity, broken, wrong)
        if known == "created" and met not in {"duplicate", "in-progress"}:
            broken.forgotten += 1
            wrong.append(f"{identity} was created, and is answered {met}")
        elif met != "in-progress" and (became is None or (became == "created" and not api.counts[identity])):
            broken.other += 1
            wrong.append(f"{identity}, which the API carried out {api.counts[identity]} times, is answered {met}")
        elif became is not None:
            self.told[identity] = "created" if self.told.get(identity) == "created" else became
            self.open.pop(identity, None)
            self.fresh.pop(identity, None)
            if known is None or became == "unknown":
                self.fresh[identity] = None


def is_retry_of(sent: Sent, given: Given | None) -> bool:
    """Whether a create that succeeded with an answer gives that to `sent` again."""
    return sent.kind.is_replayed and given is not None and given.caller == sent.caller


def _met(outcome: Outcome) -> str | None:
    """What a create met: "created", "replayed", a slug or another status; None without an answer."""
    if outcome.status is None or outcome.slug is not None:
        return outcome.slug
    if outcome.status >= 300:
        return str(outcome.status)
    return "replayed" if ("idempotent-replayed", "true") in outcome.fields else "created"


def _differs(sent: Sent, outcome: Outcome, given: Given | None, *, is_replay: bool) -> str | None:
    """How an answer differs from the one that the API gave to the same create; None when it does not."""
    if given is None:
        return "the API gave no answer"
    if given.caller != sent.caller:
        return f"the API got it from {given.caller!r}"
    if (outcome.status, outcome.body) != (given.status, given.body):
        return f"the API answered {given.status} {given.body!r}, not {outcome.status} {outcome.body!r}"
    expected = sorted(pair for pair in given.fields if not (is_replay and pair[0] in _NOT_KEPT))
    found = sorted(pair for pair in outcome.fields if pair[0] not in _MARKS)
    return None if found == expected else f"its fields are {found}, not {expected}"
