# Starts and stops the child processes of `demo` and `run --example`.

import asyncio
import contextlib
import errno
import os
import random
import signal
import socket
import sys
from pathlib import Path
from typing import Self

from gateway.errors import GatewayError
from gateway.example.address import parse_address

READY_TRIES = 600
READY_PAUSE = 0.05
"""Seconds between two attempts: half a minute in total, enough for a busy machine."""

TAIL_LINES = 12

UNASSIGNED_PORTS = range(20_000, 32_000)
"""Ports that Linux and macOS by default give to no socket that has not asked for one of them."""


class ChildError(GatewayError):
    """A program did not start, or ended before it listened. The text ends with the program's last output."""


class Child:
    """A child process that accepts connections on `listen`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, listen: str, log: Path | None) -> None:
        self.name = name
        self.listen = listen
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, name: str, module: list[str], listen: str, log: Path | None, *, tied: bool) -> Self:
        """Start `python -m` with `module`, and return once it accepts connections.

        Output is appended to `log`, or inherited without one. `tied` connects its standard input to a pipe that closes
        when this process ends in any way. Raises ChildError, and ValueError for an invalid address.
        """
        host, port = parse_address(listen)
        _require_free(name, host, port)
        with contextlib.ExitStack() as files:
            output = None if log is None else files.enter_context(log.open("ab"))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                stdin=asyncio.subprocess.PIPE if tied else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches only the parent, which then stops its children in order
            )
        child = cls(name, process, listen, log)
        try:
            await child._accepts(host, port)
        except BaseException:
            await child.kill()
            raise
        return child

    async def stop(self, grace: float = 15.0) -> int:
        """Stop it with SIGTERM, after `grace` seconds with SIGKILL; return its exit status. Idempotent."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """Kill it with SIGKILL; return its exit status."""
        self._signal(signal.SIGKILL)
        return await self.wait()

    async def wait(self) -> int:
        """Wait until it exits; return its exit status."""
        status = await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return status

    def said(self) -> list[str]:
        """Return the lines in its log so far; none without a log."""
        if self.log is None:
            return []
        return self.log.read_text("utf-8", "replace").splitlines()

    def _signal(self, number: signal.Signals) -> None:
        # Not with asyncio's send_signal: it reaps a process that has just ended, and asyncio's wait then warns.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _accepts(self, host: str, port: int) -> None:
        for _ in range(READY_TRIES):
            if await _can_connect(host, port):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_PAUSE):
                    status = await self._process.wait()
                    raise ChildError(self._with_tail(f"{self.name} ended with status {status} before it listened"))
        raise ChildError(self._with_tail(f"{self.name} does not accept connections on {self.listen}"))

    def _with_tail(self, text: str) -> str:
        return "\n".join([text, *(f"  {line}" for line in self.said()[-TAIL_LINES:])])


async def start_example(
    listen: str, database: str, delay: float, *, allow_crash: bool = False, log: Path | None = None
) -> Child:
    """Start the example API and return once it accepts connections; it ends when this process does.

    `delay` is in seconds. Raises ChildError, and ValueError for an invalid address.
    """
    module = ["gateway.example", "--listen", listen, "--database", database, "--delay", str(delay)]
    if allow_crash:
        module.append("--allow-crash")
    module.append("--until-stdin-closes")
    return await Child.start("the example API", module, listen, log, tied=True)


async def start_gateway(listen: str, config: Path, *, log: Path | None = None) -> Child:
    """Start `gateway run` with a rules file that contains `listen`, and return once it accepts connections there.

    Raises ChildError, and ValueError for an invalid address.
    """
    module = ["gateway", "run", "-c", str(config)]
    return await Child.start("the gateway", module, listen, log, tied=False)


def free_addresses(count: int) -> list[str]:
    """Return loopback addresses with unused ports.

    They are from UNASSIGNED_PORTS, so that no other program gets one of them by chance before it is listened on.
    Raises GatewayError when there are not enough.
    """
    addresses: list[str] = []
    for port in random.sample(UNASSIGNED_PORTS, len(UNASSIGNED_PORTS)):
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            addresses.append(f"127.0.0.1:{port}")
        if len(addresses) == count:
            return addresses
    raise GatewayError(f"of the ports {UNASSIGNED_PORTS[0]} to {UNASSIGNED_PORTS[-1]}, {count} must be free")


def _require_free(name: str, host: str, port: int) -> None:
    # Without this, another program's answer on the port would be taken for our child's.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "something listens there already" if taken else error.strerror
            raise ChildError(f"{name} cannot listen on {host}:{port}: {why}") from error


async def _can_connect(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    # On a free port of the ephemeral range, loopback can connect a socket to itself.
    itself = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return not itself
