# Accepts connections. One for which there is no file descriptor waits in the kernel's backlog until there is one.
#
# The event loop's own servers close such a connection at once, and say nothing of it.

import asyncio
import errno
import math
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from typing_extensions import override

from gateway.front.server import DownstreamServer
from gateway.telemetry import Telemetry

PAUSE = 0.05
"""Seconds until the next attempt when the kernel cannot hand out a connection."""
_WATCHED = 16
"""Within so many descriptors of the ceiling, and for as many connections after that, it is found out before each
connection which descriptor it would get: the lowest one that is free may be a gap below many that are taken."""

_LIMIT = "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower server.max_connections"
_MEMORY = "the kernel is short of memory for sockets: give the machine more, or lower server.max_connections"
_NOTES = {
    errno.EMFILE: _LIMIT,
    errno.ENFILE: "raise the machine's limit of open files (fs.file-max), or lower server.max_connections",
    errno.ENOBUFS: _MEMORY,
    errno.ENOMEM: _MEMORY,
}
_OF_ONE_CONNECTION = frozenset({
    errno.ECONNABORTED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOPROTOOPT,
    errno.EOPNOTSUPP, errno.EPROTO, errno.ETIMEDOUT,
})  # fmt: skip
"""What accept(2) reports of a connection that has failed before it was accepted; the next one is not concerned."""


class Acceptor:
    """Accepts connections from listening sockets, and closes them at the end.

    Mutable state: the connections that are being set up; the listeners that pause, each with its timer; how many of the
    next connections are watched.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        server: Callable[[], asyncio.BaseProtocol],
        telemetry: Telemetry,
        ceiling: float = math.inf,
    ) -> None:
        """`server` makes the protocol of a new connection. The loop must be running.

        The kernel always gives the lowest descriptor that is free. From `ceiling` on they are not for connections that
        are accepted here.
        """
        self._listeners = listeners
        self._server: Callable[[], Any] = server
        self._telemetry = telemetry
        self._ceiling = ceiling
        self._watched = 0
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        for listener in listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._listeners)} listeners, {len(self._pauses)} pausing)"

    async def close(self) -> None:
        """Stop accepting. Connections that were accepted are the server's when this returns."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for timer in self._pauses.values():
            timer.cancel()
        self._listeners, self._pauses = (), {}
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Accept one connection: what others have sent is read before the next one, which may cost an idle one."""
        try:
            if self._watched:
                self._require_descriptor(listener)
            client, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _OF_ONE_CONNECTION:
                self._pause(listener, error)
            return
        self._watched = _WATCHED if client.fileno() >= self._ceiling - _WATCHED else max(self._watched - 1, 0)
        if not self._has_space():
            client.close()
            return
        task = self._loop.create_task(self._connect(client), name="accepted")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _require_descriptor(self, listener: socket.socket) -> None:
        """Raise OSError when a connection would get no descriptor below the ceiling."""
        lowest = os.dup(listener.fileno())
        os.close(lowest)
        if lowest >= self._ceiling:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _has_space(self) -> bool:
        """Whether one more connection may be set up; the server itself may refuse it after that."""
        return True

    async def _connect(self, client: socket.socket) -> None:
        try:
            await self._set_up(client)
        except OSError:  # it has been lost, or its handshake has failed: ssl.SSLError is an OSError
            client.close()

    def _set_up(self, client: socket.socket) -> Awaitable[object]:
        return self._loop.connect_accepted_socket(self._server, client)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        number = error.errno or 0
        self._telemetry.repeated(
            "accept-failed",
            "error",
            reason=errno.errorcode.get(number, str(error)),
            note=_NOTES.get(number, "connections wait in the backlog meanwhile"),
        )
        self._loop.remove_reader(listener)
        self._pauses[listener] = self._loop.call_later(PAUSE, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._pauses[listener]
        self._loop.add_reader(listener, self._accept, listener)


class TlsAcceptor(Acceptor):
    """Accepts TLS connections. A connection counts from the start of its handshake.

    The event loop reports a connection only after the handshake, so clients that connect and send nothing would not be
    counted.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        front: DownstreamServer,
        telemetry: Telemetry,
        ceiling: float,
        context: ssl.SSLContext,
    ) -> None:
        super().__init__(listeners, front, telemetry, ceiling)
        self._front = front
        self._context = context

    @override
    async def close(self) -> None:
        """Stop accepting, and end handshakes that are not over: no request has come on these connections yet."""
        for handshake in self._connecting:
            handshake.cancel()
        await super().close()

    @override
    def _has_space(self) -> bool:
        return self._front.has_space(len(self._connecting))

    @override
    def _set_up(self, client: socket.socket) -> Awaitable[object]:
        return self._loop.connect_accepted_socket(
            self._server, client, ssl=self._context, ssl_handshake_timeout=self._front.limits.head_timeout
        )
