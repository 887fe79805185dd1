# Callers with keys fight for the same identities, and send everything again: the one whose create succeeded gets its
# answer, byte for byte, and nobody else ever sees anything of it. Run it with `make retries`.

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from campaigns.retries.api import UniqueAnswers
from campaigns.retries.requests import ATTEMPTS, PATHS, Sent, attempts, rule
from tests.support.burst import Outcome, burst
from tests.support.program import GatewayProgram, rules

REQUESTS = 200
"""At once."""
_SHOWN = 20
_MARKS = {"idempotent-replayed", "idempotency-status"}
_NOT_STORED = {"set-cookie", "content-length", "transfer-encoding"}
"""Fields of an answer that its replay lacks, or that say how it was framed."""


@dataclass
class Campaign:
    """What came of it."""

    told: Counter[str] = field(default_factory=Counter)
    """Answers, by what was sent and what came back."""
    identities: int = 0
    wrong: list[str] = field(default_factory=list)

    def count(self, what: str, met: str) -> None:
        """Take note of an answer."""
        self.told[f"{what}: {met}"] += 1


async def run(directory: Path, rounds: int, seed: int) -> Campaign:
    """Let so many rounds pass: all requests of a round at once, and then all of them again."""
    campaign, chance = Campaign(), Random(seed)
    api = UniqueAnswers(chance)
    async with api.upstream() as upstream:
        toml = rules(upstream.port, rules=[rule(path) for path in PATHS], log={"requests": "none"})
        async with GatewayProgram(directory, toml) as gateway:
            for number in range(rounds):
                emails = [f"{number}-{at}@example.org" for at in range(REQUESTS // len(ATTEMPTS))]
                sent = [each for email in emails for each in attempts(email, chance.choice(PATHS))]
                chance.shuffle(sent)
                first = await burst(gateway.port, [each.data for each in sent], REQUESTS)
                again = await burst(gateway.port, [each.data for each in sent], REQUESTS)
                for email in emails:
                    judge(campaign, api, email, sent, first, again)
                api.got.clear()
                upstream.requests.clear()
                upstream.started.clear()
            if await gateway.stop():
                raise RuntimeError(f"the gateway did not end in good order:\n{gateway.output}")
            campaign.wrong += [
                str(line)
                for line in gateway.log
                if line.get("level") in {"warning", "error"} and line.get("event") != "descriptors-low"  # the machine's
            ]
    return campaign


def judge(
    campaign: Campaign,
    api: UniqueAnswers,
    email: str,
    sent: Sequence[Sent],
    first: Sequence[Outcome],
    again: Sequence[Outcome],
) -> None:
    """Hold all answers about one identity to the create that the API got."""
    campaign.identities += 1
    if len(api.got[email]) != 1:
        campaign.wrong.append(f"{email} reached the API {len(api.got[email])} times")
        return
    ((request, body),) = api.got[email]
    mine = [at for at, each in enumerate(sent) if each.email == email]
    winner = next(sent[at] for at in mine if sent[at].number == request.header("X-Number"))
    created = next((first[at] for at in mine if _became(first[at]) == "created"), None)
    if created is None or created.body != body:
        campaign.wrong.append(f"{email}: nobody got the first answer as it was")
        return
    for outcome, each, may_be_in_flight in [
        *[(first[at], sent[at], not sent[at].waits) for at in mine],
        *[(again[at], sent[at], False) for at in mine],
    ]:
        met = "201" if outcome.status == 201 else outcome.slug or str(outcome.error or outcome.status)
        if outcome is created:
            campaign.count("create", met)
        elif each.is_retry_of(winner):
            campaign.count("retry", met)
            may = {"201", "in-progress"} if may_be_in_flight else {"201"}
            if met not in may or (met == "201" and not _is_replay(outcome, created)):
                campaign.wrong.append(f"{email}: a retry got {met}")
        else:
            what = "same key, other body" if each.has_key_of(winner) else "another create"
            campaign.count(what, met)
            may = {"duplicate", "in-progress"} if may_be_in_flight else {"duplicate"}
            if each.has_key_of(winner):
                may = {"key-reused"}
            if met not in may:
                campaign.wrong.append(f"{email}: {what} got {met}")
            if _tells(outcome, body, each, winner):
                campaign.wrong.append(f"{email}: {what} was told of the answer")


def _became(outcome: Outcome) -> str | None:
    return dict(outcome.fields).get("idempotency-status")


def _is_replay(outcome: Outcome, created: Outcome) -> bool:
    """Whether an answer is the first one again, with its marks and without what is never stored."""
    kept = [(name, value) for name, value in created.fields if name not in _NOT_STORED | _MARKS]
    replayed = [(name, value) for name, value in outcome.fields if name not in _NOT_STORED | _MARKS]
    is_marked = ("idempotent-replayed", "true") in outcome.fields and _became(outcome) == "replayed"
    has_cookie = any(name == "set-cookie" for name, _ in outcome.fields)
    return is_marked and not has_cookie and (outcome.body, replayed) == (created.body, kept)


def _tells(outcome: Outcome, body: bytes, each: Sent, winner: Sent) -> bool:
    """Whether an answer holds anything of the API's; its own caller is shown the link."""
    secret = body[12:28]
    shown = [value.encode() for _, value in outcome.fields]
    if each.caller != winner.caller:
        shown.append(outcome.body)
    return any(secret in text for text in shown)


def main() -> int:
    """Exit code 0 when nothing was wrong; 1 when something was."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.retries",
        description=f"{REQUESTS} creates and retries of several callers at once, again and again: who gets what.",
    )
    parser.add_argument("--rounds", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what is left to chance")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        campaign = asyncio.run(run(Path(directory), options.rounds, options.seed))
    for what, count in sorted(campaign.told.items()):
        print(f"{count:>10,}  {what}")
    for line in campaign.wrong[:_SHOWN]:
        print(f"NOT  {line}")
    print(
        f"{options.rounds:,} rounds of 2 x {REQUESTS} requests at once, {campaign.identities:,} identities,"
        f" {len(campaign.wrong)} things wrong; {time.perf_counter() - started:.0f} s; seed {options.seed}"
    )
    return bool(campaign.wrong)


if __name__ == "__main__":
    sys.exit(main())
