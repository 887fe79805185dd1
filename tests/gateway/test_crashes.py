# The gateway is killed amid its work, again and again, and what was promised before still holds after each restart.

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.conftest import StartGateway
from tests.support.burst import Outcome, burst
from tests.support.client import create_bytes
from tests.support.program import GatewayProgram
from tests.support.tally import Tally
from tests.support.upstream import Call, RawUpstream, example

KILLS = 20
IDENTITIES = 60
COPIES = 5
STUCK = 4
"""Identities of each round that the API keeps waiting, so that they are in flight for certain when the kill comes."""


@dataclass
class Seen:
    """What the clients know of the identities they sent."""

    created: set[str] = field(default_factory=set)
    """Somebody was answered 201."""
    stuck: set[str] = field(default_factory=set)
    """The API has them and never said what came of them."""
    others: set[str] = field(default_factory=set)


async def answer_most(call: Call) -> None:
    """Create, except that the identities that say so wait until the gateway is gone."""
    if call.request.json()["email"].startswith("stuck"):
        await call.reader.read()
        call.close()
    else:
        await example(call)


async def load_and_kill(program: GatewayProgram, upstream: RawUpstream, number: int, after: int, seen: Seen) -> None:
    """Send a round of creates, and kill the gateway once so many were answered and the stuck ones are in flight."""
    stuck = [f"stuck-{number}-{at}@example.org" for at in range(STUCK)]
    emails = [f"user-{number}-{at}@example.org" for at in range(IDENTITIES)]
    known = len(upstream.requests)
    answered: Tally[Outcome] = Tally()
    stuck_load = asyncio.create_task(burst(program.port, [create_bytes(email) for email in stuck], STUCK))
    await upstream.requests.reach(known + STUCK)
    requests = [create_bytes(email) for email in emails for _ in range(COPIES)]
    load = asyncio.create_task(burst(program.port, requests, 40, watch=answered.add))
    await answered.reach(after)
    await program.kill()
    outcomes = await load
    assert all(outcome.status is None for outcome in await stuck_load)
    assert {outcome.status for outcome in outcomes} <= {201, 409, None}
    seen.stuck |= set(stuck)
    created = {emails[outcome.index // COPIES] for outcome in outcomes if outcome.status == 201}
    seen.created |= created
    seen.others |= set(emails) - created


async def retry(program: GatewayProgram, emails: list[str]) -> dict[str, int | str | None]:
    """Send each create once more; by identity, the slug that came, or the status of the API's answer."""
    outcomes = await burst(program.port, [create_bytes(email) for email in emails], 20)
    return {emails[outcome.index]: outcome.slug or outcome.status for outcome in outcomes}


async def test_nothing_is_forgotten_and_nothing_is_created_twice_over_twenty_kills(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = answer_most
    program = await gateway()
    after = random.Random(20)  # the same moments in each run, as far as moments can be the same
    every = Seen()
    verdicts: Counter[int | str | None] = Counter()
    for number in range(KILLS):
        seen = Seen()
        await load_and_kill(program, upstream, number, after.randrange(1, IDENTITIES * COPIES), seen)
        await program.start()
        reached = set(upstream.counts("body.email"))
        recovered = next(line for line in program.log if line.get("event") == "recovered")
        assert recovered["unknown"] >= STUCK
        told = await retry(program, [*seen.created, *seen.stuck, *seen.others])
        assert {told[email] for email in seen.created} <= {"duplicate"}, "a create that was answered is forgotten"
        assert {told[email] for email in seen.stuck} == {"outcome-unknown"}
        assert {told[email] for email in seen.others & reached} <= {"duplicate", "outcome-unknown"}
        assert {told[email] for email in seen.others - reached} <= {201, "outcome-unknown"}
        assert set(upstream.counts("body.email").values()) == {1}
        verdicts.update(told.values())
        every.created |= seen.created | {email for email in seen.others if told[email] == 201}
        every.stuck |= seen.stuck
    assert verdicts["duplicate"] > KILLS, "hardly anything was created before the kills"
    assert verdicts[201] > KILLS, "hardly anything was left to do after the kills"
    told = await retry(program, [*every.created, *every.stuck])
    assert {told[email] for email in every.created} == {"duplicate"}
    assert {told[email] for email in every.stuck} == {"outcome-unknown"}
    assert set(upstream.counts("body.email").values()) == {1}
