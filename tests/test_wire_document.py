# docs/wire.md, held against the tests that it names.

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")))
WRITTEN = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_test_that_holds_a_threat_off_exists() -> None:
    assert len(NAMED) > 20
    assert NAMED <= WRITTEN, NAMED - WRITTEN
