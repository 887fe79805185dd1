# Several gateways on one store are killed and restarted while copies come to all of them. A slice of `make cluster`.

import sys
from pathlib import Path

import pytest

from campaigns.cluster.__main__ import run, table, verdicts
from campaigns.cluster.records import Plan

pytestmark = pytest.mark.slow


async def test_each_identity_reaches_the_api_once_whichever_gateway_is_killed_or_restarted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(identities=100, copies=30, nodes=3, pause=0.5, seed=7)
    figures = await run(tmp_path, plan)
    with capsys.disabled():
        sys.stdout.write("\n  " + "\n  ".join(table(figures)) + "\n")
    assert [line for line, holds in verdicts(plan, figures) if not holds] == []
    assert figures.kills, "nothing was killed"
    assert figures.restarts, "nothing was restarted"
