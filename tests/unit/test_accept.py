# What accepts connections, by itself: which failures it says, and what it leaves to others. On the loop of the program.

import asyncio
import errno
import io
import json
import math
import os
import socket
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from typing_extensions import override

from gateway.process.accept import PAUSE, Acceptor
from gateway.telemetry import Telemetry
from tests.support.tally import Tally


class Listener(socket.socket):
    """Listens on a port of the system's choice; `failures` are what its first attempts to accept come to."""

    __slots__ = ("attempts", "failures")

    def __init__(self, failures: Iterable[int] = ()) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.failures = list(failures)
        self.attempts: Tally[int] = Tally()
        self.bind(("127.0.0.1", 0))
        self.listen(1000)

    @override
    def accept(self) -> Any:
        self.attempts.add(len(self.attempts))
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


class Made(asyncio.Protocol):
    """The server's side of a connection, which closes when its client does."""

    def __init__(self, made: Tally[asyncio.BaseTransport]) -> None:
        self._made = made

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.add(transport)


class Accepting:
    """An acceptor on one listener, what it said and the connections it made; use it with `async with`."""

    def __init__(self, failures: Iterable[int] = (), clients: int = 1, descriptors: int | None = None) -> None:
        """`descriptors`: how many there are below the ceiling."""
        self._failures = failures
        self._count = clients
        self._descriptors = descriptors

    async def __aenter__(self) -> "Accepting":
        self._log = io.StringIO()
        self.made: Tally[asyncio.BaseTransport] = Tally()
        self.listener = Listener(self._failures)
        self._clients = [socket.create_connection(self.listener.getsockname()) for _ in range(self._count)]
        ceiling = math.inf if self._descriptors is None else free_descriptors()[self._descriptors]
        telemetry = Telemetry(self._log, style="json")
        self.acceptor = Acceptor([self.listener], lambda: Made(self.made), telemetry, ceiling)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.acceptor.close()
        for connection in self.made:
            connection.close()
        for client in self._clients:
            client.close()
        await asyncio.sleep(0)

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


def free_descriptors() -> list[int]:
    """The descriptors that this process would get next."""
    taken = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    return sorted(set(range(1000)) - taken)


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ETIMEDOUT])
def test_a_connection_that_failed_by_itself_is_nothing_to_say(number: int) -> None:
    async def test() -> None:
        async with Accepting([number] * 3) as accepting:
            await accepting.made.reach(1)
            assert accepting.said() == []

    run(test())


@pytest.mark.parametrize(
    ("number", "name", "advice"),
    [
        (errno.EMFILE, "EMFILE", "ulimit -Hn"),
        (errno.ENFILE, "ENFILE", "fs.file-max"),
        (errno.ENOBUFS, "ENOBUFS", "memory"),
        (errno.ENOMEM, "ENOMEM", "memory"),
        (errno.EPERM, "EPERM", "wait"),
    ],
)
def test_what_concerns_all_connections_is_said_and_they_are_accepted_later(number: int, name: str, advice: str) -> None:
    async def test() -> None:
        async with Accepting([number] * 3, clients=5) as accepting:
            await accepting.made.reach(5)
            (line,) = accepting.said()
            assert (line["event"], line["level"], line["reason"]) == ("accept-failed", "error", name)
            assert advice in line["note"]
            assert len(accepting.listener.attempts) >= 8

    run(test())


def test_descriptors_from_the_ceiling_on_are_left_to_others() -> None:
    """Also when gaps come up below it, again and again."""

    async def test() -> None:
        async with Accepting(clients=40, descriptors=3) as accepting:
            attempts = accepting.listener.attempts
            for gone in range(20):
                await accepting.made.reach(3 + gone)
                await asyncio.sleep(2 * PAUSE)  # what must not happen would happen by then
                assert (len(accepting.made), len(attempts)) == (3 + gone, 3 + gone)
                accepting.made[gone].close()
            (line,) = accepting.said()
            assert (line["event"], line["reason"]) == ("accept-failed", "EMFILE")

    run(test())


def test_a_storm_of_connections_leaves_turns_to_others() -> None:
    async def test() -> None:
        async with Accepting(clients=50) as accepting:
            before = 0
            while len(accepting.made) < 50:
                await asyncio.sleep(0)
                assert len(accepting.listener.attempts) - before <= 1
                before = len(accepting.listener.attempts)

    run(test())


def test_what_was_accepted_before_the_end_is_the_server_s() -> None:
    async def test() -> None:
        async with Accepting(clients=3) as accepting:
            await accepting.listener.attempts.reach(3)
            await accepting.acceptor.close()
            assert len(accepting.made) == 3
            assert accepting.listener.fileno() == -1

    run(test())


def test_a_pause_ends_with_the_acceptor() -> None:
    async def test() -> None:
        async with Accepting([errno.EMFILE] * 100) as accepting:
            await accepting.listener.attempts.reach(1)
            await accepting.acceptor.close()
            await asyncio.sleep(2 * PAUSE)  # what must not happen would happen by then
            assert len(accepting.listener.attempts) == 1

    run(test())


def test_small_answers_are_not_held_back() -> None:
    """Nagle's algorithm would keep the end of an answer for as long as the client delays its acknowledgement."""

    async def test() -> None:
        async with Accepting() as accepting:
            await accepting.made.reach(1)
            connected = accepting.made[0].get_extra_info("socket")
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(test())
