# The audit's lines and its file.

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import KEPT, Actor, Audit, AuditError
from gateway.errors import ConfigError

WHO = Actor("token", "10.0.0.7", "id-1")


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


async def test_a_line_says_who_did_what_and_has_no_field_without_a_value(tmp_path: Path) -> None:
    logged: list[dict[str, Any]] = []
    file = tmp_path / "audit.log"
    audit = Audit(logged.append, str(file))
    await audit.write("release", WHO, "free", rule="r", entry=None, reason="a\nb <b>")
    await audit.write("reload", Actor("signal"), "applied")
    first, second = read(file)
    said = {"action": "release", "who": "token", "from": "10.0.0.7", "rule": "r", "reason": "a\nb <b>"}
    assert logged[0] == said | {"request_id": "id-1", "result": "free"}
    assert first == {"time": first["time"], "event": "audit", "level": "info"} | logged[0]
    assert logged[1] == {"action": "reload", "who": "signal", "result": "applied"}
    assert list(audit.recent) == [first, second]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_written_is_told_at_once_and_later(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "nowhere" / "audit.log"):
        with pytest.raises(ConfigError, match=r"log\.audit_file: .* cannot be written"):
            Audit(print, str(bad))
    file = tmp_path / "audit.log"
    logged: list[dict[str, Any]] = []
    audit = Audit(logged.append, str(file))
    file.unlink()
    file.mkdir()
    with pytest.raises(AuditError, match="cannot be written"):
        await audit.write("release", WHO, "free")
    assert (logged, list(audit.recent)) == ([], [])
    with pytest.raises(ConfigError):
        audit.use_file(str(tmp_path / "nowhere" / "audit.log"))
    assert audit.use_file(str(tmp_path / "other.log")) == str(file)
    await audit.write("release", WHO, "free")
    assert len(read(tmp_path / "other.log")) == 1
    assert audit.use_file(None) == str(tmp_path / "other.log")
    await audit.write("release", WHO, "free")
    assert len(read(tmp_path / "other.log")) == 1


async def test_a_line_that_was_cut_off_does_not_spoil_the_next_one_and_a_rotated_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    file.write_bytes(b'{"time":1,"ev')
    audit = Audit(lambda _: None, str(file))
    await audit.write("release", WHO, "free")
    assert len(file.read_bytes().splitlines()) == 2
    assert json.loads(file.read_bytes().splitlines()[1])["result"] == "free"
    rotated = tmp_path / "audit.log.1"
    file.rename(rotated)
    await audit.write("release", WHO, "free")
    assert (len(rotated.read_bytes().splitlines()), len(read(file))) == (2, 1)


async def test_only_the_last_lines_stay_in_memory() -> None:
    audit = Audit(lambda _: None, None)
    for at in range(KEPT + 5):
        await audit.write("release", WHO, str(at))
    assert [line["result"] for line in audit.recent] == [str(at) for at in range(5, KEPT + 5)]
