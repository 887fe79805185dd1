# Binds the listening sockets, and removes unix sockets at the end.

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from gateway.config.endpoints import TcpAddress, UnixAddress, parse_listen
from gateway.config.schema import ServerConfig
from gateway.errors import GatewayError
from gateway.front.server import DownstreamServer
from gateway.process.admin.listener import Admin
from gateway.tls.server import ListenerTls

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted."""
_RETRY_DELAY = 0.05
"""Seconds until the next attempt when a connection cannot be accepted."""


class ListenError(GatewayError):
    """An address cannot be listened on."""


class Listening(Protocol):
    """Accepts connections."""

    def close(self) -> None:
        """Stop accepting."""


async def bind(
    front: DownstreamServer, config: ServerConfig, tls: ListenerTls | None, inherited: Sequence[socket.socket]
) -> tuple[Listening, str]:
    """Listen for clients; also returns the bound address. Raises ListenError.

    Sockets that were `inherited` are used in place of `config.listen`. They outlive this process: connections that
    arrive after it has stopped wait in their backlog for the next one.
    """
    loop = asyncio.get_running_loop()
    address = parse_listen(config.listen)
    try:
        if inherited:
            where = ", ".join([_bound(listener) for listener in inherited])
            if tls is not None:
                return TlsListener(inherited, front, tls.context), where
            return MultiListener([await _serve(front, listener) for listener in inherited]), where
        if isinstance(address, UnixAddress):
            _require_unused(address.path)
            if tls is None:
                return await loop.create_unix_server(front, address.path, backlog=BACKLOG), config.listen
            return TlsListener([_unix_listener(address.path)], front, tls.context), config.listen
        if tls is None:
            server = await loop.create_server(front, address.host, address.port, backlog=BACKLOG, reuse_address=True)
            return server, _bound(server.sockets[0])
        listeners = await _tcp_listeners(address)
        return TlsListener(listeners, front, tls.context), _bound(listeners[0])
    except OSError as error:
        raise ListenError(f"server.listen: cannot listen on {config.listen}: {error.strerror or error}") from error


async def _serve(front: DownstreamServer, listener: socket.socket) -> Listening:
    loop = asyncio.get_running_loop()
    if listener.family == socket.AF_UNIX:
        return await loop.create_unix_server(front, sock=listener, backlog=BACKLOG)
    return await loop.create_server(front, sock=listener, backlog=BACKLOG)


class MultiListener(Listening):
    """Accepts connections from more than one listener."""

    def __init__(self, listeners: Sequence[Listening]) -> None:
        self._listeners = listeners

    def __repr__(self) -> str:
        return f"MultiListener({len(self._listeners)})"

    @override
    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


class TlsListener(Listening):
    """Accepts TLS connections. A connection counts from the start of its handshake.

    The event loop's own server reports a connection only after the handshake, so clients that connect and send nothing
    would not be counted. Mutable state: the handshakes in progress.
    """

    def __init__(self, listeners: Sequence[socket.socket], front: DownstreamServer, context: ssl.SSLContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._front = front
        self._context = context
        self._handshakes: set[asyncio.Task[None]] = set()
        self._acceptors = [self._loop.create_task(self._accept(each), name="tls-listener") for each in listeners]

    def __repr__(self) -> str:
        return f"TlsListener({len(self._handshakes)} handshakes)"

    @override
    def close(self) -> None:
        for task in (*self._acceptors, *self._handshakes):
            task.cancel()
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            try:
                client, _ = await self._loop.sock_accept(listener)
            except OSError:  # out of file descriptors, or the client has disconnected
                await asyncio.sleep(_RETRY_DELAY)
                continue
            if not self._front.has_space(len(self._handshakes)):
                client.close()
                continue
            task = self._loop.create_task(self._handshake(client), name="tls-handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, client: socket.socket) -> None:
        client.setblocking(False)
        with contextlib.suppress(OSError, TimeoutError):  # ssl.SSLError is an OSError
            await self._loop.connect_accepted_socket(
                self._front, client, ssl=self._context, ssl_handshake_timeout=self._front.limits.head_timeout
            )


async def start_admin(admin: Admin, listen: str, inherited: Sequence[socket.socket]) -> str:
    """Start the admin listener, unless it is "off"; returns the bound address. Raises ListenError.

    Sockets that were `inherited` are used in place of `listen`.
    """
    if inherited:
        await admin.start_on(inherited)
        return ", ".join([_bound(listener) for listener in inherited])
    if listen == "off":
        return "off"
    address = parse_listen(listen)
    try:
        if isinstance(address, UnixAddress):
            _require_unused(address.path)
        return await admin.start(address)
    except OSError as error:
        raise ListenError(f"admin.listen: cannot listen on {listen}: {error.strerror or error}") from error


def remove_socket(listen: str, inherited: Sequence[socket.socket]) -> None:
    """Remove the file of a unix socket that this process listened on, unless it was `inherited`."""
    address = None if inherited or listen == "off" else parse_listen(listen)
    if isinstance(address, UnixAddress):
        Path(address.path).unlink(missing_ok=True)


async def _tcp_listeners(address: TcpAddress) -> list[socket.socket]:
    """Listen on every address of a host. Raises OSError."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [
        socket.create_server((str(place[0]), int(place[1])), family=family, backlog=BACKLOG)
        for family, _, _, _, place in dict.fromkeys(places)
    ]


def _unix_listener(path: str) -> socket.socket:
    """Listen on a unix socket, replacing a stale one. Raises OSError."""
    if Path(path).is_socket():
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(BACKLOG)
    return listener


def _bound(listener: Any) -> str:
    bound = listener.getsockname()
    if isinstance(bound, str):
        return f"unix:{bound}"
    return str(TcpAddress(bound[0], bound[1]))


def _require_unused(path: str) -> None:
    """Raise OSError when a process listens on a unix socket: the event loop would replace the socket.

    A socket without a listener was left by a gateway that was killed, and may be replaced.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # its backlog is full, so a process listens
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
