# Addresses to listen on: taken, and given back.

import asyncio
import errno
import os
import socket
from pathlib import Path

from gateway.admin.listener import Admin
from gateway.config.endpoints import TcpAddress, UnixAddress, parse_listen
from gateway.config.schema import ServerConfig
from gateway.errors import GatewayError
from gateway.front.house import Front
from gateway.front.tls import ListenerTls

BACKLOG = 4096
"""Connections that the kernel holds until they are taken."""


class ListenError(GatewayError):
    """An address cannot be listened on."""


async def bind(front: Front, config: ServerConfig, tls: ListenerTls | None) -> tuple[asyncio.Server, str]:
    """Listen for clients; gives the address that was bound, too. Raises ListenError."""
    loop = asyncio.get_running_loop()
    address = parse_listen(config.listen)
    context, handshake = (None, None) if tls is None else (tls.context, float(config.head_timeout))
    try:
        match address:
            case TcpAddress(host, port):
                server = await loop.create_server(
                    front,
                    host,
                    port,
                    backlog=BACKLOG,
                    reuse_address=True,
                    ssl=context,
                    ssl_handshake_timeout=handshake,
                )
                bound = server.sockets[0].getsockname()
                return server, str(TcpAddress(bound[0], bound[1]))
            case UnixAddress(path):
                _expect_nobody(path)
                server = await loop.create_unix_server(
                    front, path, backlog=BACKLOG, ssl=context, ssl_handshake_timeout=handshake
                )
                return server, config.listen
    except OSError as error:
        raise ListenError(f"server.listen: cannot listen on {config.listen}: {error.strerror or error}") from error


async def start_admin(admin: Admin, listen: str) -> str:
    """Listen for the operator, unless that is "off"; gives the address that was bound. Raises ListenError."""
    if listen == "off":
        return "off"
    address = parse_listen(listen)
    try:
        if isinstance(address, UnixAddress):
            _expect_nobody(address.path)
        return await admin.start(address)
    except OSError as error:
        raise ListenError(f"admin.listen: cannot listen on {listen}: {error.strerror or error}") from error


def remove_socket(listen: str) -> None:
    """Remove the file of a unix socket that is listened on no more."""
    address = None if listen == "off" else parse_listen(listen)
    if isinstance(address, UnixAddress):
        Path(address.path).unlink(missing_ok=True)


def _expect_nobody(path: str) -> None:
    """Raise OSError when somebody serves on a unix socket: the event loop would take it away from them.

    A socket that nobody serves on was left behind by a gateway that was killed, and may be replaced.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # its backlog is full: somebody serves
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
