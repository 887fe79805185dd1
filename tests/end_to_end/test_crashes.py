# The gateway is killed at each point of a create's life, again and again on the same store, and what was promised
# before still holds after each restart. A slice of `make crash`.

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from campaigns.crash.__main__ import DURABILITIES, run
from campaigns.crash.records import Campaign
from gateway.process.crash import POINTS
from tests.support.shared import BACKENDS, Backend

KILLS = 1
"""At each point, with one of the durabilities: both in turn would take twice as long."""
ON_SERVERS = ("after-claim-committed", "after-answer-stored", "after-gone-freed")
"""Points that a server's store has in a way of its own."""


async def test_nothing_is_forgotten_and_nothing_is_created_twice_over_a_chain_of_kills(tmp_path: Path) -> None:
    """Each kill happens at its point, or the campaign raises."""
    points: dict[str, list[str]] = {durability: [] for durability in DURABILITIES}
    for number, point in enumerate(POINTS):
        points[DURABILITIES[number // 2 % len(DURABILITIES)]].append(point)  # before and after are neighbours
    campaigns = [Campaign(mine, [durability], KILLS, workers=1, seed=20) for durability, mine in points.items()]
    async with asyncio.TaskGroup() as group:
        for campaign in campaigns:
            group.create_task(run(campaign, tmp_path))
    for campaign in campaigns:
        assert not campaign.wrong
        assert not campaign.is_broken
        assert [row.kills for row in campaign.rows.values()] == [KILLS] * len(campaign.points)
    seen = Counter[str]()
    for campaign in campaigns:
        seen.update(campaign.told)
        seen.update({f"met {what}": count for what, count in campaign.met.items()})
    kills = sum(campaign.total for campaign in campaigns)
    assert seen["created"] > 3 * kills, "hardly anything was created before the kills"
    assert seen["unknown"] > kills / 4, "hardly anything was under way when the kills came"
    assert seen["met replayed"] > 3 * kills, "hardly any answer was given again"
    assert seen["met another-caller"] > 3 * kills, "hardly anybody else sent what was created"
    for what in ("created", "duplicate", "outcome-unknown"):
        assert seen[f"met verified: {what}"] > kills / 4, "hardly any unknown outcome was found out"
    for what in ("PATCH updated", "PATCH duplicate", "PATCH refused", "DELETE released", "POST duplicate"):
        assert seen[f"met accounts: {what}"] > kills / 4, "hardly any account was renamed or deleted"
    assert sorted(point for campaign in campaigns for point in campaign.points) == sorted(POINTS)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_nor_over_one_with_the_claims_on_a_server_that_lives_on(backend: Backend, tmp_path: Path) -> None:
    campaign = Campaign(ON_SERVERS, ["process"], KILLS, workers=1, seed=22, store=backend)
    await run(campaign, tmp_path)
    assert not campaign.wrong
    assert not campaign.is_broken
    assert [row.kills for row in campaign.rows.values()] == [KILLS] * len(ON_SERVERS)
    assert campaign.told["created"] > 3 * campaign.total, "hardly anything was created before the kills"
    assert campaign.met["replayed"] > 3 * campaign.total, "hardly any answer was given again"
