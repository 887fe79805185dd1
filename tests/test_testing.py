# docs/testing.md, held against the modules and the tests that it maps to each other.

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
TOP = {"commands and the rest": ""}
"""Sections whose modules are not those of the package that their heading names."""


def mapped() -> dict[str, list[str]]:
    """Each module named on the page, by its path in gateway/, with its tests."""
    found: dict[str, list[str]] = {}
    for part in PAGE.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        package = TOP.get(heading, f"{heading}/")
        for row in re.findall(r"^\| (`.+?) \| (`.+) \|$", text, re.MULTILINE):
            modules, tests = (re.findall(r"`([^`]+)`", cell) for cell in row)
            found.update(dict.fromkeys([package + module for module in modules], tests))
    return found


def test_every_module_is_on_the_page_and_no_other_is() -> None:
    package = ROOT / "gateway"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if len(path.read_bytes()) > 200}
    modules |= {"__main__.py"}
    assert set(mapped()) == modules


def test_every_test_that_it_names_exists() -> None:
    missing = {test for tests in mapped().values() for test in tests if not (ROOT / "tests" / test).is_file()}
    assert missing == set()


def test_every_test_is_named_there() -> None:
    """All but those of the documents, the tools and the files under deploy/."""
    named = {test for tests in mapped().values() for test in tests}
    folders = ("unit", "config", "stores", "upstream", "handler", "model", "end_to_end")
    tests = {f"{folder}/{path.name}" for folder in folders for path in (ROOT / "tests" / folder).glob("test_*.py")}
    assert tests - named == set()
