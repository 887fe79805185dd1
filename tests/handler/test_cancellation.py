# A create is cancelled at each place where it waits, on each way that it can take: its claims end up settled by what is
# certain, or held by somebody who goes on trying to settle them.

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.schema_authorize import AuthorizeConfig
from gateway.model import Record, State
from gateway.stores.base import Store
from gateway.stores.sqlite import SqliteStore
from tests.handler.cancelling import (
    KINDS,
    Scenario,
    as_an_upload,
    by_id,
    cancelled_everywhere,
    entries,
    opened,
    tell,
    when_told,
)
from tests.support.behaviours import answer, broken_body, close_without_answer, streamed
from tests.support.handler import NOW
from tests.support.tally import PATIENCE
from tests.support.upstream import Call, RawUpstream, refused_port

pytestmark = pytest.mark.slow

LENGTH = 200_000
TURNS = 10
"""Of the loop, in which the gateway has seen what was sent to it."""
BOTH = entries("body.email", "body.username")
LINK = "/users/{body.id}"


def in_pieces(status: int = 201, *, pad: bytes = b"") -> Callable[[Call], Awaitable[None]]:
    """Answer so that there is something to wait for everywhere."""
    body = (b"{", b'"pad": "%b",' % pad, b'"id"', b": 7}")
    head = b"HTTP/1.1 %d So\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def act(call: Call) -> None:
        for piece in (head % (status, sum(map(len, body))), *body):
            await call.send(piece)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    return act


SCENARIOS = [
    Scenario("a body that comes slowly, a link read from the answer", in_pieces(), 201, State.CREATED, BOTH, LINK),
    Scenario("an answer passed on as it comes", in_pieces(), 201, State.CREATED),
    Scenario(
        "a body held back until 100 Continue",
        answer(201),
        201,
        State.CREATED,
        entries("header.X-Number", "header.X-Same"),
        send=when_told,
    ),
    Scenario("a client that reads slowly", in_pieces(pad=b"x" * LENGTH), 201, State.CREATED, BOTH, LINK, is_slow=True),
    Scenario(
        "a client that reads slowly, an answer passed on as it comes",
        streamed(2 * LENGTH, [b"x" * LENGTH] * 2, 201),
        201,
        State.CREATED,
        is_slow=True,
    ),
    Scenario("an answer that breaks off", broken_body(), 201, State.CREATED, BOTH, LINK),
    Scenario("a key, and an answer that is stored", in_pieces(), 201, State.CREATED, BOTH, has_key=True),
    Scenario(
        "an answer that is created by its body", in_pieces(500), 500, State.CREATED, BOTH, outcome=by_id("created")
    ),
    Scenario("an answer that is refused by its body", in_pieces(500), 500, None, BOTH, outcome=by_id("refused")),
    Scenario(
        "asked about first",
        in_pieces(),
        201,
        State.CREATED,
        BOTH,
        LINK,
        authorize=AuthorizeConfig(path="/me", before="claim"),
    ),
    Scenario(
        "a body that goes to a file, and is sent from it",
        in_pieces(),
        201,
        State.CREATED,
        entries("form.email", "form.username"),
        LINK,
        send=as_an_upload,
        spools=True,
    ),
    Scenario("refused", answer(422), 422, None, BOTH),
    Scenario("failed", answer(500), 500, State.UNKNOWN, BOTH),
    Scenario("not answered", close_without_answer(), 502, State.UNKNOWN, BOTH),
]


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """Hold a port on which no connection is ever made: those that nobody accepts are as many as may wait."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("kind", "again"), KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_no_place_to_be_cancelled_leaves_a_claim_without_an_owner(
    scenario: Scenario,
    kind: str,
    again: bool,
    tmp_path: Path,
    upstream: RawUpstream,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with opened(kind, tmp_path) as store:
        became = await cancelled_everywhere(scenario, store, upstream, again=again)
    with capsys.disabled():
        sys.stdout.write(tell(kind, scenario, became, again=again))
    must = {None, State.UNKNOWN}
    if (
        kind != "memory" or scenario.resource or scenario.has_key
    ):  # there is something to wait for once the API has answered
        must.add(scenario.end)
    assert must <= set(became)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(("name", "status"), [("refused", 502), ("timed out", 504)])
async def test_nor_one_amid_a_connection_that_is_never_made(
    name: str, status: int, kind: str, tmp_path: Path, upstream: RawUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    with refused_port() if status == 502 else full_port() as port:
        scenario = Scenario(
            f"a connection that is {name}", answer(), status, None, BOTH, url=f"http://127.0.0.1:{port}"
        )
        async with opened(kind, tmp_path) as store:
            became = await cancelled_everywhere(scenario, store, upstream)
    with capsys.disabled():
        sys.stdout.write(tell(kind, scenario, became))
    assert set(became) == {None}, "no byte of it has left"


async def test_nor_one_on_the_way_without_a_guard(
    tmp_path: Path, upstream: RawUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store cannot write, and on_failure = "forward" says that creates pass all the same: nothing is claimed."""
    scenario = Scenario("forwarded without a guard", in_pieces(), 201, None, BOTH, on_failure="forward")
    async with opened("sqlite", tmp_path) as store:
        await write_protect(store, "ON")
        became = await cancelled_everywhere(scenario, store, upstream, settled=nothing_waits)
        await write_protect(store, "OFF")
    assert set(became) == {None}
    with capsys.disabled():
        sys.stdout.write(tell("sqlite", scenario, became))


async def test_a_claim_whose_end_cannot_be_written_is_held_until_it_is(
    tmp_path: Path, upstream: RawUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cancelled or not: the store has been told how it ended, and goes on trying."""
    held: list[Record] = []
    async with opened("sqlite", tmp_path) as store:

        async def break_the_store(call: Call) -> None:
            if call.request.method == "POST":
                await write_protect(store, "ON")
            await in_pieces()(call)

        async def mended() -> None:
            records = await store.scan(b"", 1000, NOW)
            held.extend(record for record in records if record.state is State.IN_FLIGHT)
            await write_protect(store, "OFF")
            async with asyncio.timeout(PATIENCE):
                while any(record.state is State.IN_FLIGHT for record in await store.scan(b"", 1000, NOW)):
                    await store.ping(NOW)

        scenario = Scenario("an end that cannot be written", break_the_store, 201, State.CREATED, BOTH, LINK)
        became = await cancelled_everywhere(scenario, store, upstream, settled=mended)
    with capsys.disabled():
        sys.stdout.write(tell("sqlite", scenario, became))
    assert held
    assert set(became) == {None, State.UNKNOWN, State.CREATED}


async def nothing_waits() -> None:
    """Nothing was claimed, so nothing is to be settled."""


async def write_protect(store: Store, value: str) -> None:
    """Have SQLite refuse to write, or let it."""
    assert isinstance(store, SqliteStore)
    await store._database.execute(f"PRAGMA query_only = {value}")
