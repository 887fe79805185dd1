# The crash points of stored answers, replays and creates that wait, seen from outside: what the API got, what the
# store's file holds, what each client got, and what the same caller and another one get after a restart.

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from gateway.process.crash import POINTS
from tests.support.client import Client, Response, create_bytes
from tests.support.held_api import BODY, HeldApi
from tests.support.program import UNMARKED, GatewayProgram, create_user_rule, rules
from tests.support.remains import everything, states, stored_answers
from tests.test_crash_points import LEFT
from tests.test_crash_points_of_upserts import FREED
from tests.test_crash_points_of_verify import FOUND_OUT

PLAIN = "/plain"
"""Where another rule guards, without keys."""
GRACE = "grace@example.org"
WHOLE = b"\r\n\r\n" + BODY
STORED = {"before-answer-stored": ("in_flight", 0), "after-answer-stored": ("created", 1)}
"""The state of the create at which the process dies, and how many answers are stored with it."""
REPLAYED = {
    "before-replay-first-byte": b"",
    "after-replay-first-byte": b"H",
    "before-replay-last-byte": WHOLE[:-1],
    "after-replay-last-byte": WHOLE,
}
"""The end of what the client of the replay got; nothing at all when it is empty."""
WOKEN = ("before-waiter-woken", "after-waiter-woken")
"""Before the client of the create that was waited for gets anything: how that ended is being written."""


@dataclass(frozen=True)
class Again:
    """What comes of the same create after a restart: for its caller, and for another one."""

    caller: str
    other: str


UNKNOWN = Again("outcome-unknown", "outcome-unknown")
CREATED = Again("replayed", "duplicate")


@pytest.fixture
async def api() -> AsyncIterator[HeldApi]:
    async with HeldApi() as server:
        yield server


def rules_text(api: HeldApi) -> str:
    plain = create_user_rule(name="plain", match={"methods": ["POST"], "path": PLAIN}, in_flight="wait")
    return rules(
        api.port, forwarding=UNMARKED, rules=[create_user_rule(key={}, retry="replay", in_flight="wait"), plain]
    )


def keyed(email: str, caller: str = "ada") -> bytes:
    """A create with a key, which another caller may use, too."""
    return create_bytes(email, headers=[("Authorization", f"Bearer {caller}"), ("Idempotency-Key", f"k-{email}")])


async def told(program: GatewayProgram, sent: bytes) -> Response:
    async with Client(program.port) as client:
        await client.send_raw(sent)
        return await client.read_response("POST")


async def told_all(program: GatewayProgram, sent: bytes) -> bytes:
    async with Client(program.port) as client:
        await client.send_raw(sent)
        return await everything(client)


def met(response: Response) -> str:
    """What an answer says; a replay must be the API's answer as it was."""
    if response.slug is not None:
        return response.slug
    assert (response.status, response.body, response.header("Location")) == (201, BODY, "/users/17")
    is_replay = response.header("Idempotent-Replayed") == "true"
    assert response.header("Idempotency-Status") == ("replayed" if is_replay else "created")
    return "replayed" if is_replay else "created"


async def let_it_work(program: GatewayProgram) -> None:
    """Return when the gateway's loop has turned many times."""
    async with Client(program.port) as bystander:
        for _ in range(50):
            assert (await bystander.request("GET", "/users")).status == 201


async def expect_afterwards(api: HeldApi, directory: Path, email: str, again: Again) -> None:
    """Send a create once more to a gateway on the same store: none goes to the API."""
    api.let_go()
    before = len(api.received)
    async with GatewayProgram(directory, rules_text(api)) as program:
        for _ in range(2):
            assert met(await told(program, keyed(email))) == again.caller
            assert met(await told(program, keyed(email, "bob"))) == again.other
        assert await program.stop() == 0
    assert len(api.received) == before


def creates_at(api: HeldApi, email: str) -> int:
    return sum(email.encode() in received for received in api.received)


def test_every_point_is_looked_at() -> None:
    here = {*STORED, *REPLAYED, *WOKEN, *FOUND_OUT}
    assert not here & set(LEFT)
    assert here | set(LEFT) | set(FREED) == set(POINTS)
    assert [point for point in POINTS if point in LEFT] == list(LEFT)


@pytest.mark.parametrize("point", STORED)
async def test_it_dies_at_the_commit_that_stores_an_answer(point: str, api: HeldApi, tmp_path: Path) -> None:
    """With POINT:2 not at the first one, and at none without an answer."""
    state, answers = STORED[point]
    async with ArmedProgram(tmp_path, rules_text(api), f"{point}:2") as program:
        assert met(await told(program, keyed("ada@example.org"))) == "created"
        for number in range(2):
            assert met(await told(program, create_bytes(f"{number}@example.org", path=PLAIN))) == "created"
        assert await told_all(program, keyed(GRACE)) == b""
        await program.died_at(point)
    await api.all_ended()
    assert creates_at(api, GRACE) == 1
    file = tmp_path / "gateway.db"
    assert states(file) == ["created"] * 4 + [state] * 2, "a create with a key holds two claims"
    assert stored_answers(file) == 1 + answers
    await expect_afterwards(api, tmp_path, GRACE, CREATED if answers else UNKNOWN)
    await expect_afterwards(api, tmp_path, "ada@example.org", CREATED)


@pytest.mark.parametrize("point", REPLAYED)
async def test_it_dies_amid_the_bytes_of_a_replay(point: str, api: HeldApi, tmp_path: Path) -> None:
    """With POINT:2 amid those of the second one; neither the first answer counts nor what other callers get."""
    async with ArmedProgram(tmp_path, rules_text(api), f"{point}:2") as program:
        assert met(await told(program, keyed(GRACE))) == "created"
        assert met(await told(program, keyed(GRACE))) == "replayed"
        for _ in range(2):
            assert met(await told(program, keyed(GRACE, "bob"))) == "duplicate"
        got = await told_all(program, keyed(GRACE))
        await program.died_at(point)
    await api.all_ended()
    assert got.endswith(REPLAYED[point])
    assert bool(got) == bool(REPLAYED[point])
    assert len(got) == 1 or not got.endswith(b"H")
    assert len(got) < 2 or b"\r\nIdempotent-Replayed: true\r\n" in got
    assert creates_at(api, GRACE) == 1
    assert states(tmp_path / "gateway.db") == ["created"] * 2
    assert stored_answers(tmp_path / "gateway.db") == 1
    await expect_afterwards(api, tmp_path, GRACE, CREATED)


@pytest.mark.parametrize("point", WOKEN)
async def test_it_dies_when_a_create_that_waited_is_woken(point: str, api: HeldApi, tmp_path: Path) -> None:
    """With POINT:3 not when two are woken together before; and the end of a create that none waits for is no point."""
    async with ArmedProgram(tmp_path, rules_text(api), f"{point}:3") as program:
        api.hold()
        waited_for = asyncio.create_task(told(program, keyed("ada@example.org")))
        await api.held.reach(1)
        waiting = [asyncio.create_task(told(program, keyed("ada@example.org"))) for _ in range(2)]
        await let_it_work(program)
        api.let_go()
        assert met(await waited_for) == "created"
        assert [met(response) for response in await asyncio.gather(*waiting)] == ["replayed"] * 2
        assert met(await told(program, keyed("alan@example.org"))) == "created"
        api.hold()
        first = asyncio.create_task(told_all(program, keyed(GRACE)))
        await api.held.reach(2)
        waiter = asyncio.create_task(told_all(program, keyed(GRACE)))
        await let_it_work(program)
        assert not waiter.done()
        api.let_go()
        got = await first
        assert await waiter == b""
        await program.died_at(point)
    await api.all_ended()
    assert got == b""
    assert creates_at(api, GRACE) == 1
    left = states(tmp_path / "gateway.db")
    is_written = point == "after-waiter-woken" and left == ["created"] * 6  # the store's thread may have been quicker
    assert is_written or left == [*["created"] * 4, *["in_flight"] * 2]
    assert stored_answers(tmp_path / "gateway.db") == (3 if is_written else 2)
    await expect_afterwards(api, tmp_path, GRACE, CREATED if is_written else UNKNOWN)
