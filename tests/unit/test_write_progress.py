# Whether a client takes its answer: what counts as progress, and when it is given up.

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.transport.write_progress import LEAST, has_progressed, wait_writable
from tests.support.tally import PATIENCE


@pytest.mark.parametrize(
    ("before", "taken", "expected"),
    [
        (10 * LEAST, LEAST, True),
        (10 * LEAST, LEAST - 1, False),
        (10 * LEAST, 0, False),
        (LEAST, LEAST, True),
        (100, 100, True),
        (100, 99, False),
        (0, 0, False),
    ],
)
def test_progress_is_so_many_bytes_or_all_that_is_left(before: int, taken: int, *, expected: bool) -> None:
    assert has_progressed(before, before - taken) is expected


class Writer(asyncio.Protocol):
    """Says when the transport takes more."""

    def __init__(self) -> None:
        self.writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self.writable.set_result(None)


@pytest.fixture
async def peer() -> AsyncIterator[tuple[asyncio.Transport, Writer, socket.socket]]:
    """A transport with more written than the sockets hold, and the socket of its peer."""
    own, other = socket.socketpair()
    transport, writer = await asyncio.get_running_loop().create_connection(Writer, sock=own)
    transport.write(b"x" * 2**20)
    yield transport, writer, other
    transport.abort()
    other.close()


async def test_a_peer_that_takes_a_few_bytes_is_given_up(
    peer: tuple[asyncio.Transport, Writer, socket.socket],
) -> None:
    """It goes on taking them: each of them would have been progress."""
    transport, writer, other = peer
    given_up = asyncio.Event()
    other.setblocking(False)

    async def drip() -> None:
        while not given_up.is_set():
            other.recv(1)
            await asyncio.sleep(0.01)

    def give_up() -> None:
        given_up.set()
        writer.writable.set_result(None)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(drip())
        await wait_writable(transport, writer.writable, 0.1, give_up)
    assert given_up.is_set()


async def test_a_peer_that_takes_enough_is_not_given_up(peer: tuple[asyncio.Transport, Writer, socket.socket]) -> None:
    """It takes longer than the timeout for all of it."""
    transport, writer, other = peer
    loop = asyncio.get_running_loop()
    other.setblocking(False)
    began = loop.time()

    async def read() -> None:
        while not writer.writable.done():
            await loop.sock_recv(other, 5 * LEAST)
            await asyncio.sleep(0.02)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        await wait_writable(transport, writer.writable, 0.5, lambda: pytest.fail("given up"))
    assert loop.time() - began > 0.5
