# The service manager: inherited listening sockets and status notifications. Without a manager this does nothing.
#
# Implements sd_listen_fds(3) and sd_notify(3), which other supervisors support too.

import contextlib
import os
import socket
import stat
import time
from collections.abc import Mapping, MutableMapping

from gateway.errors import GatewayError

_FIRST_DESCRIPTOR = 3
_NAMES = ("server", "admin")


class ActivationError(GatewayError):
    """The inherited sockets cannot be assigned to listeners, or are not listening sockets."""


def inherited_listeners(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """Take the inherited sockets (LISTEN_FDS) by name, "server" or "admin", and remove the variables.

    A single socket with another name, such as the default one, is the server's. Raises ActivationError.
    """
    process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdigit():
        return {}
    found: dict[str, list[socket.socket]] = {}
    for at in range(int(count)):
        name = names[at] if at < len(names) else ""
        if name not in _NAMES:
            if count != "1":
                raise ActivationError(
                    f"socket {at + 1} of {count} that were handed over is named {name!r}; "
                    "set FileDescriptorName= of its socket unit to server or admin"
                )
            name = "server"
        found.setdefault(name, []).append(_listener(_FIRST_DESCRIPTOR + at))
    return found


def _listener(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        listener = socket.socket(fileno=descriptor) if is_socket else None
        if (
            listener is not None
            and listener.type == socket.SOCK_STREAM
            and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            listener.setblocking(False)
            return listener
    except OSError as error:
        raise ActivationError(f"descriptor {descriptor} was announced by LISTEN_FDS: {error.strerror}") from error
    raise ActivationError(
        f"descriptor {descriptor}, announced by LISTEN_FDS, is no socket that listens for streams; "
        "its socket unit needs ListenStream= and Accept=no"
    )


class ServiceManager:
    """Sends notifications if the manager asked for them (NOTIFY_SOCKET). Failures to send are ignored.

    Mutable state: whether it was notified that we stop; then reloads are not reported any more.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if is_ours and self._address else ""
        self.watchdog = int(microseconds) / 1_000_000 if microseconds.isdigit() and int(microseconds) else None
        """The watchdog interval in seconds; None when there is no watchdog."""
        self._is_stopping = False

    def __repr__(self) -> str:
        return f"ServiceManager({self._address or 'none'})"

    def ready(self, status: str) -> None:
        """Report that we serve; `status` is a human-readable line."""
        if not self._is_stopping:
            self._notify(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Report that the rules file is being read again; `ready` follows."""
        if not self._is_stopping:
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """Report that we stop."""
        self._is_stopping = True
        self._notify(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Notify the watchdog."""
        self._notify("WATCHDOG=1")

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), address)


def serving(rules: int) -> str:
    """The human-readable status when all is well."""
    return f"serving with {rules} {'rule' if rules == 1 else 'rules'}"
