# Strangers without credentials: whether they can keep an identity from its owner by a flood of creates that the API
# refuses, and whether they can find out which identities exist. Run it with `make strangers`.

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.strangers.api import CREDENTIALS, Guarded
from campaigns.strangers.load import Guard, Owners, flood_one_after_the_other, probe, rule
from campaigns.verdicts import tell
from tests.support.program import GatewayProgram, rules

FLOODED: Mapping[Guard, str] = {
    "claim": 'with before = "claim"',
    "wait": 'with in_flight = "wait" alone',
    "none": 'with neither and reject_after = "0s"',
}
PROBED: Mapping[Guard, str] = {
    "claim": 'with before = "claim"',
    "answer": 'with before = "answer"',
    "none": "without authorize",
}
"""The last of each is there to show that it is a flood, and that the answers are compared."""
STRANGERS: Sequence[tuple[tuple[str, str], ...]] = ((), (("Authorization", "Bearer made-up"),))
"""Without credentials, and with some that the API does not know."""


@dataclass
class Campaign:
    """What came of it."""

    owners: dict[Guard, Owners] = field(default_factory=dict)
    refused: dict[Guard, int] = field(default_factory=dict)
    """How many creates of strangers the API got."""
    twice: int = 0
    """Identities that the API created more than once."""
    probes: dict[Guard, int] = field(default_factory=dict)
    """How many creates of addresses strangers sent."""
    told_apart: Counter[Guard] = field(default_factory=Counter)
    """How many different answers strangers got for them, but for the first one."""


async def run(directory: Path, *, seconds: float, owners: int, strangers: int, addresses: int) -> Campaign:
    """Flood for so many seconds under each rule, and for at least so many owners; then try so many addresses."""
    campaign, api = Campaign(), Guarded()
    async with api.upstream() as upstream:
        toml = rules(upstream.port, rules=[rule(guard) for guard in {**FLOODED, **PROBED}], log={"requests": "none"})
        async with GatewayProgram(directory, toml) as gateway:
            for guard in FLOODED:
                before = api.refused
                campaign.owners[guard] = await flood_one_after_the_other(gateway, guard, strangers, seconds, owners)
                campaign.refused[guard] = api.refused - before
                upstream.requests.clear()
                upstream.started.clear()
                campaign.twice += sum(times > 1 for times in api.created.values())
                api.created.clear()
            for guard in PROBED:
                emails = [f"{number}@example.org" for number in range(addresses)]
                owner = ("Authorization", f"{CREDENTIALS}owner")
                await probe(gateway, guard, emails[::2], owner)
                told = {answer for headers in STRANGERS for answer in await probe(gateway, guard, emails, *headers)}
                campaign.probes[guard] = addresses * len(STRANGERS)
                campaign.told_apart[guard] = len(told) - 1
            if await gateway.stop():
                raise RuntimeError(f"the gateway did not end in good order:\n{gateway.output}")
    return campaign


def figures(campaign: Campaign) -> list[str]:
    """Say what happened, whether it had to or not."""
    lines = []
    for guard, what in FLOODED.items():
        owners = campaign.owners[guard]
        told = ", ".join(f"{count:,} times {status}" for status, count in sorted(owners.strangers.items()))
        lines.append(
            f"flood {what}: {owners.told[201]:,} of {owners.told.total():,} owners created theirs, in at most"
            f" {1000 * max(owners.seconds):.0f} ms; strangers were told {told}; {campaign.refused[guard]:,} creates of"
            " theirs reached the API"
        )
    for guard, what in PROBED.items():
        lines.append(
            f"{campaign.probes[guard]:,} addresses {what}: {1 + campaign.told_apart[guard]:,} different answers"
        )
    return lines


def verdicts(campaign: Campaign) -> list[tuple[str, bool]]:
    """Say what had to hold, and whether it did."""
    asked, waited, reached = campaign.owners["claim"].told, campaign.owners["wait"].told, campaign.refused["claim"]
    return [
        (
            f"{asked[201]:,} of {asked.total():,} owners created at once, {FLOODED['claim']}",
            asked[201] == asked.total(),
        ),
        (
            f"{waited[201]:,} of {waited.total():,} in their first wait, {FLOODED['wait']}",
            waited[201] == waited.total(),
        ),
        (f"{reached:,} creates of strangers reached the API, {FLOODED['claim']}", reached == 0),
        (f"{campaign.twice:,} identities were created twice", campaign.twice == 0),
        *[
            (
                f"{campaign.probes[guard]:,} addresses, half of which exist, were answered alike, {PROBED[guard]}",
                campaign.told_apart[guard] == 0,
            )
            for guard in ("claim", "answer")
        ],
    ]


def main() -> int:
    """Exit code 0 when all held; 1 when something did not."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.strangers",
        description="Strangers flood identities with creates that the API refuses, and try which addresses exist.",
    )
    parser.add_argument("--seconds", type=float, default=10, help="of flood under each rule; default: %(default)s")
    parser.add_argument("--strangers", type=int, default=20, help="at once; default: %(default)s")
    parser.add_argument("--addresses", type=int, default=1000, help="default: %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        campaign = asyncio.run(
            run(
                Path(directory),
                seconds=options.seconds,
                owners=1,
                strangers=options.strangers,
                addresses=options.addresses,
            )
        )
    print("\n".join(figures(campaign)))
    return not tell(verdicts(campaign))


if __name__ == "__main__":
    sys.exit(main())
