# Reloads and restarts under load: a slice of `make restarts`, which says what is counted.

from pathlib import Path

from campaigns.restarts.__main__ import run, table, verdicts
from campaigns.restarts.operator import MEANS, Plan

PLAN = Plan(reloads=6, restarts=2, seed=1, grace=0.6, most_pause=0.3, broken_every=6)


async def test_no_reload_or_restart_costs_a_client_a_connection_a_request_or_a_second_create(tmp_path: Path) -> None:
    """Files are taken up, or refused, by each means; restarts are on a socket that outlives the process."""
    figures = await run(tmp_path, PLAN)
    wrong = [*figures.refused, *figures.dropped, *figures.duplicates, *figures.wrong]
    said = "\n".join([*table(figures), *(line for line, holds in verdicts(PLAN, figures) if not holds), *wrong])
    assert all(holds for _, holds in verdicts(PLAN, figures)), said
    assert figures.reloads == dict.fromkeys(MEANS, 2), said
    assert figures.refused_files.total() == 1, said
    assert min(figures.under_way) > 0, "creates are under way whenever something is ordered"
    assert figures.reused > 0, said
    assert figures.told_to_close > 0, said
