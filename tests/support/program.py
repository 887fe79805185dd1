# The real program as a subprocess, seen only from outside: its rules file, its log, its signals, its memory.

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from tests.support import forked
from tests.support.supervisor import Supervisor
from tests.support.tally import PATIENCE, Tally

Table = dict[str, Any]

ROOT = Path(__file__).parents[2]
UNMARKED: Table = {"headers": [], "via": "off", "request_id": "off"}
"""`[forwarding]` for a gateway that adds nothing to what it forwards, so that whole heads can be compared."""


def create_user_rule(**changes: Any) -> Table:
    """A rule that guards POST /users by `body.email`, with `changes` laid over it."""
    return {
        "name": "create-user",
        "match": {"methods": ["POST"], "path": "/users"},
        "unique": [{"name": "email", "fields": ["body.email"], "normalize": ["trim", "casefold"]}],
        "resource": "header.Location",
        **changes,
    }


def rules(
    upstream: int | str,
    /,
    *,
    store: str | Table = "sqlite:gateway.db",
    on_failure: str = "reject",
    rules: Iterable[Table] | None = None,
    **overrides: Table,
) -> str:
    """The text of a rules file for an upstream's port or URL, on ports that the system chooses.

    `store` is its URL, or the whole table; `overrides` are tables laid over the defaults, as in
    `server={"drain_timeout": "1s"}`.
    """
    url = f"http://127.0.0.1:{upstream}" if isinstance(upstream, int) else upstream
    tables: dict[str, Table] = {
        "server": {"listen": "127.0.0.1:0", "max_connections": 1500},  # fits any machine's limit of open files
        "admin": {"listen": "127.0.0.1:0", "hosts": ["api.example"]},  # the Host of the tests' client
        "upstream": {"url": url},
        "store": {"on_failure": on_failure, **({"url": store} if isinstance(store, str) else store)},
    }
    for name, table in overrides.items():
        tables[name] = {**tables.get(name, {}), **table}
    return tomli_w.dumps({**tables, "rules": [create_user_rule()] if rules is None else list(rules)})


_LONGEST_LINE = 2**20


class StartError(AssertionError):
    """The program ended before it served; the text is its exit code and what it wrote."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"the gateway ended with exit code {code}:\n{output}")
        self.code = code
        self.output = output


class GatewayProgram:
    """`python -m gateway run` in `directory`, which holds its rules file; use it with `async with`."""

    def __init__(
        self,
        directory: Path,
        toml: str,
        *,
        arguments: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        supervisor: Supervisor | None = None,
        descriptors: int | None = None,
        is_forked: bool = False,
        module: str = "gateway",
    ) -> None:
        """`descriptors` is the limit of its open files, soft and hard; None for that of the tests.

        `is_forked`: its first start is a fork of a process that has imported it, which is quicker. `module` runs the
        gateway, perhaps changed; it is found from where the tests are run.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.file = directory / "gateway.toml"
        self.file.write_text(toml, encoding="utf-8")
        self.log: Tally[dict[str, Any]] = Tally()
        """The log lines since the last start, parsed."""
        self._requests: Tally[dict[str, Any]] = Tally()
        self.listening: dict[str, Any] = {}
        """The log line that said where it serves."""
        self._arguments = tuple(arguments)
        self._environment = {
            **os.environ,
            **({} if module == "gateway" else {"PYTHONPATH": str(ROOT)}),
            **(environment or {}),
            **(supervisor.environment if supervisor else {}),
        }
        self._supervisor = supervisor
        self._module = module
        self._limit = () if descriptors is None else ("sh", "-c", 'ulimit -n "$0"; exec "$@"', str(descriptors))
        self._output: list[str] = []
        self._is_forked = is_forked and not (
            arguments or environment or supervisor or descriptors or module != "gateway"
        )
        self._process: asyncio.subprocess.Process | forked.Forked | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port where clients reach it."""
        return _port(self.listening["server"])

    @property
    def admin_port(self) -> int:
        """The TCP port of the operator's listener."""
        return _port(self.listening["admin"])

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and not yet waited for."""
        return self._reading is not None

    @property
    def output(self) -> str:
        """The last lines it wrote to standard error."""
        return "\n".join(self._output[-200:])

    @property
    def whole_output(self) -> str:
        """All it ever wrote to standard error."""
        return "\n".join(self._output)

    async def start(self) -> None:
        """Start it and wait until it serves; StartError when it ends instead."""
        assert not self.is_running, "already started"
        self.log, self._requests = Tally(), Tally()
        self._process = await self._begin()
        self._reading = asyncio.create_task(self._read_log(self._process))
        try:
            line = await self._first_sign(self._reading)
        except BaseException:
            await self.kill()
            raise
        if line is None:
            raise StartError(await self._ended(), self.output)
        self.listening = line

    async def _begin(self) -> "asyncio.subprocess.Process | forked.Forked":
        arguments = ("run", "-c", self.file.name, *self._arguments)
        if self._is_forked:
            self._is_forked = False  # from then on it is another process in all respects, with hashes of its own
            return await forked.start(arguments, self.directory, self._environment, _LONGEST_LINE)
        command = (sys.executable, "-m", self._module, *arguments)
        return await asyncio.create_subprocess_exec(
            *self._limit,
            *(self._supervisor.command(command) if self._supervisor else command),
            pass_fds=self._supervisor.descriptors if self._supervisor else (),
            cwd=self.directory,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )

    async def _first_sign(self, reading: asyncio.Task[None]) -> dict[str, Any] | None:
        """The line that says that it serves; None when it ended instead."""
        serves = asyncio.create_task(self.log.first(lambda line: line.get("event") == "listening", "listening"))
        try:
            await asyncio.wait({serves, reading}, return_when=asyncio.FIRST_COMPLETED)
            return serves.result() if serves.done() else None
        finally:
            serves.cancel()

    async def stop(self) -> int:
        """Ask it to end (SIGTERM), wait for it and return its exit code; AssertionError when it does not end."""
        return await self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it is gone."""
        await self._signal(signal.SIGKILL)

    def hang_up(self) -> None:
        """Have it read its rules file again (SIGHUP)."""
        os.kill(self.pid, signal.SIGHUP)

    async def restart(self, toml: str | None = None) -> None:
        """Stop it if it runs, and start it again, with other rules if given. A chosen port may change."""
        if self.is_running:
            await self.stop()
        if toml is not None:
            self.file.write_text(toml, encoding="utf-8")
        await self.start()

    async def wait_for_log(self, **fields: Any) -> dict[str, Any]:
        """Return the first log line since the start, past or to come, that has all these fields."""
        return await self.log.first(lambda line: fields.items() <= line.items(), f"a log line with {fields}")

    async def request_lines(self, count: int) -> list[dict[str, Any]]:
        """Wait until there are `count` log lines about requests since the start, and return all of them."""
        await self._requests.reach(count)
        return list(self._requests)

    def events(self) -> list[str]:
        """What was logged since the start, in order: all but requests, and stalls, for which the machine may be why."""
        return [line["event"] for line in self.log if line["event"] not in {"request", "loop-stalled"}]

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        """Let it write to no file while inside: the kernel refuses each byte. Pipes and sockets are not touched."""
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        before = resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, most))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, before)

    def rss(self) -> int:
        """Resident memory now, in bytes."""
        return self._memory("VmRSS")

    def peak_rss(self) -> int:
        """The most resident memory it ever had, in bytes."""
        return self._memory("VmHWM")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            await self.kill()
        if error is not None:
            error.add_note(f"The gateway wrote:\n{self.output}")

    async def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None, "not started"
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._ended()

    async def _ended(self) -> int:
        assert self._process is not None
        assert self._reading is not None
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reading
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise AssertionError(f"the gateway did not end; it wrote:\n{self.output}") from None
        finally:
            self._reading = None
        return code

    async def _read_log(self, process: "asyncio.subprocess.Process | forked.Forked") -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self._output.append(text)
            try:
                record = json.loads(text)
            except ValueError:
                continue  # a traceback, say; it is in `output`
            if isinstance(record, dict):
                self.log.add(record)
                if record.get("event") == "request":
                    self._requests.add(record)

    def _memory(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the kernel does not say {name}")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
