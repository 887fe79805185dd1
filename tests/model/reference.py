# What the gateway must do, said a second time: the two tables of docs/how-it-decides.md and nothing else. It knows no
# fingerprints, no store and no HTTP, and was not written from the code that it is held against.

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Key = tuple[str, ...]
"""What a claim is on: namespace, entry, and values. Stands in for its fingerprint."""
Ending = int | Literal["503 with Retry-After", "not sent", "no answer"]
"""How the API took a create: a status, or none."""
FOREVER = math.inf
SUCCESS: frozenset[Ending] = frozenset([*range(200, 300), 303])
REFUSED: frozenset[Ending] = frozenset(
    {301, 307, 308, 400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 417, 421, 422, 425, 426, 428, 429, 431, 501}
)


@dataclass(frozen=True)
class Sent:
    """Who sends a create, with which key, and what: what tells a retry from a duplicate. Empty for none."""

    caller: str = ""
    key: str = ""
    content: str = ""


@dataclass(frozen=True)
class Kind:
    """A rule, as far as it decides. Lengths of time in milliseconds."""

    name: str
    keep: float
    unknown_hold: float
    failed_is_free: bool = False
    success: frozenset[Ending] = SUCCESS
    refused: frozenset[Ending] = REFUSED
    exists: frozenset[Ending] = frozenset()
    exists_entry: str = ""
    """Which of its entries exists when the API says so."""
    retry_window: float = 0
    replays: bool = False
    waits: bool = False
    says: tuple[tuple[str, Literal["created", "refused", "unknown"]], ...] = ()
    """What an answer means by what its body says, whatever its status is."""
    absent_after: float = math.inf
    """How long after an outcome became unknown the API is believed when it says that nothing happened; it is asked when
    this is finite."""
    upserts: bool = False
    """Whether a duplicate is sent to the thing that exists."""


UNREADABLE = "?"
"""What a body says that breaks off."""
Says = Literal["exists", "absent", "nothing"]
"""What the API answers to that question."""
Changes = Literal["changed", "gone", "missing", "lost"]
"""What the API makes of a change of a thing: done, 410, 404, or no answer."""
Answer = tuple[int, bytes]
"""The status and the body of an answer of the API."""


@dataclass(frozen=True)
class Claim:
    """A claim that is not free."""

    state: Literal["in_flight", "created", "unknown"]
    until: float
    kind: Kind
    taken: int
    sent: Sent
    operation: int
    link: str | None = None
    answer: Answer | None = None
    since: int = 0
    """When its outcome became unknown."""
    is_remembered: bool = True
    """Whether the gateway has lived on since it was sent, and knows how its values were spelt."""
    is_open: bool = True
    """Whether its operation has not ended, as far as it knows itself."""


@dataclass(frozen=True)
class Conflict:
    """Why a create is not forwarded."""

    slug: str
    """That of its answer, or REPLAYED, WAITS, UPSERTED, or LOST for a change that was not answered."""
    entries: frozenset[str]
    """Those that the answer may name."""
    links: frozenset[str | None]
    first: Claim
    """The claim of the operation that answers, or is waited for."""


REPLAYED, WAITS, UPSERTED, LOST = "replayed", "waits", "upserted", "lost"
MET = {"in_flight": "in-progress", "created": "duplicate", "unknown": "outcome-unknown"}


class Reference:
    """All claims, what was forwarded for each, and how often each became free in a way that can be proved."""

    def __init__(self) -> None:
        self.claims: dict[Key, Claim] = {}
        self.forwards: Counter[Key] = Counter()
        self.releases: Counter[Key] = Counter()
        self.operations = 0
        self.says: Says = "nothing"
        self.changes: Changes = "changed"
        self.gone = 0
        """Operations whose thing a change has found gone."""
        self.found_out: Counter[str] = Counter()
        """What came of questions about unknown outcomes."""
        self.lapsed = 0
        """Claims of unknown outcome that became free because their hold ran out."""

    def meet(self, kind: Kind, keys: Sequence[Key], sent: Sent, now: int) -> Conflict | None:
        """A create claims: what it meets. None: all claims were free, and are its own now.

        It asks the API about an unknown outcome first, if its kind does so. The first of `keys` is that of its
        Idempotency-Key, if it has one.
        """
        if kind.absent_after < math.inf:
            self._ask(keys, sent, now)
        if kind.upserts and (changed := self._change(keys, sent, now)):
            return changed
        held = {key: self.claims[key] for key in keys if key in self.claims and self.claims[key].until > now}
        is_retry = False
        if sent.key and keys[0] in held:
            held = {keys[0]: held[keys[0]]}
            is_retry = held[keys[0]].sent.content == sent.content
            if not is_retry:
                return self._conflict("key-reused", held, sent)
        elif kind.retry_window and sent.caller and not sent.key:
            is_retry = all(claim.sent == sent and now < claim.taken + kind.retry_window for claim in held.values())
        for state, slug in MET.items():
            found = {key: claim for key, claim in held.items() if claim.state == state}
            if found:
                if state == "in_flight" and kind.waits:
                    slug = WAITS
                if state == "created" and is_retry and next(iter(found.values())).answer:
                    slug = REPLAYED
                return self._conflict(slug, found, sent)
        self.operations += 1
        for key in keys:
            self._run_out(key)
            self.claims[key] = Claim("in_flight", FOREVER, kind, now, sent, self.operations)
        return None

    def keys_of(self, kind: Kind, state: str) -> list[Key]:
        """What claims of this kind are on that were in this state last, and may have run out since."""
        return [key for key, claim in self.claims.items() if claim.kind is kind and claim.state == state]

    def _ask(self, keys: Sequence[Key], sent: Sent, now: int) -> None:
        """Find out what became of the create that holds a claim, which is the only one of its kind."""
        claim = self.claims.get(keys[0])
        if claim is None or claim.state != "unknown" or claim.until <= now:
            return
        came = str(self.says)
        if self.says == "exists":
            until = max(now, claim.since) + claim.kind.keep
            self.claims[keys[0]] = replace(claim, state="created", until=until, link="/things/1", is_open=False)
        elif self.says == "absent":
            if now < max(claim.since, claim.taken) + claim.kind.absent_after:
                came = "absent, too early"
            elif not claim.is_remembered and claim.sent != sent:
                came = "absent, perhaps spelt otherwise"
            else:
                self._release(keys[0])
        self.found_out[came] += 1

    def _change(self, keys: Sequence[Key], sent: Sent, now: int) -> Conflict | None:
        """Send a duplicate to what exists. A thing that is gone frees the claim, which is the only one of its kind."""
        claim = self.claims.get(keys[0])
        if claim is None or claim.state != "created" or claim.until <= now:
            return None
        if self.changes == "gone" or (self.changes == "missing" and claim.sent.caller == sent.caller):
            self.gone += 1
            self._release(keys[0])
            return None
        if self.changes == "missing":  # which another caller is told, too, of what it may not see
            return None
        return self._conflict(UPSERTED if self.changes == "changed" else LOST, {keys[0]: claim}, sent)

    @staticmethod
    def _conflict(slug: str, found: Mapping[Key, Claim], sent: Sent) -> Conflict:
        links = frozenset(claim.link if claim.sent.caller == sent.caller else None for claim in found.values())
        return Conflict(slug, frozenset(key[1] for key in found), links, next(iter(found.values())))

    def settle(
        self,
        operation: int,
        keys: Sequence[Key],
        ending: Ending,
        now: int,
        link: str | None = None,
        answer: Answer | None = None,
        says: str = "",
    ) -> bool:
        """An operation ends; whether it held any of its claims still. Time never runs backwards within one."""
        held = [key for key in keys if key in self.claims and self.claims[key].operation == operation]
        held = [key for key in held if self.claims[key].is_open]
        for key in held:
            self.claims[key] = replace(self.claims[key], is_open=False, is_remembered=True)
        self._end(held, ending, now, link, answer, says)
        return bool(held)

    def _end(
        self,
        keys: Sequence[Key],
        ending: Ending,
        now: int,
        link: str | None = None,
        answer: Answer | None = None,
        says: str = "",
    ) -> None:
        for key in keys:
            claim = self.claims[key]
            kind, taken = claim.kind, claim.taken
            meaning = _meaning(kind, ending, says)
            if meaning == "created":
                until = max(now, taken) + kind.keep
                self.claims[key] = replace(
                    claim, state="created", until=until, link=link, answer=answer if kind.replays else None
                )
            elif ending in kind.exists:
                if key[1] == kind.exists_entry:
                    until = max(now, taken) + kind.keep
                    self.claims[key] = replace(claim, state="created", until=until, link=link)
                else:
                    self._release(key)
            elif meaning == "refused":
                self._release(key)
            else:
                since = max(now, taken)
                self.claims[key] = replace(claim, state="unknown", until=since + kind.unknown_hold, since=since)

    def start(self, now: int) -> int:
        """The gateway died, and starts again: how many claims were in flight."""
        orphans = self.suspect(now)
        self.claims = {key: replace(claim, is_remembered=False, is_open=False) for key, claim in self.claims.items()}
        return orphans

    def suspect(self, now: int) -> int:
        """The gateway seems to have stopped: how many claims were in flight. It may settle them all the same."""
        orphans = [key for key, claim in self.claims.items() if claim.state == "in_flight"]
        self._end(orphans, "no answer", now)
        for key in orphans:
            self.claims[key] = replace(self.claims[key], is_remembered=False)
        return len(orphans)

    def purge(self, now: int) -> None:
        """What the clock has freed is removed: it stays free, even when the clock is set back."""
        for key in [key for key, claim in self.claims.items() if claim.until <= now]:
            self._run_out(key)

    def forget(self, key: Key) -> bool:
        """The operator frees a claim; False when there is none, or it is in flight."""
        if key not in self.claims or self.claims[key].state == "in_flight":
            return False
        self._release(key)
        return True

    def _run_out(self, key: Key) -> None:
        if key in self.claims:
            self.lapsed += self.claims[key].state == "unknown"
            self._release(key)

    def _release(self, key: Key) -> None:
        del self.claims[key]
        self.releases[key] += 1


def _meaning(kind: Kind, ending: Ending, says: str) -> Literal["created", "refused", "unknown"]:
    """What an ending means under a rule; "refused" for all that frees."""
    if ending in {"not sent", "no answer"}:
        return "refused" if ending == "not sent" else "unknown"
    said = dict(kind.says)
    if says in said:
        return said[says]
    if ending in kind.success:
        return "created"
    if ending in kind.refused or kind.failed_is_free:
        could_be_there = says == UNREADABLE and {"created", "unknown"} & {*said.values()}
        return "unknown" if could_be_there else "refused"
    return "unknown"
