# The operator in the reload and restart campaign: changes the rules file of a gateway under load, triggers reloads by
# each means in turn, and checks whether they were applied.

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import tomli_w

from campaigns.restarts.load import Traffic
from tests.support.client import create
from tests.support.program import GatewayProgram, create_user_rule

HANG_UP, COMMAND, WATCHED = MEANS = ("SIGHUP", "gateway reload", "watched file")
"""How a gateway comes to know of a changed file, in turns."""
WATCH = "100ms"


@dataclass(frozen=True)
class Plan:
    """What is to be done; times in seconds."""

    reloads: int = 100
    restarts: int = 20
    seed: int = 1
    grace: float = 1.0
    most_pause: float = 0.5
    """Between two requests of a client that pauses; less than `grace`, as of any client that is to lose nothing."""
    broken_every: int = 10
    """Before each such reload, a file with problems is tried by the same means."""
    pausing: int = 24
    busy: int = 6
    new: int = 6
    """Clients that keep their connections and pause, or never pause, and clients that make a new one each time."""


class Operator:
    """Changes the gateway's rules file, and reloads it. Mutable state: the reload number, from 0, and the file."""

    def __init__(self, plan: Plan, program: GatewayProgram, traffic: Traffic, api: int) -> None:
        """`api` is the upstream's port."""
        self._plan = plan
        self._program = program
        self._traffic = traffic
        self._api = api
        self._asked = 0

    def file_for(self, turn: int) -> str:
        """A file with a rule of its own, other times, and the create rule as before in all that makes an identity."""
        is_watched = _means(turn + 1) == WATCHED and turn + 1 < self._plan.reloads
        server: dict[str, Any] = {"watch_interval": WATCH} if is_watched else {}
        if self._plan.grace:
            server["drain_grace"] = f"{round(self._plan.grace * 1000)}ms"
        marker = {
            "name": f"marker-{turn}",
            "match": {"methods": ["POST"], "path": _marker(turn)},
            "unique": [{"name": "email", "fields": ["body.email"]}],
        }
        return tomli_w.dumps(
            {
                "server": {"listen": "127.0.0.1:0", **server},
                "admin": {"listen": f"unix:{self._program.directory}/admin.sock"},
                "log": {"requests": "none"},
                # a short stall of the machine must not make the store refuse creates
                "store": {"url": "sqlite:gateway.db", "commit_timeout": "60s"},
                "upstream": {"url": f"http://127.0.0.1:{self._api}", "response_timeout": f"{60 + turn // 2}s"},
                "rules": [create_user_rule(keep=f"{24 + turn % 7}h"), marker],
            }
        )

    async def reload(self, turn: int) -> None:
        """Reload a changed file, sometimes after one with problems, and check that it was applied or refused."""
        means = _means(turn)
        if turn % self._plan.broken_every == self._plan.broken_every - 1:
            self._write(_broken(self.file_for(turn), turn))
            await self._have_read(means, turn, is_broken=True)
            self._traffic.figures.refused_files[means] += 1
            await self._expect(turn, in_force=turn - 1, not_in_force=turn)
        self._write(self.file_for(turn))
        await self._have_read(means, turn, is_broken=False)
        self._traffic.figures.reloads[means] += 1
        await self._expect(turn, in_force=turn, not_in_force=turn - 1)

    def _write(self, text: str) -> None:
        """Replace the file whole, as mounted ones are."""
        beside = self._program.file.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._program.file)

    async def _have_read(self, means: str, turn: int, *, is_broken: bool) -> None:
        before = len(self._outcomes())
        self._traffic.order(f"{'broken ' if is_broken else ''}reload {turn} by {means}")
        if means == COMMAND:
            code, said = await self._command()
            if code != is_broken:
                self._traffic.figures.wrong.append(f"reload {turn}: {means} ended with {code}: {said}")
            if is_broken:
                return  # the command checks first: the gateway is not even asked
        elif means == HANG_UP:
            self._program.hang_up()
        await self._program.log.first(lambda _: len(self._outcomes()) > before, f"the outcome of reload {turn}")
        expected = "reload-refused" if is_broken else "reloaded"
        met = self._outcomes()[before:]
        if met != [expected]:
            self._traffic.figures.wrong.append(f"reload {turn} by {means}: {', '.join(met)} instead of {expected}")

    def _outcomes(self) -> list[str]:
        return [line["event"] for line in self._program.log if line.get("event") in {"reloaded", "reload-refused"}]

    async def _command(self) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "reload", "-c", self._program.file.name),
            cwd=self._program.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return await process.wait(), printed.decode()

    async def _expect(self, turn: int, *, in_force: int, not_in_force: int) -> None:
        """Check with two creates each that the current file's rule guards, and another file's rule does not."""
        for marked, expected in ((in_force, [201, 409]), (not_in_force, [201, 201])):
            self._asked += 1
            email = f"{self._asked}@example.org"
            met = [(await create(self._program.port, email, path=_marker(marked))).status for _ in range(2)]
            if met != expected:
                self._traffic.figures.wrong.append(f"reload {turn}: two creates for the file of {marked} met {met}")


def _means(turn: int) -> str:
    return MEANS[turn % len(MEANS)]


def _marker(turn: int) -> str:
    return f"/markers/{turn % 1000}"


def _broken(text: str, turn: int) -> str:
    """The file with an unknown key, or truncated as if it was read while it was being written."""
    return f'{text}unheard_of = "yes"\n' if turn % 2 else text[: text.rindex('"')]
