# An API that fails in eight ways under load: a slice of `make upstream-faults`, which says what is counted.

from pathlib import Path

import pytest

from campaigns.upstream_faults.__main__ import run, table, verdicts
from campaigns.upstream_faults.api import ENDINGS, FAULTS, REFUSE, RESET_BEFORE

TIMES = 20
LEFT_BEHIND = {
    REFUSE: {"free", "unknown", "created"},  # unknown: under way when the API went down; created: as it came back
    RESET_BEFORE: {"free", "unknown", "created"},  # as the reset or the request was faster
    "broken-body": {"created"},
}
"""What a fault may make of an identity; the others may leave it unknown, and no other way."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_the_api_has_a_create_forwarded_again_or_released_that_may_have_happened(
    fault: str, tmp_path: Path
) -> None:
    """Copies of each create come at once; what was never sent is free for the very next one."""
    campaign = await run(tmp_path, [fault], TIMES, seed=1)
    (figures,) = campaign.figures
    said = "\n".join([*table(campaign.figures), *(line for line, holds in verdicts(campaign) if not holds)])
    assert all(holds for _, holds in verdicts(campaign)), said
    assert figures.times >= TIMES
    assert set(figures.states) <= LEFT_BEHIND.get(fault, {"unknown"}), said
    assert campaign.beside.total() > 0
    if fault in ENDINGS:
        assert figures.on_fresh + figures.on_kept == figures.times, said
        assert figures.on_fresh > 0, said
        assert figures.on_kept > 0, said
    if fault == REFUSE:
        assert figures.never_sent >= TIMES // 2, said
