# Each crash point that any create passes, seen from outside: what the API got, what the store's file holds, what the
# client got, and what becomes of the same create afterwards. Those of retries are in test_crash_points_of_retries.py.

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from gateway.process.crash import POINTS
from tests.support.client import Client, create_bytes, request_bytes
from tests.support.held_api import BODY, HeldApi
from tests.support.program import UNMARKED, GatewayProgram, StartError, rules
from tests.support.remains import everything, states

CREATE = create_bytes("grace@example.org")


@dataclass(frozen=True)
class Left:
    """What is left when the process has died at a point."""

    sent: bytes | None
    """What reached the API; None when there was not even a connection."""
    state: str | None
    told: bytes
    """The end of what the client got; nothing at all when it is empty."""
    again: str | int
    """What the same create meets afterwards."""


NOTHING = Left(None, None, b"", 201)
CLAIMED = Left(None, "in_flight", b"", "outcome-unknown")
UNSENT = Left(b"", "in_flight", b"", "outcome-unknown")
SENT = Left(CREATE, "in_flight", b"", "outcome-unknown")
SETTLED = Left(CREATE, "created", b"", "duplicate")
LEFT = {
    "before-claim-queued": NOTHING,
    "after-claim-queued": NOTHING,
    "before-claim-committed": NOTHING,
    "after-claim-committed": CLAIMED,
    "before-upstream-first-byte": UNSENT,
    "after-upstream-first-byte": Left(CREATE[:1], "in_flight", b"", "outcome-unknown"),
    "before-upstream-last-byte": Left(CREATE[:-1], "in_flight", b"", "outcome-unknown"),
    "after-upstream-last-byte": SENT,
    "before-answer-first-byte": SENT,
    "after-answer-first-byte": SENT,
    "before-settle-queued": SENT,
    "after-settle-queued": SENT,
    "before-settle-committed": SENT,
    "after-settle-committed": SETTLED,
    "before-client-first-byte": SETTLED,
    "after-client-first-byte": Left(CREATE, "created", b"H", "duplicate"),
    "before-client-last-byte": Left(CREATE, "created", b"\r\n\r\n" + BODY[:-1], "duplicate"),
    "after-client-last-byte": Left(CREATE, "created", b"\r\n\r\n" + BODY, "duplicate"),
}
ON_ANSWER = ("before-answer-first-byte", "after-answer-first-byte")
"""Points that lie between the first byte of the answer and the second."""
BEFORE_ANSWER = tuple(LEFT)[: tuple(LEFT).index(ON_ANSWER[0])]


@pytest.fixture
async def api() -> AsyncIterator[HeldApi]:
    async with HeldApi() as server:
        yield server


def armed(directory: Path, api: HeldApi, crash_at: str) -> ArmedProgram:
    return ArmedProgram(directory, rules(api.port, forwarding=UNMARKED), crash_at)


async def is_alive(program: GatewayProgram) -> bool:
    async with Client(program.port) as client:
        return (await client.request("GET", "/users")).status == 201


@pytest.mark.parametrize("point", LEFT)
async def test_the_process_dies_just_there(point: str, api: HeldApi, tmp_path: Path) -> None:
    """With POINT:2 neither the first create nor what no rule guards is the death of it; the second create is."""
    left = LEFT[point]
    async with armed(tmp_path, api, f"{point}:2") as program:
        async with Client(program.port) as client:
            await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).status == 201
            await client.send_raw(request_bytes("POST", "/unguarded", body=b"{}"))
            assert (await client.read_response("POST")).status == 201
        await api.all_ended()
        api.hold()
        before = len(api.received)
        async with Client(program.port) as client:
            await client.send_raw(CREATE)
            if point not in BEFORE_ANSWER:
                await api.held.reach(1)
                assert await is_alive(program)
                api.first.set()
                if point not in ON_ANSWER:
                    assert await is_alive(program)
                    api.rest.set()
            told = await everything(client)
        await program.died_at(point)
        await api.all_ended()
        reached = [bytes(data) for data in api.received[before:] if not data.startswith(b"GET")]
        assert reached == ([] if left.sent is None else [left.sent])
        assert states(tmp_path / "gateway.db") == ["created", *([] if left.state is None else [left.state])]
        assert told.endswith(left.told)
        assert bool(told) == bool(left.told)
        assert len(told) == 1 or not told.endswith(b"H")
    await met_again(left, api, tmp_path)


async def met_again(left: Left, api: HeldApi, directory: Path) -> None:
    """Send the create once more to a gateway on the same store, and see that it goes to the API only if it was free."""
    api.holds = False
    before = len(api.received)
    async with GatewayProgram(directory, rules(api.port, forwarding=UNMARKED)) as program:
        async with Client(program.port) as client:
            await client.send_raw(CREATE)
            answer = await client.read_response("POST")
            assert (answer.slug or answer.status) == left.again
        await program.stop()
    assert len(api.received) == before + (left.again == 201)


async def test_creates_are_counted_one_by_one_however_many_a_commit_holds(api: HeldApi, tmp_path: Path) -> None:
    """With nine creates in flight at once the process lives; it dies with the tenth."""
    api.holds = True
    async with armed(tmp_path, api, "after-claim-committed:10") as program, contextlib.AsyncExitStack() as stack:
        for number in range(9):
            client = await stack.enter_async_context(Client(program.port))
            await client.send_raw(create_bytes(f"{number}@example.org"))
        await api.held.reach(9)
        assert await is_alive(program)
        last = await stack.enter_async_context(Client(program.port))
        await last.send_raw(CREATE)
        assert await everything(last) == b""
        await program.died_at("after-claim-committed")
        await api.all_ended()
    assert states(tmp_path / "gateway.db") == ["in_flight"] * 10


@pytest.mark.parametrize(
    "value",
    ["", "before-lunch", "after-claim-queued:", "after-claim-queued:0", "after-claim-queued:-1", "CLAIM-QUEUED"],
)
async def test_a_point_that_is_none_is_refused_with_all_names(api: HeldApi, tmp_path: Path, value: str) -> None:
    """And an empty one is none at all."""
    program = armed(tmp_path, api, value)
    if not value:
        async with program:
            assert await is_alive(program)
        return
    with pytest.raises(StartError) as failure:
        await program.start()
    assert failure.value.code == 1
    assert repr(value) in failure.value.output
    assert all(point in failure.value.output for point in POINTS)
