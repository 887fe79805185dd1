# Each crash point, seen from outside: what the API got, what the store's file holds, what the client got, and what
# becomes of the same create afterwards.

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.crash.chain import ArmedProgram
from gateway.process.crash import POINTS
from tests.support.client import Client, create_bytes, request_bytes
from tests.support.program import UNMARKED, GatewayProgram, StartError, rules
from tests.support.tally import PATIENCE, Tally

CREATE = create_bytes("grace@example.org")
BODY = b'{"id": 17}'
ANSWER = b"HTTP/1.1 201 Created\r\nLocation: /users/17\r\nContent-Length: 10\r\nConnection: close\r\n\r\n" + BODY


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


class Api:
    """An API that answers each request over a connection of its own, and a held one byte by byte, as it is told."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        """All that came, by connection."""
        self.ended: Tally[int] = Tally()
        self.held: Tally[bytes] = Tally()
        """Requests that came whole while `holds` said that they wait."""
        self.holds = False
        self.first, self.rest = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        number = len(self.received)
        self.received.append(received)
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
                if self.is_whole(received):
                    await self.answer(received, writer)
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.add(number)

    @staticmethod
    def is_whole(received: bytearray) -> bool:
        head, found, body = bytes(received).partition(b"\r\n\r\n")
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        return bool(found) and len(body) == int(length or 0)

    async def answer(self, received: bytearray, writer: asyncio.StreamWriter) -> None:
        if self.holds and received.startswith(b"POST"):
            self.held.add(bytes(received))
            await self.first.wait()
            writer.write(ANSWER[:1])
            await self.rest.wait()
            writer.write(ANSWER[1:])
        else:
            writer.write(ANSWER)

    async def all_ended(self) -> None:
        """Wait until whatever was connected before now has ended."""
        self.first.set()
        self.rest.set()
        known = len(self.received)
        async with Client(self.port) as last:  # connections are accepted in their order
            await last.request("GET", "/last")
        await self.ended.reach(known + 1)

    async def __aenter__(self) -> "Api":
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Api() as server:
        yield server


def armed(directory: Path, api: Api, crash_at: str) -> ArmedProgram:
    return ArmedProgram(directory, rules(api.port, forwarding=UNMARKED), crash_at)


async def is_alive(program: GatewayProgram) -> bool:
    async with Client(program.port) as client:
        return (await client.request("GET", "/users")).status == 201


async def everything(client: Client) -> bytes:
    """All that a client gets until its connection ends, however it ends."""
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while piece := await client.reader.read(65536):
                received += piece
    return received


def states(file: Path) -> list[str]:
    """The states of what a dead gateway left in its store, in the order in which it was claimed."""
    names = {1: "in_flight", 2: "created", 3: "unknown"}
    with contextlib.closing(sqlite3.connect(file)) as database:
        both = "SELECT state, first_seen FROM claims UNION ALL SELECT 1, first_seen FROM in_flight"
        rows = database.execute(f"SELECT state FROM ({both}) ORDER BY first_seen, state DESC").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return [names[state] for (state,) in rows]


def test_every_point_is_looked_at() -> None:
    assert tuple(LEFT) == POINTS


@pytest.mark.parametrize("point", LEFT)
async def test_the_process_dies_just_there(point: str, api: Api, tmp_path: Path) -> None:
    """With POINT:2 neither the first create nor what no rule guards is the death of it; the second create is."""
    left = LEFT[point]
    async with armed(tmp_path, api, f"{point}:2") as program:
        async with Client(program.port) as client:
            await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).status == 201
            await client.send_raw(request_bytes("POST", "/unguarded", body=b"{}"))
            assert (await client.read_response("POST")).status == 201
        await api.all_ended()
        api.first.clear()
        api.rest.clear()
        api.holds = True
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


async def met_again(left: Left, api: Api, directory: Path) -> None:
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


async def test_creates_are_counted_one_by_one_however_many_a_commit_holds(api: Api, tmp_path: Path) -> None:
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
async def test_a_point_that_is_none_is_refused_with_all_names(api: Api, tmp_path: Path, value: str) -> None:
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
