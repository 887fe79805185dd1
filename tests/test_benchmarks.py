# The benchmark runs, and counts only requests that were answered as they must be. The figures are no test's business.

import json
import subprocess
import sys
from pathlib import Path


def test_a_short_run_measures_every_scenario_and_finds_every_answer_as_expected(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--requests", "200", "--rounds", "1", "--connections", "10"]
    run = subprocess.run([*command, "--json", str(figures)], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for scenario in ("ordinary proxy: GET", "ordinary proxy: POST", "pass-through", "durable create", "duplicate"):
        assert scenario in run.stdout
    assert json.loads(figures.read_text(encoding="utf-8"))
