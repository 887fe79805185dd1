# The observations while a gateway was reloaded and restarted, and the clients' knowledge of each create. Knows the
# gateway only by its responses.

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

Conflict = int | str
"""What an answer says: the slug of a problem that the gateway answered with, or else the status."""


@dataclass
class Figures:
    """What was counted. The lists hold a line for a person each; they must stay empty."""

    requests: Counter[str] = field(default_factory=Counter)
    """By kind."""
    answers: Counter[str] = field(default_factory=Counter)
    """By kind and what came back."""
    connections: int = 0
    reused: int = 0
    """Requests that were sent over a connection that had carried another one."""
    told_to_close: int = 0
    """Answers that ended their connection."""
    closed_idle: int = 0
    """Kept connections that were closed while idle, which their clients saw before they sent anything."""
    refused: list[str] = field(default_factory=list)
    """Connections that could not be made."""
    dropped: list[str] = field(default_factory=list)
    """Requests that were sent and got no whole answer."""
    duplicates: list[str] = field(default_factory=list)
    """Identities that reached the API more than once."""
    wrong: list[str] = field(default_factory=list)
    """Answers that deny what was so, creates that were never answered, and all else that is not as it should be."""
    reloads: Counter[str] = field(default_factory=Counter)
    """Files that were applied, by what triggered the reload."""
    refused_files: Counter[str] = field(default_factory=Counter)
    """The same for those with problems."""
    restarts: int = 0
    under_way: list[int] = field(default_factory=list)
    """Requests under way when a reload or a restart was ordered."""
    idle: list[int] = field(default_factory=list)
    """Connections that were kept and idle then."""
    pauses: list[float] = field(default_factory=list)
    """Seconds without any response, the longest in each restart."""
    created: int = 0
    asked_again: int = 0
    """Creates that were sent once more in the end."""

    @property
    def holds(self) -> bool:
        """Whether no request was refused, repeated or forgotten."""
        return not (self.refused or self.dropped or self.duplicates or self.wrong)


class Clock:
    """Tracks the time since the last order, and the longest time without a response. Mutable state: both."""

    def __init__(self) -> None:
        self._what = "the start"
        self._since = self._answered = time.monotonic()
        self._longest = 0.0

    def order(self, what: str) -> None:
        """Something was ordered just now."""
        self._what, self._since = what, time.monotonic()
        self._answered, self._longest = self._since, 0.0

    def answered(self) -> None:
        """Note a response at this moment."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._answered)
        self._answered = now

    @property
    def longest_pause(self) -> float:
        """Seconds between two answers since the last order, at most."""
        return self._longest

    def __str__(self) -> str:
        return f"{time.monotonic() - self._since:.3f} s after {self._what}"


class Creates:
    """What clients know of each identity. Mutable state: how often each was sent, those created and those dropped."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self._told: set[str] = set()
        self._sent: Counter[str] = Counter()
        self._dropped: set[str] = set()

    def send(self, identity: str) -> bool:
        """Note that it is about to be sent; returns whether a client got the response that it is created before."""
        self._sent[identity] += 1
        return identity in self._told

    def drop(self, identity: str) -> None:
        """Note that the outcome of one that was sent is unknown."""
        self._dropped.add(identity)

    def judge(self, identity: str, met: Conflict, *, was_created: bool) -> bool:
        """Whether an answer may be: 201 to one of several, and to the others that it is under way, or was created."""
        if met == 201 and identity not in self._told:
            self._told.add(identity)
            self.created.append(identity)
            return True
        return self._sent[identity] > 1 and (met == "duplicate" or (met == "in-progress" and not was_created))

    def never_created(self) -> list[str]:
        """Those without a response that they were created, although all requests were answered."""
        return [each for each in self._sent if each not in self._told and each not in self._dropped]

    def against(self, counts: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """Hold this against how often each reached the API: those that did more than once, and what else is wrong."""
        twice = [f"{identity} reached the API {count} times" for identity, count in counts.items() if count > 1]
        wrong = [
            f"{identity} was told to be created, and never reached the API" for identity in self._told - set(counts)
        ]
        return twice, wrong + [f"{identity} was answered, and never with 201" for identity in self.never_created()]
