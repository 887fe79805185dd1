# How a gateway learns that an operation of another one has ended: by a message of the server, and by looking, time
# after time, where it gets none.
#
# Who waits marks the claim, and who ends a marked claim has the server tell all gateways: where nobody waits, nothing
# is sent. A message is a hint only. It may be lost with its connection, and so a look is due all the same, but seldom.

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

from gateway.errors import StoreError

FIRST_LOOK, LATER_LOOK = 0.03, 0.25
"""Seconds until the first look, and between later ones, while no messages come."""
LOOK_WHILE_HEARING = 1.0
"""Seconds between two looks while they do."""
_CONNECT_AGAIN, _TRY_AGAIN = 0.5, 60.0
"""Seconds until the next attempt to hear: after a connection has broken, and where no messages can be had."""

Flight = tuple[bytes, bytes]
"""A fingerprint that is held in flight, and the token of its owner."""
Hear = Callable[[], AsyncGenerator[bytes, None]]
"""Connects, yields nothing (b"") once messages come, and then the owner token of each operation that has ended."""
Look = Callable[[Sequence[Flight], bool], Awaitable[Mapping[bytes, bool]]]
"""Which owners hold their claims in flight, and whether these are marked; with True, they should be.

Raises StoreError.
"""


class CannotHear(Exception):
    """No messages can be had; the text says why."""


class _Wait:
    __slots__ = ("has_ended", "turn")

    def __init__(self) -> None:
        self.has_ended = False
        self.turn = asyncio.Event()
        """Set when that is so, and when messages come, or no longer do."""


class Endings:
    """Waits for the ends of other gateways' operations. Does nothing before the first wait.

    Mutable state: the waits by owner token; the task that hears, and which connection it hears on; the looks that are
    asked for, and the task that takes them.
    """

    def __init__(
        self, hear: Hear, look: Look, failures: tuple[type[Exception], ...], told: Callable[[str], None]
    ) -> None:
        """`failures` are what a connection fails with; `told` hears, once, why no messages can be had."""
        self._hear = hear
        self._look = look
        self._failures = failures
        self._told = told
        self._waiting: dict[bytes, _Wait] = {}
        self._is_wanted = asyncio.Event()
        self._hearing: asyncio.Task[None] | None = None
        self._deafening = asyncio.timeout(None)
        self._connections = 0
        self._connection: int | None = None
        self._has_told = False
        self._asked: list[tuple[Flight, asyncio.Future[bool | None]]] = []
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Endings({len(self._waiting)} waits, connection {self._connection})"

    async def wait(self, fingerprint: bytes, owner: bytes) -> None:
        """Return once an operation may have ended that holds a claim in flight."""
        wait = self._waiting[owner] = _Wait()
        self._is_wanted.set()
        if self._hearing is None:
            self._hearing = asyncio.get_running_loop().create_task(self._keep_hearing(), name="store-endings")
        try:
            await self._wait((fingerprint, owner), wait)
        finally:
            if self._waiting.get(owner) is wait:
                del self._waiting[owner]
            if not self._waiting:
                self._is_wanted.clear()

    async def close(self) -> None:
        """Break everything off."""
        tasks = [task for task in (self._hearing, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _wait(self, flight: Flight, wait: _Wait) -> None:
        pause, is_first = FIRST_LOOK, True
        told_on: int | None = None  # the connection on which the end is told, once the claim is marked
        while not wait.has_ended:
            wait.turn.clear()
            connection = self._connection
            if connection is not None or not is_first:
                try:
                    is_marked = await self._look_soon(flight)
                except StoreError:
                    is_marked = False
                if is_marked is None:
                    if told_on is not None and told_on == self._connection:
                        self._turn(None)
                        self._deafening.reschedule(0)  # it has ended, and nobody said so
                    return
                told_on = connection if is_marked else None
            is_first = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if told_on is None else LOOK_WHILE_HEARING):
                    await wait.turn.wait()
            pause = LATER_LOOK

    # Hearing

    async def _keep_hearing(self) -> None:
        while True:
            await self._is_wanted.wait()
            rest = _CONNECT_AGAIN
            try:
                async with asyncio.timeout(None) as self._deafening, contextlib.aclosing(self._hear()) as heard:
                    async for owner in heard:
                        if owner:
                            self._note_end(owner)
                        else:
                            self._connections += 1
                            self._turn(self._connections)
            except CannotHear as error:
                rest = _TRY_AGAIN
                self._tell_once(str(error))
            except self._failures:
                pass
            except Exception as error:  # noqa: BLE001 those that wait must look from now on
                rest = _TRY_AGAIN
                self._tell_once(f"unexpected {type(error).__name__}")
            self._turn(None)
            await asyncio.sleep(rest)

    def _note_end(self, owner: bytes) -> None:
        wait = self._waiting.get(owner)
        if wait is not None:
            wait.has_ended = True
            wait.turn.set()

    def _turn(self, connection: int | None) -> None:
        self._connection = connection
        for wait in self._waiting.values():
            wait.turn.set()

    def _tell_once(self, why: str) -> None:
        if not self._has_told:
            self._has_told = True
            self._told(why)

    # Looking

    async def _look_soon(self, flight: Flight) -> bool | None:
        """Look together with all others that want to by then; whether it is marked, None where it is not in flight."""
        found: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._asked.append((flight, found))
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._take_looks(), name="store-looks")
        return await found

    async def _take_looks(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                wanted = [(flight, found) for flight, found in asked if not found.done()]
                try:
                    in_flight = await self._look([flight for flight, _ in wanted], self._connection is not None)
                except StoreError as error:
                    for _, found in wanted:
                        if not found.done():
                            found.set_exception(StoreError(str(error)))
                else:
                    for (_, owner), found in wanted:
                        if not found.done():
                            found.set_result(in_flight.get(owner))
        finally:
            self._looking = None
