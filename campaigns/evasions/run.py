# Sends attempts to a judge, once without the gateway and once through it, and says what the judge made of them.

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.evasions.judge import Judge, judge
from campaigns.evasions.message import Attempt
from campaigns.evasions.rules import ORDINARY, RULES, normalised
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram, Table, rules
from tests.support.tally import PATIENCE
from tests.support.wire import MalformedError

SILENCE = 1.0
"""Seconds without an answer after which a request is given up."""
_MOST_TRIES = 200
"""How often a create is sent while one of the same identity is in flight."""
_FIRST_NUMBER = 1_000_000


@dataclass
class Sent:
    """An attempt, and what came of it."""

    attempt: Attempt
    number: int
    """Stands for `<n>` in all that was sent for it."""
    first: str = ""
    """The answer to the ordinary create: before the attempt of a second create, after that of a stranger."""
    answer: str = ""
    made: list[tuple[str, Any]] = field(default_factory=list)
    """Kind and value of what the judge created, as the rules compare it."""

    @property
    def data(self) -> bytes:
        """The bytes of the attempt."""
        return self.attempt.message.render(self.number)

    @property
    def has_second(self) -> bool:
        """Whether the judge made one thing twice."""
        return len(set(self.made)) < len(self.made)


@dataclass
class Trial:
    """What came of all attempts against one judge."""

    judge: str
    direct: list[Sent]
    """Attempts of a second create without the gateway; those that succeed show what there is to hold off."""
    second: list[Sent]
    strangers: list[Sent]
    answered: list[Sent]
    """What strangers sent, without the gateway."""

    def breaches(self) -> list[tuple[str, Sent]]:
        """What went wrong, each with words for it."""
        twice = [("created twice", sent) for sent in self.second if sent.has_second]
        blocked = [
            (f"blocked: the ordinary create got {sent.first}", sent) for sent in self.strangers if sent.first != "201"
        ]
        return twice + blocked

    def void(self) -> list[Sent]:
        """Attempts without an ordinary create before them, because that one was refused."""
        return [sent for sent in self.second if sent.first != "201"]


async def exchange(
    port: int, data: bytes, *, method: str = "POST", is_cut: bool = False, silence: float = SILENCE
) -> list[Response]:
    """Send bytes over a connection of their own, and read answers until it ends or nothing comes any more."""
    found: list[Response] = []
    async with Client(port) as client:
        with contextlib.suppress(ConnectionError):  # it was answered before it was read
            await client.send_raw(data)
        with contextlib.suppress(ConnectionError, TimeoutError, MalformedError):
            while not is_cut:
                async with asyncio.timeout(silence):
                    found.append(await client.read_response(method if not found else "POST"))
    return found


def told(answers: Sequence[Response]) -> str:
    """Statuses, and slugs where the gateway answered."""
    return " + ".join(f"{each.status} {each.slug or ''}".strip() for each in answers) or "no answer"


async def ordinary(port: int, data: bytes) -> str:
    """Send an ordinary create, again while one is in flight; the answer."""
    answer = ""
    for _ in range(_MOST_TRIES):
        answer = told(await exchange(port, data, silence=PATIENCE))
        if answer != "409 in-progress":
            break
        await asyncio.sleep(0.01)
    return answer


async def _try(port: int, sent: Sent) -> str:
    """Send an attempt; the answer."""
    attempt = sent.attempt
    method = attempt.message.method.decode("latin-1").strip()
    return told(await exchange(port, sent.data, method=method, is_cut=attempt.is_cut))


async def second_creates(port: int, attempts: Sequence[Attempt], numbers: "itertools.count[int]") -> list[Sent]:
    """For each attempt an ordinary create, and then the attempt."""
    found = []
    for attempt in attempts:
        sent = Sent(attempt, next(numbers))
        first = attempt.first or ORDINARY[attempt.kind]
        sent.first = await ordinary(port, first.render(sent.number))
        sent.answer = await _try(port, sent)
        found.append(sent)
    return found


async def strangers(port: int, attempts: Sequence[Attempt], numbers: "itertools.count[int]") -> list[Sent]:
    """For each attempt of a stranger the attempt, and then the create of who has credentials."""
    found = []
    for attempt in attempts:
        sent = Sent(attempt, next(numbers))
        sent.answer = await _try(port, sent)
        sent.first = await ordinary(port, ORDINARY[attempt.kind].render(sent.number))
        found.append(sent)
    return found


@contextlib.asynccontextmanager
async def guarded(name: str, directory: Path, table: Sequence[Table]) -> AsyncIterator[tuple[Judge, GatewayProgram]]:
    """Run a judge, and the gateway in front of it."""
    async with judge(name, directory / "judge") as judging:
        toml = rules(judging.port, rules=table, log={"requests": "none"})
        async with GatewayProgram(directory / "gateway", toml) as program:
            yield judging, program


async def run(
    name: str,
    directory: Path,
    creates: Sequence[Attempt],
    by_strangers: Sequence[Attempt],
    table: Sequence[Table] = RULES,
) -> Trial:
    """Send all attempts to one judge."""
    numbers = itertools.count(_FIRST_NUMBER)
    async with guarded(name, directory, table) as (judging, program):
        second = await second_creates(program.port, creates, numbers)
        blocking = await strangers(program.port, by_strangers, numbers)
        if await program.stop():  # nothing is in flight any more: what was created is known
            raise RuntimeError(f"the gateway did not end in good order:\n{program.output}")
        direct = await second_creates(judging.port, creates, numbers)
        answered = await strangers(judging.port, by_strangers, numbers)
        _sort(await judging.created(), [*second, *blocking, *direct, *answered])
    return Trial(name, direct, second, blocking, answered)


def _sort(created: Sequence[tuple[str, Any]], sent: Sequence[Sent]) -> None:
    """Give each attempt what was created by it."""
    by_number = {str(each.number): each for each in sent}
    for kind, value in created:
        text = repr(value)
        for at in range(len(text) - 6):
            if (each := by_number.get(text[at : at + 7])) is not None:
                each.made.append((kind, normalised(kind, value)))
                break
