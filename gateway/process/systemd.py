# What the service manager gives and hears: sockets it listens on for us, and how we are. Without one nothing happens.
#
# The protocols of sd_listen_fds(3) and sd_notify(3), which other supervisors speak too.

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
    """The sockets that were handed over cannot be told apart, or are none to listen on."""


def inherited_listeners(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """Take the sockets that were handed over (LISTEN_FDS), by "server" and "admin"; the variables are used up.

    A single socket that has another name, as it has by default, is the server's. Raises ActivationError.
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
    """Hears how we are, if it asked to (NOTIFY_SOCKET). A manager that cannot be reached is no reason to stop.

    Mutable state: whether it knows that we end; then it hears of no reload any more.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if is_ours and self._address else ""
        self.watchdog = int(microseconds) / 1_000_000 if microseconds.isdigit() and int(microseconds) else None
        """Seconds within which it wants to hear of us, or takes us for dead; None when it does not ask."""
        self._is_stopping = False

    def __repr__(self) -> str:
        return f"ServiceManager({self._address or 'none'})"

    def ready(self, status: str) -> None:
        """We serve; `status` is a line for people."""
        if not self._is_stopping:
            self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """We read the rules file again; `ready` follows."""
        if not self._is_stopping:
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """We end."""
        self._is_stopping = True
        self._tell(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """We are not stuck."""
        self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.setblocking(False)
            teller.sendto(state.encode(), address)


def serving(rules: int) -> str:
    """The line for people when all is well."""
    return f"serving with {rules} {'rule' if rules == 1 else 'rules'}"
