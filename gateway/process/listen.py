# Binds the listening sockets, and removes unix sockets at the end.

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.config.endpoints import TcpAddress, UnixAddress, parse_listen
from gateway.errors import GatewayError

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted."""


class ListenError(GatewayError):
    """An address cannot be listened on."""


class Listeners(msgspec.Struct, frozen=True):
    """Listening sockets."""

    sockets: Sequence[socket.socket]
    address: str
    """Where: every inherited socket, or the first address of a host; "off" for none."""
    path: str | None = None
    """The file of a unix socket that this process made."""

    def remove_file(self) -> None:
        """Remove the file of a unix socket, if this process made it."""
        if self.path is not None:
            Path(self.path).unlink(missing_ok=True)


async def listen(key: str, address: str, inherited: Sequence[socket.socket]) -> Listeners:
    """Listen on the address that the rules file has at `key`, unless it is "off". Raises ListenError.

    Sockets that were `inherited` are used in place of it. They outlive this process: connections that arrive after it
    has stopped wait in their backlog for the next one.
    """
    try:
        if inherited:
            for listener in inherited:
                listener.listen(BACKLOG)
            return Listeners(inherited, ", ".join([_name(listener) for listener in inherited]))
        if address == "off":
            return Listeners((), address)
        parsed = parse_listen(address)
        if isinstance(parsed, UnixAddress):
            return Listeners([_unix_listener(parsed.path)], address, parsed.path)
        listeners = await _tcp_listeners(parsed)
    except OSError as error:
        raise ListenError(f"{key}: cannot listen on {address}: {error.strerror or error}") from error
    return Listeners(listeners, _name(listeners[0]))


async def _tcp_listeners(address: TcpAddress) -> list[socket.socket]:
    """Listen on every address of a host, but for those of a family that this machine lacks. Raises OSError."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, _, _, _, place in dict.fromkeys(places):
            try:
                listeners.append(socket.create_server((str(place[0]), int(place[1])), family=family, backlog=BACKLOG))
            except OSError as error:
                if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                    raise
                lacking = error
        if not listeners and lacking is not None:
            raise lacking
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _unix_listener(path: str) -> socket.socket:
    """Listen on a unix socket, replacing a stale one. Raises OSError."""
    _require_unused(path)
    if Path(path).is_socket():
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _name(listener: socket.socket) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        # A name in the abstract namespace begins with a zero byte, for which "@" is written.
        return f"unix:{name if isinstance(name, str) else name.decode(errors='replace').replace(chr(0), '@')}"
    return str(TcpAddress(name[0], name[1]))


def _require_unused(path: str) -> None:
    """Raise OSError when a process listens on a unix socket, which would be replaced.

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
