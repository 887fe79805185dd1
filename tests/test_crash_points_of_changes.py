# The crash points of changes and deletes of what was created, seen from outside: what is held after a restart, and that
# the same request goes on then.

from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from tests.support.changes import GONE, OK, change, create, delete, followed, made, told
from tests.support.client import NoResponseError
from tests.support.program import GatewayProgram, rules
from tests.support.upserts import lines
from tests.support.upstream import RawUpstream

UNTOUCHED, BOTH_HELD, MOVED = (409, 201), (409, 409), (201, 409)
"""The statuses that creates of the old and of the new identity get."""
UPDATES = {
    "before-claim-committed": UNTOUCHED,
    "after-claim-committed": BOTH_HELD,
    "after-upstream-last-byte": BOTH_HELD,
    "before-settle-committed": BOTH_HELD,
    "after-settle-committed": MOVED,
}
RELEASES = {
    "after-claim-committed": 409,
    "after-upstream-last-byte": 409,
    "before-settle-committed": 409,
    "after-settle-committed": 201,
}


async def test_an_update_that_its_gateway_did_not_survive_holds_all_that_it_may_have_done(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    text = rules(upstream.url, rules=[followed()])
    for number, (point, (old, new)) in enumerate(UPDATES.items()):
        a, b, link = f"a-{number}@example.org", f"b-{number}@example.org", f"/users/{number}"
        upstream.script(made(link))
        async with ArmedProgram(tmp_path, text, f"{point}:2") as program:
            assert told(await create(program, a)) == (201, "created")
            upstream.default = OK
            with pytest.raises(NoResponseError):
                await change(program, link, b)
            await program.died_at(point)
        was_sent = f"PATCH {link}" in lines(upstream)
        assert was_sent == ("settle" in point or "upstream" in point)
        upstream.default = made("/users/other")
        async with GatewayProgram(tmp_path, text, is_forked=True) as program:
            if (old, new) == BOTH_HELD:
                assert told(await create(program, a)) == (409, "duplicate"), point
                assert told(await create(program, b)) == (409, "outcome-unknown"), point
                assert told(await change(program, link, f"c-{number}@example.org")) == (409, "outcome-unknown"), point
                upstream.script(OK)
                assert told(await change(program, link, b)) == (200, "updated"), point
                old, new = MOVED
            assert (await create(program, a)).status == old, point
            assert (await create(program, b)).status == new, point
            assert await program.stop() == 0


async def test_a_delete_that_its_gateway_did_not_survive_leaves_its_identity_held(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    text = rules(upstream.url, rules=[followed()])
    for number, (point, status) in enumerate(RELEASES.items()):
        name, link = f"{number}@example.org", f"/users/{number}"
        upstream.script(made(link))
        async with ArmedProgram(tmp_path, text, f"{point}:2") as program:
            assert told(await create(program, name)) == (201, "created")
            upstream.default = GONE
            with pytest.raises(NoResponseError):
                await delete(program, link)
            await program.died_at(point)
        assert (f"DELETE {link}" in lines(upstream)) == ("settle" in point or "upstream" in point)
        upstream.default = made("/users/other")
        async with GatewayProgram(tmp_path, text, is_forked=True) as program:
            if status == 409:
                assert told(await create(program, name)) == (409, "duplicate"), point
                upstream.script(GONE)
                assert told(await delete(program, link)) == (204, "released"), point
            assert told(await create(program, name)) == (201, "created"), point
            assert await program.stop() == 0
