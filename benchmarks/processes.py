# Measured processes: starts and stops them, waits until they serve, reads their CPU usage. Knows no particular proxy.

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.commands.processes import free_addresses

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
ONE_CORE = CORES[-1:]
"""Where everything runs while CPU is measured. Waking a process on another core costs the kernel several microseconds,
or nothing if it is awake; which of the two is the rule differs from run to run, and with it the cost of a request by a
factor of two."""
START_LIMIT = 20.0
"""Seconds that a program may take to serve, or to stop."""
_OUTPUT_SHOWN = 2000


@dataclass(frozen=True)
class Program:
    """A command, and the TCP port of 127.0.0.1 on which it serves."""

    argv: list[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it gets besides this process's own environment."""
    user: int | None = None
    """Who it runs as, where that is not who runs this."""

    def as_user(self) -> dict[str, Any]:
        """What subprocess needs for that."""
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": [], "cwd": "/"}


@dataclass(frozen=True)
class Running:
    """The processes of one peer, the one that clients talk to last."""

    name: str
    port: int
    processes: list["subprocess.Popen[bytes]"]
    log: Path

    @property
    def pid(self) -> int:
        """The process that clients talk to."""
        return self.processes[-1].pid

    def cpu(self) -> float:
        """Seconds of CPU used so far, user and system, by all processes, their threads and their children."""
        return sum(_cpu(pid) for process in self.processes for pid in _tree(process.pid))

    def memory(self) -> int:
        """Bytes of memory resident now, in all processes and their children."""
        return sum(_status(pid, "VmRSS") for process in self.processes for pid in _tree(process.pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            yield from _tree(int(child))


def _cpu(pid: int) -> float:
    # Only what follows the command's name in parentheses is split: the name may hold spaces. The four fields are the
    # process's own user and system time, and those of children that have ended.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) * 1024


def found(program: str) -> str | None:
    """Return the path of a program on PATH, or None."""
    return shutil.which(program)


def first_line(*argv: str) -> str:
    """Return the first line that a command prints, on either output; empty when it prints none."""
    result = subprocess.run(argv, capture_output=True, text=True, timeout=START_LIMIT, check=False)
    return next(iter((result.stdout + result.stderr).strip().splitlines()), "")


def free_port() -> int:
    """Return an unused TCP port."""
    (address,) = free_addresses(1)
    return int(address.rpartition(":")[2])


def allow_many_files() -> None:
    """Raise this process's limit of open files, which those it starts inherit, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def started(name: str, programs: list[Program], directory: Path, limit: float = START_LIMIT) -> Iterator[Running]:
    """Run the programs one after the other, each once the one before it serves, with their output in a file.

    Raises RuntimeError with that output when one of them does not serve within `limit` seconds.
    """
    log = directory / "log"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for program in programs:
            with log.open("ab") as output:
                environment = os.environ | dict(program.environment)
                process = subprocess.Popen(
                    program.argv, stdout=output, stderr=output, env=environment, **program.as_user()
                )
            processes.append(process)
            _wait_until_it_serves(name, process, program.port, log, limit)
        yield Running(name, programs[-1].port, processes, log)
    finally:
        for process in reversed(processes):
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(START_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_it_serves(name: str, process: "subprocess.Popen[bytes]", port: int, log: Path, limit: float) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{name} does not serve:\n{log.read_text(errors='replace')[-_OUTPUT_SHOWN:]}")
