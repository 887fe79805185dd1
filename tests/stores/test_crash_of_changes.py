# SIGKILL beside the commit of a settlement that changes claims of others, and amid an import: all of a commit is in the
# file, or nothing of it.

import asyncio
import json
import sys
from pathlib import Path

import pytest

from gateway.model import State
from gateway.stores.adding import ADDED_AT_ONCE
from tests.stores.changer import ADDED, kept
from tests.support.counts import miscounted_in
from tests.support.stores import NOW, open_store, state_of

ROOT = Path(__file__).parents[2]
CREATED, UNKNOWN = State.CREATED, State.UNKNOWN


@pytest.mark.parametrize(
    ("point", "states", "added"),
    [
        ("before-settle-committed:3", (CREATED, UNKNOWN, UNKNOWN), 0),
        ("after-settle-committed:3", (None, UNKNOWN, CREATED), 0),
        ("before-settle-committed:4", (None, UNKNOWN, CREATED), 0),
        ("after-settle-committed:4", (None, CREATED, CREATED), 0),
        ("before-claims-added:2", (None, CREATED, CREATED), ADDED_AT_ONCE),
        ("after-claims-added:2", (None, CREATED, CREATED), ADDED),
    ],
)
async def test_a_commit_is_there_whole_or_not_at_all(
    tmp_path: Path, point: str, states: tuple[State | None, ...], added: int
) -> None:
    """The states are those of "old", "lost" and "new". What an import has not added, it adds when it is run again."""
    path = tmp_path / "gateway.db"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stores.changer", str(path), point), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == -9, said.decode()
    assert json.loads(said) == {"event": "crash-point", "point": point.partition(":")[0]}
    opened = await open_store(path)
    assert tuple([await state_of(opened.store, name) for name in ("old", "lost", "new")]) == states
    there = sum((await opened.store.overview(NOW)).claims.values())
    assert there == added + sum(state is not None for state in states)
    again = await opened.store.add(kept(), NOW)
    assert again.count(None) == ADDED - added
    assert {record for record in again if record is not None} <= {one.record for one in kept()}
    await opened.store.close()
    assert miscounted_in(path) == []
