# Accounts that are created, renamed and deleted while gateways are killed: what clients send, and the API, which knows
# when two accounts have one name. That never happens unless a gateway forgets, or frees, what it should hold.

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.crash.traffic import Kind, Sent
from tests.support.burst import Outcome
from tests.support.client import request_bytes

ACCOUNTS = Kind.FOLLOWED.value
NAMES = 30
"""In a round: few, so that they are wanted again and again."""
FRESH = 4
"""New ones in each round: those of which nobody knows what became stay held."""
STEPS = 14
"""Requests in a round of load."""
MOST_DELAY = 0.008
"""Seconds by which a change that is not answered is done late."""
_ANSWERED, _REFUSED, _LATE = 0.55, 0.15, 0.15
"""How many changes are answered when they are done, how many are refused, and how many are done without an answer; of
the others nothing becomes."""
_EXPLAINED = {
    "POST": {201, 409},
    "PATCH": {200, 404, 409, 422, 502},
    "DELETE": {204, 404, 422, 502},
}
"""The statuses that clients may get."""


@dataclass(frozen=True)
class Step(Sent):
    """One request about an account. No create of it is told by an identity, as those of other kinds are."""

    method: str = "POST"
    target: str = ACCOUNTS
    name: str = ""

    @property
    def data(self) -> bytes:
        """Its bytes."""
        if self.method == "DELETE":
            return request_bytes("DELETE", self.target)
        body = json.dumps({"email": self.name}).encode()
        return request_bytes(self.method, self.target, [("Content-Type", "application/json")], body)


class Clients:
    """What clients know. Mutable state: the accounts that they were told of, and changes that were not answered."""

    def __init__(self) -> None:
        self._first = 0
        self.known: list[str] = []
        self.unanswered: dict[Step, None] = {}
        self.met: Counter[str] = Counter()

    def steps(self, chance: random.Random) -> Iterator[Step]:
        """A round of load: some steps twice, so that they race."""
        self._first += FRESH
        for _ in range(STEPS):
            name = _name(self._first + chance.randrange(NAMES))
            step = Step(None, Kind.FOLLOWED, name=name)
            if self.known and chance.random() < 0.7:
                method = chance.choice(("PATCH", "PATCH", "DELETE"))
                step = Step(None, Kind.FOLLOWED, method=method, target=chance.choice(self.known), name=name)
            yield from [step] * chance.choice((1, 1, 2))

    def due(self) -> list[Step]:
        """What was not answered, once more; and before that, creates of the names that accounts may have by now."""
        renames = [step for step in self.unanswered if step.method == "PATCH"]
        return [*[Step(None, Kind.FOLLOWED, name=step.name) for step in renames], *self.unanswered]

    def everybody(self) -> list[Step]:
        """A create of each name."""
        return [Step(None, Kind.FOLLOWED, name=_name(number)) for number in range(self._first + NAMES)]

    def judge(self, step: Step, outcome: Outcome) -> str | None:
        """Take note of what came of a step; what is wrong with it."""
        if outcome.status is None:
            if step.method != "POST":
                self.unanswered[step] = None
            return None
        self.unanswered.pop(step, None)
        mark = dict(outcome.fields).get("idempotency-status")
        self.met[f"{step.method} {outcome.slug or mark or outcome.status}"] += 1
        if outcome.status == 201:
            self.known.append(dict(outcome.fields)["location"])
        elif outcome.status == 502:
            self.unanswered[step] = None
        elif step.method == "DELETE" and outcome.status in {204, 404} and step.target in self.known:
            self.known.remove(step.target)
        if outcome.status in _EXPLAINED[step.method]:
            return None
        return f"{step.method} {step.target} is answered {outcome.slug or outcome.status}"


class Accounts:
    """The API's accounts. Mutable state: the name of each, by path; what must not have happened."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0
        self.names: dict[str, str] = {}
        self.twice: list[str] = []

    def clear(self) -> None:
        """Forget all accounts, as the gateway has."""
        self.names.clear()
        self.twice.clear()

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        """Do what a request asks for, or not; the answer, empty for none."""
        if method == "POST":
            self._made += 1
            path = f"{ACCOUNTS}/{self._made}"
            self._name(path, json.loads(body)["email"], "created")
            return _head("201 Created", f"Location: {path}\r\n")
        if target not in self.names:
            return _head("404 Not Found")
        fate = self._chance.random()
        if fate < _ANSWERED:
            self._do(method, target, body)
            return _head("204 No Content" if method == "DELETE" else "200 OK")
        if fate < _ANSWERED + _REFUSED:
            return _head("422 Unprocessable Content")
        if fate < _ANSWERED + _REFUSED + _LATE:
            asyncio.get_running_loop().call_later(self._chance.uniform(0, MOST_DELAY), self._do, method, target, body)
        return b""

    def _do(self, method: str, target: str, body: bytes) -> None:
        if method == "DELETE":
            self.names.pop(target, None)
        elif target in self.names:
            self._name(target, json.loads(body)["email"], "renamed")

    def _name(self, path: str, name: str, how: str) -> None:
        others = [other for other, taken in self.names.items() if taken == name and other != path]
        if others:
            self.twice.append(f"{path} was {how} to {name}, which {others[0]} has")
        self.names[path] = name


def _name(number: int) -> str:
    return f"{number}@accounts.example"


def _head(status: str, lines: str = "") -> bytes:
    length = "" if status.startswith("204") else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status}\r\n{lines}{length}\r\n".encode()
