# The programs under load: how each is started, when it serves, what it has used. A further peer is one more Peer.

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tomli_w

TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT = 20.0


@dataclass(frozen=True)
class Place:
    """Where a peer runs."""

    port: int
    upstream: int
    directory: Path


@dataclass(frozen=True)
class Peer:
    """A proxy to be measured. `prepare` writes what files it needs and returns the command that serves."""

    name: str
    prepare: Callable[[Place], list[str]]


@dataclass(frozen=True)
class Running:
    """A process that serves."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def cpu(self) -> float:
        """Seconds of CPU used so far, user and system, by the process, its threads and its children."""
        return sum(_cpu(pid) for pid in _tree(self.process.pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="ascii").split():
            yield from _tree(int(child))


def _cpu(pid: int) -> float:
    # Only what follows the command's name in parentheses is split: the name may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def gateway_command(place: Place) -> list[str]:
    """The gateway as in production: a durable store, and a log line for each request, written to a file."""
    rules = {
        "server": {"listen": f"127.0.0.1:{place.port}"},
        "admin": {"listen": "127.0.0.1:0"},
        "upstream": {"url": f"http://127.0.0.1:{place.upstream}"},
        "store": {"url": f"sqlite:{place.directory / 'gateway.db'}", "durability": "process"},
        "log": {"format": "json", "requests": "all"},
        "rules": [
            {
                "name": "create-user",
                "match": {"methods": ["POST"], "path": "/users"},
                "unique": [{"name": "email", "fields": ["body.email"], "normalize": ["trim", "casefold"]}],
                "resource": "header.Location",
            }
        ],
    }
    file = place.directory / "gateway.toml"
    file.write_text(tomli_w.dumps(rules), encoding="utf-8")
    return [sys.executable, "-m", "gateway", "run", "-c", str(file)]


def ordinary_command(place: Place) -> list[str]:
    """The ordinary aiohttp proxy."""
    upstream = f"http://127.0.0.1:{place.upstream}"
    return [sys.executable, "-m", "benchmarks.ordinary_proxy", "--port", str(place.port), "--upstream", upstream]


def upstream_command(place: Place) -> list[str]:
    """The API behind them all."""
    return [sys.executable, "-m", "benchmarks.upstream", "--port", str(place.upstream)]


GATEWAY = Peer("gateway", gateway_command)
ORDINARY = Peer("ordinary aiohttp proxy", ordinary_command)
UPSTREAM = Peer("upstream", upstream_command)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


@contextlib.contextmanager
def started(peer: Peer, directory: Path, port: int, upstream: int) -> Iterator[Running]:
    """Run `peer` with its output in a file, from when it serves; RuntimeError with that output when it does not."""
    directory.mkdir()
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(peer.prepare(Place(port, upstream, directory)), stdout=output, stderr=output)
    try:
        _wait_until_it_serves(peer, process, port, log)
        yield Running(peer.name, port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(START_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_serves(peer: Peer, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{peer.name} does not serve:\n{log.read_text(errors='replace')[-2000:]}")
