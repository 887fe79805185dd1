import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from gateway.commands import provision
from gateway.config import load
from gateway.config.writer import effective
from gateway.errors import ConfigError
from tests.support.config import ENVIRON, GOLDEN, KEY, SECRET

BAD = sorted(path.stem for path in GOLDEN.glob("bad-*.toml"))
GOOD = sorted(path.stem for path in GOLDEN.glob("good-*.toml"))


@pytest.fixture(autouse=True)
def in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)


def test_each_golden_file_has_its_expectation() -> None:
    """Every .toml has its .txt and no .txt is left over; at least twenty files are bad and four are good."""
    assert {path.stem for path in GOLDEN.glob("*.toml")} == {path.stem for path in GOLDEN.glob("*.txt")}
    assert {*BAD, *GOOD} == {path.stem for path in GOLDEN.glob("*.toml")}
    assert len(BAD) >= 20
    assert len(GOOD) >= 4


@pytest.mark.parametrize("name", BAD)
def test_every_problem_of_a_bad_file_is_listed_and_nothing_else(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(Path(f"{name}.toml"), ENVIRON)
    assert "".join(f"{problem}\n" for problem in raised.value.problems) == expected(name)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_shown_as_it_is_in_force(name: str) -> None:
    assert tomli_w.dumps(effective(load(Path(f"{name}.toml"), ENVIRON))) == expected(name)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_shown_reads_as_the_same_configuration(name: str, tmp_path: Path) -> None:
    shown = tmp_path / "gateway.toml"
    shown.write_text(expected(name).replace("(hidden)", KEY), encoding="utf-8")
    assert tomli_w.dumps(effective(load(shown, {}))) == expected(name)


def test_no_secret_stands_in_any_expectation() -> None:
    """The fingerprint key, passwords in URLs, and what came from the environment are in the files, not in the texts."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.txt")}
    assert [name for name, text in texts.items() for secret in (KEY, SECRET, "changeme") if secret in text] == []
    assert SECRET in (GOLDEN / "bad-secret-places.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bad-everything", "bad-syntax"])
def test_the_check_command_prints_the_problems_and_nothing_else(name: str) -> None:
    answer = gateway("check", f"{name}.toml")
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, expected(name), "")


@pytest.mark.slow
def test_the_check_command_says_that_a_file_is_fine(tmp_path: Path) -> None:
    text = (GOLDEN / "good-two-rules.toml").read_text(encoding="utf-8")
    (tmp_path / "two.toml").write_text(text, encoding="utf-8")
    answer = gateway("check", "two.toml", tmp_path)
    said, *hints = answer.stdout.splitlines()
    assert (answer.returncode, said, answer.stderr) == (0, "two.toml: fine, 2 rules", "")
    assert all("file descriptors" in hint for hint in hints), "the limit of this machine may be low"
    assert [path.name for path in tmp_path.iterdir()] == ["two.toml"], "check changes nothing"


@pytest.mark.slow
def test_the_show_command_prints_the_configuration_with_its_secret_hidden() -> None:
    answer = gateway("show", "good-everything.toml")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, expected("good-everything"), "")


@pytest.mark.slow
def test_the_show_command_of_a_bad_file_says_why_on_standard_error() -> None:
    answer = gateway("show", "bad-everything.toml")
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", expected("bad-everything"))


def test_good_files_that_need_nothing_of_the_machine_pass_the_provisioning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(Path("good-defaults.toml"), ENVIRON)
    monkeypatch.chdir(tmp_path)
    assert provision.problems(config) == []


def expected(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def gateway(command: str, file: str, directory: Path = GOLDEN) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **{name: value for name, value in ENVIRON.items() if name != "BYTES"}}
    arguments = [sys.executable, "-m", "gateway", command, "-c", file]
    return subprocess.run(
        arguments, cwd=directory, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
