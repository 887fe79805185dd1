# The gateway is killed at each point of a create's life, again and again on the same store, and what was promised
# before still holds after each restart. A slice of `make crash`.

from pathlib import Path

from campaigns.crash.__main__ import DURABILITIES, run
from campaigns.crash.records import Campaign
from gateway.process.crash import POINTS

KILLS = 1
"""At each point with each durability."""


async def test_nothing_is_forgotten_and_nothing_is_created_twice_over_a_chain_of_kills(tmp_path: Path) -> None:
    """Each kill happens at its point, or the campaign raises."""
    campaign = Campaign(POINTS, DURABILITIES, KILLS, workers=2, seed=20)
    await run(campaign, tmp_path)
    assert not campaign.wrong
    assert not campaign.is_broken
    assert [row.kills for row in campaign.rows.values()] == [KILLS] * len(POINTS) * len(DURABILITIES)
    assert campaign.told["created"] > 5 * campaign.total, "hardly anything was created before the kills"
    assert campaign.told["unknown"] > campaign.total / 4, "hardly anything was under way when the kills came"
