# `gateway claims import` and `export` as processes of their own, beside a gateway or on its store.

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from campaigns.memory import most_resident

_LOOK = 0.1
"""Seconds between two looks at the memory of a process."""


class Ended(msgspec.Struct):
    """How a command ended."""

    code: int
    told: dict[str, Any]
    """Its summary; empty when it was killed."""
    seconds: float
    most_memory: int
    """Bytes."""


async def claims(
    verb: str, directory: Path, *words: str, output: Path | None = None, disturb: Callable[[Process], Any] | None = None
) -> Ended:
    """Run `gateway claims VERB` with the rules file in a directory. `disturb` gets the process, and is cancelled.

    What an export writes goes to `output`.
    """
    command = (sys.executable, "-m", "gateway", "claims", verb, "-c", "gateway.toml", "--json", *words)
    begun = time.monotonic()
    with contextlib.ExitStack() as files:
        out = PIPE if output is None else files.enter_context(output.open("wb"))
        process = await asyncio.create_subprocess_exec(*command, cwd=directory, stdout=out, stderr=PIPE)
    tasks = [] if disturb is None else [asyncio.create_task(disturb(process))]
    watching = asyncio.create_task(_watch(process.pid))
    written, errors = await process.communicate()
    seconds = time.monotonic() - begun
    for task in tasks:
        task.cancel()
    text = written if output is None else errors.splitlines()[-1] if errors else b""
    return Ended(process.returncode or 0, json.loads(text or b"{}"), seconds, await watching)


async def _watch(pid: int) -> int:
    """The most memory that a process ever had, until it ends."""
    most = 0
    with contextlib.suppress(OSError, StopIteration):
        while True:
            most = most_resident(pid)
            await asyncio.sleep(_LOOK)
    return most
