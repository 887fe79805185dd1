# The program's commands, run in this process, beside a gateway that runs in another one.

import asyncio
import contextlib
import io
import os
import pty
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway import cli
from tests.support.program import GatewayProgram


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


async def run_command(*words: str) -> Ran:
    """Run `gateway` with these words; one at a time."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()

    def run() -> int:
        try:
            return cli.main(list(words))
        except SystemExit as end:  # argparse
            return end.code if isinstance(end.code, int) else 1

    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(run)
    written = out.buffer.getvalue() if isinstance(out.buffer, io.BytesIO) else b""
    return Ran(code, written.decode(), err.getvalue())


def on(program: GatewayProgram) -> Callable[..., Awaitable[Ran]]:
    """Run commands about one gateway, by the address that it listens on for operators."""

    async def run(*words: str) -> Ran:
        return await run_command(*words, "--admin", f"127.0.0.1:{program.admin_port}")

    return run


def on_terminal(program: GatewayProgram, columns: int, *words: str) -> str:
    """What a command writes on a terminal of that width."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, columns))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "gateway", *words, "--admin", f"127.0.0.1:{program.admin_port}"],
        {**environment, "TERM": "xterm-256color"},
        file_actions=[(os.POSIX_SPAWN_DUP2, follower, 1), (os.POSIX_SPAWN_DUP2, follower, 2)],
    )
    os.close(follower)
    written = b""
    try:
        while piece := os.read(leader, 65536):
            written += piece
    except OSError:  # EIO: its last user has gone
        pass
    os.close(leader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return written.decode()
