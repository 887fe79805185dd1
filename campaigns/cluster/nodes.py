# The gateways of the cluster campaign, each on a socket that outlives it.

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.program import GatewayProgram, rules
from tests.support.supervisor import Supervisor

_SECRET = {"key": "a secret that all gateways of the campaign share"}


class Cluster:
    """Gateways with one rules file; use it with `async with`. Mutable state: which of them are being started."""

    def __init__(
        self,
        directory: Path,
        count: int,
        upstream: int | str,
        store: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        module: str = "gateway",
    ) -> None:
        """`store` is that of all, or of each; `module` is what is run: the gateway, or what makes another of it."""
        self._stack = contextlib.ExitStack()
        self._programs: list[GatewayProgram] = []
        self.ports: list[int] = []
        self._locks = [asyncio.Lock() for _ in range(count)]
        server, log = {"drain_grace": "300ms"}, {"requests": "none"}
        stores = [store] * count if isinstance(store, Mapping) else store
        for number, own in enumerate(stores):
            text = rules(upstream, store=dict(own), fingerprint=_SECRET, server=server, log=log)
            home = directory / f"node-{number}"
            home.mkdir()
            listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
            supervisor = self._stack.enter_context(Supervisor(home, {"server": listener}))
            self.ports.append(supervisor.port)
            self._programs.append(GatewayProgram(home, text, supervisor=supervisor, module=module))

    async def __aenter__(self) -> Self:
        for program in self._programs:
            await program.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for program in self._programs:
            if program.is_running:
                await program.kill()
        self._stack.close()

    async def kill_all(self) -> None:
        """Kill all of them, and start none."""
        await asyncio.gather(*[program.kill() for program in self._programs])

    async def kill(self, number: int) -> None:
        """Kill one, and start it again."""
        async with self._locks[number]:
            await self._programs[number].kill()
            await self._programs[number].start()

    async def restart(self, number: int) -> int:
        """Have one end as it is asked to, and start it again; its exit code."""
        async with self._locks[number]:
            code = await self._programs[number].stop()
            await self._programs[number].start()
            return code

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of a kind that all of them have logged since their last start."""
        return [line for program in self._programs for line in program.log if line.get("event") == name]

    async def all_up(self) -> None:
        """Start those that were caught between the two."""
        for program in self._programs:
            if not program.is_running:
                await program.start()
