# What can befall a Valkey server while it runs, done to a real one: whether creates are refused for it, with which
# reason, and how fast they are taken again.

import asyncio
import contextlib
import itertools
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.failover.api import Api
from campaigns.failover.servers import Server
from tests.support import faults, valkey
from tests.support.client import Response, create
from tests.support.program import GatewayProgram, rules
from tests.support.shorthands import get
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

DISK = 64 * 2**20
_FEW = 2
"""Creates that must be refused, however short a fault may be."""
_PAUSE = 0.02
"""Seconds between two creates until a fault is noticed."""
_LOADED, _LOADS_FOR = 200, 3_000_000
"""Other keys on a server that is loading, and how long it takes in all, in microseconds."""
_TOLD_WITHIN = 2.0
"""Seconds of that in which a gateway must hear of it."""
Begin = Callable[[Server], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A fault of the server, active while the context manager from `begin` is entered."""

    name: str
    what: str
    begin: Begin
    says: tuple[str, ...]
    """What the reason contains: one of them."""
    is_steady: bool = True
    """Whether each create is refused for it, once it was noticed."""
    longest: float = math.inf
    """Seconds that it can last."""
    lacks: Callable[[], str | None] = lambda: None
    """What it needs and this machine does not give."""


@dataclass
class Seen:
    """What was seen of one fault."""

    fault: str
    noticed_after: float = 0
    refused: int = 0
    reason: str = ""
    healthy_after: float = 0
    broken: list[str] = field(default_factory=list)


def _set(name: str, bad: str, good: str) -> Begin:
    @contextlib.asynccontextmanager
    async def begin(server: Server) -> AsyncIterator[None]:
        await server.ask("CONFIG", "SET", name, bad)
        yield
        await server.ask("CONFIG", "SET", name, good)

    return begin


@contextlib.asynccontextmanager
async def _read_only(server: Server) -> AsyncIterator[None]:
    (nobody,) = valkey.free_ports(1)
    await server.ask("REPLICAOF", "127.0.0.1", nobody)
    yield
    await server.ask("REPLICAOF", "NO", "ONE")


@contextlib.asynccontextmanager
async def _disk_full(server: Server) -> AsyncIterator[None]:
    with faults.filled(server.directory):
        yield


@contextlib.asynccontextmanager
async def _hanging(server: Server) -> AsyncIterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    yield
    os.kill(server.pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def _slow(server: Server) -> AsyncIterator[None]:
    """Let it stand still for longer than a create waits, and go on for a moment, again and again."""

    async def stop_and_go() -> None:
        while True:
            os.kill(server.pid, signal.SIGSTOP)
            await asyncio.sleep(1.2)
            os.kill(server.pid, signal.SIGCONT)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(stop_and_go())
    try:
        yield
    finally:
        task.cancel()
        os.kill(server.pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def _loading(server: Server) -> AsyncIterator[None]:
    """Start it anew, and let it take its time to read what it has: large keys, as it answers after each KiB."""
    await server.ask("MSET", *[part for at in range(_LOADED) for part in (f"other-{at}", random.randbytes(1024).hex())])
    delay = _LOADS_FOR // int(await server.ask("DBSIZE"))
    await server.ask("BGREWRITEAOF")  # it answers others only while it reads a whole file
    await server.until(aof_rewrite_in_progress=0, aof_rewrite_scheduled=0)
    await server.kill()
    slowly = {"key-load-delay": str(delay), "loading-process-events-interval-bytes": "1024"}
    starting = asyncio.create_task(server.start(**slowly))
    async with asyncio.timeout(PATIENCE):
        while True:
            if (await server.facts()).get("loading") == 1:
                break
            await asyncio.sleep(0.01)
    yield
    await starting


@contextlib.asynccontextmanager
async def _gone(server: Server) -> AsyncIterator[None]:
    await server.kill()
    yield
    await server.start()


_SILENT = ("does not answer", "longer than 0.8 s", "store waits", "wait for the store")
FAULTS = (
    Fault(
        "eviction", "maxmemory-policy is set", _set("maxmemory-policy", "allkeys-lru", "noeviction"), ("allkeys-lru",)
    ),
    Fault("no-persistence", "appendonly is set to no", _set("appendonly", "no", "yes"), ("appendonly is no",)),
    Fault("read-only", "it is made a replica", _read_only, ("is a replica", "read only replica")),
    Fault("memory-full", "it has no memory left", _set("maxmemory", "1mb", "0"), ("maxmemory",)),
    Fault("disk-full", "no free block is left", _disk_full, ("append-only", "MISCONF"), lacks=faults.lacks_mount),
    Fault("hanging", "it answers nothing (SIGSTOP)", _hanging, _SILENT),
    Fault("slow", "it stands still for 1.2 s, again and again", _slow, _SILENT, is_steady=False),
    Fault("loading", "it is killed, and answers -LOADING", _loading, ("loading",), longest=0),
    Fault("killed", "it is killed, and started again", _gone, ("does not answer",)),
)


class Bench:
    """A server, and a gateway that looks at it; use it with `async with`. Mutable state: what was created."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count()
        self._api = Api()

    async def __aenter__(self) -> "Bench":
        async with contextlib.AsyncExitStack() as stack:
            folder = self._directory / "server"
            if faults.lacks_mount() is None:
                stack.enter_context(faults.small_disk(folder, DISK))
            (port,) = valkey.free_ports(1)
            self.server = Server(folder, port)
            await self.server.start()
            stack.push_async_callback(self.server.kill)
            upstream = await stack.enter_async_context(RawUpstream(self._api))
            toml = rules(
                upstream.url,
                store={"url": f"redis://127.0.0.1:{port}", "failover_grace": "500ms"},
                fingerprint={"key": "a secret of the gateway that looks at it"},
                log={"requests": "none"},
            )
            self.program = await stack.enter_async_context(GatewayProgram(self._directory / "gateway", toml))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def look_at(self, fault: Fault, seconds: float) -> Seen:
        """Let the server have a fault for so long, or until it was noticed, while creates come."""
        seen, loop = Seen(fault.name), asyncio.get_running_loop()
        created = [await self._create(seen)]
        refused: list[str] = []
        logged = len(self.program.log)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(fault.begin(self.server))
            began = loop.time()
            while not refused:
                await self._try(created, refused, seen)
                await asyncio.sleep(_PAUSE)
            seen.noticed_after = loop.time() - began
            if fault.is_steady and (await get(self.program.admin_port, "/readyz")).status != 503:
                seen.broken.append("it says that it is ready")
            known = self._api.created.total()
            until = loop.time() + min(seconds, fault.longest)
            told_by = began + (PATIENCE if fault.longest else _TOLD_WITHIN)
            while (
                len(refused) < _FEW
                or loop.time() < until
                or (not self._see_reason(fault, logged, seen) and loop.time() < told_by)
            ):
                await self._try(created if not fault.is_steady else None, refused, seen)
            if not seen.reason:
                reasons = {line.get("reason") for line in self.program.log[logged:]}
                seen.broken.append(f"the log does not say why, but {reasons}")
            if fault.is_steady and self._api.created.total() != known:
                seen.broken.append("a create was forwarded")
        ended = loop.time()
        await self._until_taken(refused[0])
        seen.healthy_after = loop.time() - ended
        seen.refused = len(refused)
        for name in refused[1:]:
            await self._until_taken(name)
        for name in (*created, *refused):
            answer = await self._known(name)
            if answer.slug != "duplicate":
                seen.broken.append(f"{name} is answered {answer.slug or answer.status} in the end")
        if twice := [name for name, count in self._api.created.items() if count > 1]:
            seen.broken.append(f"created twice: {twice[:5]}")
        return seen

    def _name(self) -> str:
        return f"user-{next(self._numbers)}@example.org"

    async def _create(self, seen: Seen) -> str:
        name = self._name()
        answer = await create(self.program.port, name)
        if answer.status != 201:
            seen.broken.append(f"{name} is answered {answer.slug or answer.status} before the fault")
        return name

    async def _try(self, created: list[str] | None, refused: list[str], seen: Seen) -> None:
        """Send a create that must be refused, or where there is a list of those that were created, may be created."""
        name = self._name()
        answer: Response = await create(self.program.port, name)
        if answer.slug == "store-unavailable":
            refused.append(name)
        elif answer.status == 201 and created is not None:
            created.append(name)
        else:
            seen.broken.append(f"{name} is answered {answer.slug or answer.status} amid the fault")

    def _see_reason(self, fault: Fault, logged: int, seen: Seen) -> bool:
        """Note the reason in the log, once it is there."""
        for line in self.program.log[logged:]:
            if line.get("event") == "store-failure" and any(word in line["reason"] for word in fault.says):
                seen.reason = line["reason"]
        return bool(seen.reason)

    async def _known(self, name: str) -> Response:
        """The answer to a create whose end is known to the store: it may be written a moment after the fault."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await create(self.program.port, name)).slug == "in-progress":
                pass
        return answer

    async def _until_taken(self, name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if (await create(self.program.port, name)).status == 201:
                    return
                await asyncio.sleep(0.02)
