# Runs of the machine, a few in the tests and many in campaigns.model.

from collections import Counter

import hypothesis
from hypothesis.stateful import run_state_machine_as_test

from tests.model.lives import Kind
from tests.model.machine import DecisionCore

BATCH: dict[Kind, int] = {"memory": 90, "sqlite": 90, "valkey": 20, "postgresql": 10}
"""Runs that are asked of Hypothesis with one seed, always: another number would make others of them."""


def run(kind: Kind, *, seed: int, runs: int, steps: int, seen: Counter[str]) -> None:
    """Run the machine over a kind of store until so many runs had all their steps: Hypothesis makes shorter ones too.

    The first batch has `seed`, the next one the number after it. What fails is raised, shrunk, with its batch's seed.
    """
    settings = hypothesis.settings(
        max_examples=BATCH[kind],
        stateful_step_count=steps,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )

    def machine() -> DecisionCore:
        return DecisionCore(kind, seen, steps)

    while seen["whole runs"] < runs:
        try:
            run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)  # type: ignore[arg-type]
        except BaseException as error:
            error.add_note(f"over the {kind} store, in the batch with the seed {seed}")
            raise
        seed += 1
