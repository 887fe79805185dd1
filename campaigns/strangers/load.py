# What strangers and owners send, and what they are told.

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from campaigns.strangers.api import CREDENTIALS, ME
from tests.support.client import Client, create_bytes
from tests.support.program import GatewayProgram, Table
from tests.support.tally import Tally

Guard = Literal["claim", "answer", "wait", "none"]
"""What the rule does about strangers: asks before the claim, or the answer; lets creates wait; or rejects at once."""
OF_ITS_OWN = (b"date:", b"x-request-id:")
"""The fields in which two answers to the same request differ."""


def rule(guard: Guard) -> Table:
    """The rule of one path."""
    asks: Table = {"authorize": {"path": ME, "before": guard}} if guard in {"claim", "answer"} else {}
    waits = {"in_flight": "wait", "wait_timeout": "60s"} if guard == "wait" else {"reject_after": "0s"}
    unique = [{"name": "email", "fields": ["body.email"]}]
    return (
        {"name": guard, "match": {"path": f"/{guard}"}, "unique": unique, "resource": "header.Location"} | waits | asks
    )


@dataclass
class Flood:
    """Strangers that send creates of one identity, all the time. Mutable state: which one; what they were told."""

    email: str = ""
    told: Tally[int] = field(default_factory=Tally)
    """The statuses of their answers."""


@contextlib.asynccontextmanager
async def flooded(program: GatewayProgram, guard: Guard, strangers: int) -> AsyncIterator[Flood]:
    """Let strangers, each with credentials of their own that the API does not know, flood what `email` names."""
    flood = Flood()

    async def send(number: int) -> None:
        headers = [("Authorization", f"Bearer made-up-{number}")]
        async with Client(program.port) as client:
            while True:
                await client.send_raw(create_bytes(flood.email, path=f"/{guard}", headers=headers))
                flood.told.add((await client.read_response("POST")).status)

    tasks = [asyncio.create_task(send(number)) for number in range(strangers)]
    try:
        yield flood
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


@dataclass
class Owners:
    """What owners were told whose identity was flooded."""

    told: Counter[int] = field(default_factory=Counter)
    """How many were told each status, at their only attempt."""
    seconds: list[float] = field(default_factory=list)
    strangers: Counter[int] = field(default_factory=Counter)
    """What strangers were told."""


async def flood_one_after_the_other(
    program: GatewayProgram, guard: Guard, strangers: int, seconds: float, at_least: int
) -> Owners:
    """Let owners create, one after the other, what strangers flood, for so long and at least so many of them."""
    owners = Owners()
    end = time.perf_counter() + seconds
    async with Client(program.port) as client, flooded(program, guard, strangers) as flood:
        while time.perf_counter() < end or owners.told.total() < at_least:
            number = owners.told.total()
            flood.email = f"owner-{number}@example.org"
            await flood.told.reach(len(flood.told) + 2 * strangers)  # most of them have sent it by now
            headers = [("Authorization", f"{CREDENTIALS}{number}")]
            started = time.perf_counter()
            await client.send_raw(create_bytes(flood.email, path=f"/{guard}", headers=headers))
            status = (await client.read_response("POST")).status
            owners.seconds.append(time.perf_counter() - started)
            owners.told[status] += 1
        owners.strangers.update(flood.told)
    return owners


async def probe(program: GatewayProgram, guard: Guard, emails: Sequence[str], *headers: tuple[str, str]) -> list[bytes]:
    """Send a create of each, and return all that was answered, but for what differs from one answer to the next."""
    told = []
    async with Client(program.port) as client:
        for email in emails:
            await client.send_raw(create_bytes(email, path=f"/{guard}", headers=headers))
            seen = await client.read_response("POST")
            lines = seen.raw_head.splitlines(keepends=True)
            told.append(b"".join([line for line in lines if not line.lower().startswith(OF_ITS_OWN)]) + seen.body)
    return told
