# Starts the program as a fork of a process that has imported it already: imports are most of what a start costs.
#
# It is as real as any other start, but for what happens before `main`: a process of its own, with its own file
# descriptors, environment and directory. Tests about starts themselves have it executed; see GatewayProgram.

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

_IMPORTED = ("gateway.commands.run", "gateway.process.server", "gateway.stores.open", "tests.support.forked")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*_IMPORTED])


class Forked:
    """Such a process, with as much of asyncio.subprocess.Process as GatewayProgram needs."""

    def __init__(self, process: ForkServerProcess, stderr: asyncio.StreamReader) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self.stderr = stderr
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process.sentinel, self._note_end)

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return int(await asyncio.shield(self._ended))

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._ended.set_result(self._process.exitcode)
        self._process.close()


class _Given:
    """A descriptor that goes to the process with its start: else a thread of this one would have to hand it out."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _taken, (DupFd(self._descriptor),)


def _taken(descriptor: Any) -> int:
    return int(descriptor.detach())


async def start(arguments: Sequence[str], directory: Path, environment: Mapping[str, str], limit: int) -> Forked:
    """Start `gateway` with arguments; lines of its standard error may have `limit` bytes."""
    reading, writing = os.pipe()
    try:
        process = _CONTEXT.Process(
            target=_run, args=(list(arguments), str(directory), dict(environment), _Given(writing)), daemon=True
        )
        process.start()
    finally:
        os.close(writing)
    stderr = asyncio.StreamReader(limit=limit)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(reading, "rb", buffering=0)
    )
    return Forked(process, stderr)


def _run(arguments: list[str], directory: str, environment: dict[str, str], stderr: int) -> None:
    """Be the program, in the fork."""
    from gateway.cli import main

    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    os.dup2(stderr, 2)
    os.closerange(3, 4096)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["gateway", *arguments]
    code = main()
    sys.stderr.flush()
    os._exit(code)
