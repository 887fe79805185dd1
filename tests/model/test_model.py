# The model, in a slice: `python -m campaigns.model` runs the same machine for longer.

import os
import random
import sys
from collections import Counter

import pytest

from tests.model.campaign import run
from tests.model.lives import Kind
from tests.model.parts import CUTS

STEPS = 50
MOST = 12
"""How many times the runs are repeated, at most, until everything was met."""
MET = {
    "forwarded",
    "exists already",
    "told: 409 in-progress",
    "told: 409 duplicate",
    "told: 409 outcome-unknown",
    "told: 502 upstream-unreachable",
    "told: 502 outcome-unknown",
    "told: 503 store-unavailable",
    "client left",
    "cut off",
    "clock set back",
    "clock set forward",
    "purge",
    "forgotten",
    "told: 422 key-reused",
    "replayed",
    "waited",
    "woken",
    "cut off while it waited",
    "found out: exists",
    "found out: absent",
    "found out: absent, too early",
    "found out: nothing",
    "upserted",
    "upsert lost",
    "found gone",
}
RESTARTS = {
    "found out: absent, perhaps spelt otherwise",
    "killed",
    "stopped",
    "cut off while it claimed",
    *[f"killed {cut}" for cut in CUTS],
}
ON_SERVERS = {"forwarded", "told: 409 duplicate", "told: 409 outcome-unknown", "killed", "stopped", "taken for stopped"}


@pytest.mark.parametrize(
    ("kind", "runs", "met"),
    [
        ("sqlite", 80, MET | RESTARTS),
        ("memory", 40, MET),
        ("valkey", 12, ON_SERVERS),
        ("postgresql", 6, ON_SERVERS),
    ],
)
def test_nothing_that_can_happen_forwards_a_create_again_that_may_have_happened(
    kind: Kind, runs: int, met: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And after each step every claim is what the reference says. GATEWAY_MODEL_SEED repeats what has failed."""
    seed = int(os.environ.get("GATEWAY_MODEL_SEED") or random.SystemRandom().getrandbits(32))
    with capsys.disabled():
        sys.stdout.write(f"\n  {kind}: GATEWAY_MODEL_SEED={seed}\n")
    seen: Counter[str] = Counter()
    wanted = runs
    while seen["whole runs"] < runs or (met - seen.keys() and wanted < MOST * runs):  # what is rare takes longer
        run(kind, seed=seed + wanted, runs=wanted, steps=STEPS, seen=seen)
        wanted += runs
    with capsys.disabled():
        sys.stdout.write(
            f"  {kind}: {seen['whole runs']} runs of {STEPS} steps, {seen['forwarded']} creates forwarded\n"
        )
    assert seen["whole runs"] >= runs
    assert met - seen.keys() == set()
