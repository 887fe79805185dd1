# .github/workflows/ci.yml, held against GitHub's schema and pyproject.toml. Whether it runs only GitHub can say.

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.test_documents import PROJECT, ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, Any] = YAML(typ="safe").load(TEXT)["jobs"]
SUPPORTED = re.findall(
    r"^Programming Language :: Python :: (\d+\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE
)


def problems(file: Path) -> list[str]:
    """What GitHub's schema says against a workflow."""
    arguments = ["--builtin-schema", "vendor.github-workflows", "--output-format", "json", str(file)]
    command = [sys.executable, "-m", "check_jsonschema", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = json.loads(done.stdout)
    assert done.returncode == (1 if said["errors"] else 0), done.stderr
    return [json.dumps(error) for error in (*said["errors"], *said.get("parse_errors", ()))]


def test_the_workflow_fits_the_schema() -> None:
    assert problems(WORKFLOW) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("runs-on:", "run-on:"), ("contents: read", "contents: reads"), ("pull_request", "pull_requests")],
)
def test_a_slip_is_found_by_the_schema(right: str, wrong: str, tmp_path: Path) -> None:
    slipped = tmp_path / "ci.yml"
    slipped.write_text(TEXT.replace(right, wrong), encoding="utf-8")
    assert problems(slipped)


def test_every_version_of_python_that_is_supported_is_tested_and_no_other() -> None:
    assert JOBS["test"]["strategy"]["matrix"]["python"] == SUPPORTED
    assert PROJECT["project"]["requires-python"] == f">={SUPPORTED[0]}"


def test_the_lowest_versions_are_tested_with_the_lowest_python() -> None:
    (python,) = [
        step["with"]["python-version"] for step in JOBS["lowest"]["steps"] if "python-version" in step.get("with", {})
    ]
    assert python == SUPPORTED[0]
    assert any("--resolution lowest-direct" in step.get("run", "") for step in JOBS["lowest"]["steps"])


def test_every_action_is_taken_by_its_major_version() -> None:
    uses = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert uses
    assert [use for use in uses if not re.fullmatch(r"actions/[a-z-]+@v\d+", use)] == []
