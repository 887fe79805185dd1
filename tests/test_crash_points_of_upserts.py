# The crash points around the freeing of what an upsert has found gone, seen from outside: what the API got, what the
# store's file holds, and what the same create gets after a restart.

from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from tests.support import behaviours
from tests.support.client import NoResponseError
from tests.support.program import GatewayProgram, rules
from tests.support.remains import states
from tests.support.shorthands import post
from tests.support.upserts import ADA, CREATED, UPDATED, USER, lines, told, users
from tests.support.upstream import RawUpstream

FREED = {"before-gone-freed": ["created"], "after-gone-freed": []}
"""The states of the claims that the process leaves when it dies there."""
GONE = behaviours.answer(404)


@pytest.mark.parametrize("point", FREED)
async def test_it_dies_at_the_commit_that_frees_what_is_gone(point: str, upstream: RawUpstream, tmp_path: Path) -> None:
    """With POINT:2 not at the first one, and at no upsert that is answered otherwise."""
    text = rules(upstream.url, rules=[users()])
    other = {**USER, "email": "eve@example.org"}
    async with ArmedProgram(tmp_path, text, f"{point}:2") as program:
        upstream.script(CREATED, UPDATED, GONE, CREATED)
        assert told(await post(program, "/users", USER, ADA)) == (201, "created", None)
        assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
        assert told(await post(program, "/users", USER, ADA)) == (201, "created", None)
        upstream.script(CREATED, GONE)
        assert told(await post(program, "/users", other, ADA)) == (201, "created", None)
        with pytest.raises(NoResponseError):
            await post(program, "/users", other, ADA)
        await program.died_at(point)
    assert lines(upstream)[4:] == ["POST /users", "PUT /users/7"]
    assert states(tmp_path / "gateway.db") == ["created", *FREED[point]]
    async with GatewayProgram(tmp_path, text) as program:
        upstream.script(*([GONE] if FREED[point] else []), CREATED, UPDATED)
        assert told(await post(program, "/users", other, ADA)) == (201, "created", None)
        assert told(await post(program, "/users", other, ADA)) == (200, "upserted", None)
        assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
    posts = [request for request in upstream.requests if request.method == "POST"]
    assert [request.value("body.email") for request in posts] == [USER["email"]] * 2 + [other["email"]] * 2
