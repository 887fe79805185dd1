# Gateways on a PostgreSQL server whose answers are cut, that restarts, and whose standby takes its place, under load. A
# slice of `make promotions`.

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from campaigns.promotions.__main__ import Group, run
from campaigns.promotions.records import HEADING, verdicts
from campaigns.promotions.sites import pair, relayed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "groups",
    [[Group(relayed, {"cuts": 6, "restarts": 2, "deadlocks": 1})], [Group(pair, {"promotions": 1}, ("no-standby",))]],
    ids=["one server", "a pair"],
)
async def test_nothing_is_created_twice_or_forgotten_whatever_befalls_the_server(
    groups: Sequence[Group], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = await run(tmp_path, groups, seed=5, nodes=2)
    with capsys.disabled():
        lines = [HEADING, *[line for name in report.phases for line in report.lines(name)], *report.rest()]
        sys.stdout.write("\n  " + "\n  ".join(lines) + "\n")
    late = "creates passed only"  # how long it took to be well again is no test's business
    assert [line for line, holds in verdicts(report) if not holds and late not in line] == []
    assert {name: seen.ways.total() for name, seen in report.phases.items()} == {
        **{name: times for group in groups for name, times in group.times.items()},
        **{name: 1 for group in groups for name in group.faults},
    }
