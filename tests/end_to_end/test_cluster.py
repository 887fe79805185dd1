# Several gateways on one store are killed and restarted while copies come to all of them. A slice of `make cluster`.

import sys
from pathlib import Path

import pytest

from campaigns.cluster.__main__ import run, table, verdicts
from campaigns.cluster.records import Plan
from tests.support.shared import BACKENDS, Backend

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", BACKENDS)
async def test_each_identity_reaches_the_api_once_whichever_gateway_is_killed_or_restarted(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(identities=150, copies=30, nodes=3, pause=0.2, seed=7, backend=backend)
    figures = await run(tmp_path, plan)
    with capsys.disabled():
        sys.stdout.write("\n  " + "\n  ".join(table(figures)) + "\n")
    assert [line for line, holds in verdicts(plan, figures) if not holds] == []
    assert figures.kills, "nothing was killed"
    assert figures.restarts, "nothing was restarted"
