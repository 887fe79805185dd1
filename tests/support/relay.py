# A relay in front of a Valkey server that can hold back what passes, or cut it off. It tells by what they say first
# whether a replica, a Sentinel or anybody else is at the other end. Runs in the test's own loop.

import asyncio
import socket
import struct
from types import TracebackType
from typing import Literal, Self, cast

Who = Literal["client", "replica", "sentinel"]
_REPLICA, _SENTINEL = (b"REPLCONF", b"PSYNC"), b"sentinel-"
_PING = b"*1\r\n$4\r\nPING\r\n"
"""What a replica says first, and others say too."""


class _End(asyncio.Protocol):
    """One end of a connection; what comes from it is passed to the other."""

    def __init__(self, pair: "_Pair") -> None:
        self._pair = pair
        self.transport: asyncio.Transport | None = None
        self.held: list[bytes] = []
        """What this end has yet to be given."""
        self.is_over = False
        """Whether nothing more comes from it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._pair.pass_on()

    def data_received(self, data: bytes) -> None:
        self._pair.took(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True
        self._pair.pass_on()

    def give(self) -> None:
        """Write what was held."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.writelines(self.held)
            self.held = []

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """End the connection with RST."""
        if self.transport is not None and not self.transport.is_closing():
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


class _Pair:
    """A connection from somebody to the server."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self.who: Who | None = None
        """None as long as nobody can know."""
        self.is_late = False
        self.near, self.far = _End(self), _End(self)

    async def connect(self, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.far, "127.0.0.1", port)
        except OSError:
            self.reset()

    def took(self, end: _End, data: bytes) -> None:
        if end is self.near and self.who in {None, "client"}:
            self._see(data)
        (self.far if end is self.near else self.near).held.append(data)
        self.pass_on()

    def _see(self, data: bytes) -> None:
        if any(word in data for word in _REPLICA):
            self.who = "replica"
        elif _SENTINEL in data:
            self.who = "sentinel"
        elif data != _PING:
            self.who = "client"

    def pass_on(self) -> None:
        """Pass on what may pass; an end only after what came before it."""
        if self.who in self._relay.cut_off:
            self.reset()
        if self.who in self._relay.stalled or self.is_late:
            return
        self.far.give()
        if self.far.is_over and self.who in self._relay.lagging:
            self.near.held = []  # the server is dead: nobody has it any more
        elif self.who not in self._relay.lagging:
            self.near.give()
        if self.near.is_over or self.far.is_over:
            self.near.leave()
            self.far.leave()
            self._relay.pairs.discard(self)

    def reset(self) -> None:
        self.near.held, self.far.held = [], []
        self.near.reset()
        self.far.reset()
        self._relay.pairs.discard(self)


class Relay:
    """Use it with `async with`. Mutable state: the connections, and what is done to which of them."""

    def __init__(self, target: int) -> None:
        """`target` is the server's port."""
        self._target = target
        self.pairs: set[_Pair] = set()
        self.stalled: frozenset[Who] = frozenset()
        """Whose bytes are held, both ways, and passed on later, even those of a connection that was given up."""
        self.cut_off: frozenset[Who] = frozenset()
        """Whose connections are reset, also new ones."""
        self.lagging: frozenset[Who] = frozenset()
        """Who gets nothing from the server for now; what is held is lost when the server dies."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._server.close()
        for pair in [*self.pairs]:
            pair.reset()
        await asyncio.gather(*self._tasks)

    def change(
        self, *, stalled: set[Who] | None = None, cut_off: set[Who] | None = None, lagging: set[Who] | None = None
    ) -> None:
        """Do this from now on, and nothing else."""
        self.stalled, self.cut_off, self.lagging = map(frozenset, (stalled or (), cut_off or (), lagging or ()))
        for pair in [*self.pairs]:
            pair.pass_on()

    async def until_lost(self) -> None:
        """Return once all connections that lag have seen that the server is dead: what they held is lost then."""
        late = {pair for pair in self.pairs if pair.who in self.lagging}
        while late & self.pairs:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def hold(self, *, is_late: bool) -> None:
        """Go on to hold what comes from the connections that there are, whatever is done to others; or not any more."""
        for pair in [*self.pairs]:
            pair.is_late = is_late
            pair.pass_on()

    def _accept(self) -> _End:
        pair = _Pair(self)
        self.pairs.add(pair)
        task = asyncio.get_running_loop().create_task(pair.connect(self._target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return pair.near
