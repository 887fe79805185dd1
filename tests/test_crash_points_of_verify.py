# The crash points around what a question has found out: the gateway dies before or behind the commit that writes it,
# and what that leaves is found out once more, or is known.

from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram, rules
from tests.support.remains import everything, states
from tests.support.upstream import RawUpstream
from tests.support.users_api import UsersApi, creates, questions, until_it_is_known, verified_rule

GRACE = "grace@example.org"
FOUND_OUT = ("before-resettle", "after-resettle")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("point", FOUND_OUT)
async def test_it_dies_where_it_writes_what_it_has_found_out(
    point: str, exists: bool, users: UsersApi, upstream: RawUpstream, tmp_path: Path
) -> None:
    """With POINT:2 not at the first one. Nothing is made twice, and nothing is forgotten."""
    text = rules(upstream.url, rules=[verified_rule()])
    async with ArmedProgram(tmp_path, text, f"{point}:2") as program:
        users.on_create = users.commit_and_close
        await create(program.port)
        assert (await until_it_is_known(program.port, "ada@example.org")).slug == "duplicate"
        users.on_create = users.commit_and_close if exists else users.lose
        await create(program.port, GRACE)
        while not any(line.get("event") == "crash-point" for line in program.log):
            async with Client(program.port) as client:
                await client.send_raw(create_bytes(GRACE, headers=[("Connection", "close")]))
                told = await everything(client)
            assert not told or b"outcome-unknown" in told
        await program.died_at(point)
    is_written = point == "after-resettle"
    left = ["created"] if exists else []
    assert states(tmp_path / "gateway.db") == ["created", *(left if is_written else ["unknown"])]
    before = len(questions(upstream))
    users.on_create = users.commit
    async with GatewayProgram(tmp_path, text) as program:
        seen = await until_it_is_known(program.port, GRACE)
        assert (seen.slug or seen.status) == ("duplicate" if exists else 201)
        assert (await create(program.port, GRACE)).slug == "duplicate"
        assert await program.stop() == 0
    assert users.rows.count(GRACE) == 1
    assert len(creates(upstream)) == (2 if exists else 3)
    assert (len(questions(upstream)) == before) is is_written
