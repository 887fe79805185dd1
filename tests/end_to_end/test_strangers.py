# Strangers without credentials: a slice of `make strangers`, which says what is counted.

from pathlib import Path

from campaigns.strangers.__main__ import figures, run, verdicts


async def test_strangers_keep_no_identity_from_its_owner_and_learn_of_none(tmp_path: Path) -> None:
    """Under the rules that guard against them; under the last one they learn all, or nothing was compared."""
    campaign = await run(tmp_path, seconds=0, owners=3, strangers=20, addresses=100)
    said = "\n".join([*figures(campaign), *(line for line, holds in verdicts(campaign) if not holds)])
    assert all(holds for _, holds in verdicts(campaign)), said
    assert {owners.told.total() for owners in campaign.owners.values()} == {3}, said
    assert campaign.owners["claim"].strangers[401] >= 40, said
    assert campaign.refused["wait"] >= 20, "no flood"
    assert campaign.told_apart["none"] >= 1, "nothing was compared"  # those first seen in one millisecond look alike
