# An API that fails in eight ways under load: counts second forwards and wrong releases, and checks that unsent creates
# are free again at once. Run it with `make upstream-faults`.

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import tomli_w

from campaigns.upstream_faults.api import FAULTS, REFUSE, FaultyApi
from campaigns.upstream_faults.cases import HELD, Cases, Figures, Lane
from campaigns.verdicts import tell
from tests.support.client import request_bytes
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.store import stored_claims
from tests.support.upstream import RawUpstream

WORKERS, COPIES, BESIDE = 12, 3, 4
"""Identities that are worked on at once, creates of each at once, and connections with healthy traffic beside."""


@dataclass
class Campaign:
    """What came of all of it."""

    figures: list[Figures] = field(default_factory=list)
    beside: Counter[str] = field(default_factory=Counter)
    """Answers to the traffic for an API that does not fail, by what was sent and what came back."""
    stored: Counter[str] = field(default_factory=Counter)
    """The states in the store in the end."""
    expected: Counter[str] = field(default_factory=Counter)
    """The expected states, by the responses to clients."""

    @property
    def disturbed(self) -> int:
        """How many of the requests beside were not answered as they would have been."""
        return self.beside.total() - sum(self.beside[answer] for answer in _UNDISTURBED)


_SHOWN = 10
_UNDISTURBED = ("create: 201", f"duplicate: {HELD['created']}", "GET: 200")


def rules_file(apis: Sequence[FaultyApi], steady: RawUpstream) -> str:
    """A rules file with a route for each faulty API, and one that does not fail for all the rest."""
    timeouts = {api.fault: "300ms" if api.fault == "never" else "30s" for api in apis}
    return tomli_w.dumps(
        {
            "server": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "off"},
            "log": {"requests": "none"},
            "store": {"url": "sqlite:gateway.db", "commit_timeout": "60s"},
            "upstream": {"url": steady.url},
            "upstreams": {
                api.fault: {"url": f"http://127.0.0.1:{api.port}", "response_timeout": timeouts[api.fault]}
                for api in apis
            },
            "routes": [{"path": f"/{api.fault}", "upstream": api.fault} for api in apis],
            "rules": [create_user_rule(match={"path": "/{api}/users"}, body_limit="8MiB", reject_after="0s")],
        }
    )


async def send_beside(port: int, number: int, campaign: Campaign, over: asyncio.Event) -> None:
    """Send creates, duplicates and GETs to the API that does not fail, until it is over."""
    counted = itertools.count()
    async with Lane(port) as lane:
        while not over.is_set():
            count = next(counted)
            path, identity = "/steady/users", f"beside-{number}-{count}"
            get = request_bytes("GET", f"/things/{count}")
            campaign.beside[f"create: {await lane.create(path, identity)}"] += 1
            campaign.beside[f"duplicate: {await lane.create(path, identity)}"] += 1
            campaign.beside[f"GET: {await lane.send(get, 'GET')}"] += 1


async def run(directory: Path, faults: Sequence[str], times: int, seed: int) -> Campaign:
    """Let each fault hit so many creates, one fault after the other, with healthy traffic beside all the time."""
    campaign = Campaign()
    apis = [FaultyApi(fault, Random(f"{fault} {seed}"), spell=WORKERS) for fault in faults]
    over = asyncio.Event()
    async with RawUpstream(digest_only=True) as steady, asyncio.TaskGroup() as group:
        for api in apis:
            group.create_task(api.serve())
        async with GatewayProgram(directory, rules_file(apis, steady)) as gateway:
            beside = [group.create_task(send_beside(gateway.port, at, campaign, over)) for at in range(BESIDE)]
            for api in apis:
                cases = Cases(gateway.port, api, f"/{api.fault}/users", times)
                await cases.run(WORKERS, COPIES)
                campaign.figures.append(cases.figures)
                campaign.expected.update(cases.figures.left)
            over.set()
            await asyncio.wait(beside)
            campaign.expected["created"] += campaign.beside[_UNDISTURBED[0]]
            del campaign.expected["free"]
            if await gateway.stop():
                raise RuntimeError(f"the gateway did not end in good order:\n{gateway.output}")
        for api in apis:
            api.end()
    campaign.stored.update(claim.state for claim in stored_claims(directory / "gateway.db"))
    return campaign


def table(figures: Sequence[Figures]) -> list[str]:
    """Lines that a person can read: what each fault did, and what must be 0 or all."""
    heads = ("times", "fresh", "kept", "second forwards", "wrong releases", "never sent", "free again")
    lines = [f"{'fault':12}  {'  '.join(heads)}"]
    for each in figures:
        met_on = ("", "") if each.fault == REFUSE else (each.on_fresh, each.on_kept)
        cells = (each.times, *met_on, each.second_forwards, each.wrong_releases, each.never_sent, each.free_again)
        lines += [
            f"{each.fault:12}  {'  '.join(f'{cell:>{len(head)}}' for head, cell in zip(heads, cells, strict=True))}",
            f"{'':12}  told: {counted(each.answers)}",
            f"{'':12}  left behind: {counted(each.states)}",
            *(f"{'':12}  NOT RIGHT: {surprise}" for surprise in each.surprises[:_SHOWN]),
        ]
    return lines


def counted(counts: Counter[str]) -> str:
    """Counts as a person reads them."""
    return ", ".join(f"{count:,} x {what}" for what, count in counts.most_common())


def verdicts(campaign: Campaign) -> list[tuple[str, bool]]:
    """Say what was measured, a line each, and whether it is what it must be."""
    figures = campaign.figures
    second, wrong = sum(each.second_forwards for each in figures), sum(each.wrong_releases for each in figures)
    never, free = sum(each.never_sent for each in figures), sum(each.free_again for each in figures)
    surprises = sum(len(each.surprises) for each in figures)
    return [
        (f"{second} second forwards of a held claim", second == 0),
        (f"{wrong} wrong releases", wrong == 0),
        (f"{free:,} of {never:,} creates that were never sent were forwarded when they came again", free == never),
        (f"{surprises} answers that no create should have got", surprises == 0),
        (f"beside: {counted(campaign.beside)}: {campaign.disturbed} disturbed", campaign.disturbed == 0),
        (
            f"the store holds {counted(campaign.stored)}; told were {counted(campaign.expected)}",
            campaign.stored == campaign.expected,
        ),
    ]


def main() -> int:
    """Exit code 0 when the promise was kept; 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.upstream_faults",
        description="An API that fails in eight ways under load: what is forwarded twice, and what is released.",
    )
    parser.add_argument("--times", type=int, default=500, help="how often each fault comes (default: %(default)s)")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what is left to chance")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        campaign = asyncio.run(run(Path(directory), options.fault or FAULTS, options.times, options.seed))
    print("\n".join(table(campaign.figures)))
    told = verdicts(campaign)
    all_hold = tell(told)
    if options.json:
        found = msgspec.json.encode({"seed": options.seed, **msgspec.to_builtins(campaign)})
        options.json.write_bytes(msgspec.json.format(found) + b"\n")
    return not all_hold


if __name__ == "__main__":
    sys.exit(main())
