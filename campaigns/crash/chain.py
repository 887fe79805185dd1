# A chain of gateway processes on one store, each killed at a crash point under load, and the retries of the clients.

import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tomli_w

from campaigns.crash.records import Campaign, Records
from campaigns.crash.stores import Claims
from campaigns.crash.traffic import RULES, Sent, new_load
from campaigns.crash.upstream import CountingUpstream
from tests.support.burst import burst
from tests.support.client import Client
from tests.support.program import GatewayProgram, StartError, rules

CONNECTIONS = 12
MOST_PASSES = 16
"""Creates that may pass a point before the process dies there; less than IDENTITIES, so that one round is enough."""
MOST_PASSES_OF_FEW = 12
"""The same at points that fewer creates pass: those of stored answers, of replays, of creates that wait, and of
what is gone."""
MOST_PASSES_OF_FEWEST = 2
"""The same at points of what is found out: few creates have no known outcome."""
OF_FEW = ("answer-stored", "replay-first-byte", "replay-last-byte", "waiter-woken", "gone-freed")
MOST_ROUNDS = 30
"""Of load, until a point is reached: those of what is found out took ten at times."""
KILLS_TO_A_CHECK = 20
CHECKS_TO_A_STORE = 10
KILLED = -9


class ArmedProgram(GatewayProgram):
    """A gateway that kills itself at a crash point."""

    def __init__(self, directory: Path, toml: str, crash_at: str) -> None:
        """`crash_at` as in GATEWAY_CRASH_AT; empty for one that lives."""
        super().__init__(directory, toml, environment={"GATEWAY_CRASH_AT": crash_at})

    async def died_at(self, point: str) -> None:
        """Wait until it has killed itself; AssertionError when that was not at `point`, or was not the last it did."""
        await self.wait_for_log(event="crash-point")
        code = await self._ended()
        if code != KILLED or self.log[-1] != {"event": "crash-point", "point": point}:
            raise AssertionError(f"not killed at {point}: exit code {code}\n{self.output}")


class Chain:
    """Lives of gateways on one store after the other, each killed at the next point. Mutable state: the store's."""

    def __init__(
        self,
        campaign: Campaign,
        durability: str,
        points: Sequence[str],
        directory: Path,
        claims: Claims,
        seed: str,
    ) -> None:
        self._campaign = campaign
        self._durability = durability
        self._points = points
        self._directory = directory
        self._chance = random.Random(seed)
        self._names = (f"{number}@example.org" for number in range(sys.maxsize))
        self._row = campaign.rows[points[0], durability]
        self._records = Records()
        self._claims = claims

    async def run(self) -> None:
        """Kill at each point, and check regularly all results that clients ever got."""
        async with CountingUpstream(self._chance) as upstream:
            self._upstream = upstream
            for number, point in enumerate(self._points):
                if number % (KILLS_TO_A_CHECK * CHECKS_TO_A_STORE) == 0:
                    await self._change_store()
                self._row = self._campaign.rows[point, self._durability]
                if not await self._die_at(point):
                    await self._change_store()
                elif number % KILLS_TO_A_CHECK == KILLS_TO_A_CHECK - 1 or number == len(self._points) - 1:
                    await self._check_all()
                if self._campaign.total % 100 == 0:
                    self._campaign.tell_progress()
        await self._claims.close()
        self._take_account()

    async def _change_store(self) -> None:
        await self._claims.renew()
        self._take_account()
        self._records = Records()
        self._upstream.counts.clear()
        self._upstream.accounts.clear()
        self._upstream.gone.clear()
        self._upstream.given.clear()

    def _take_account(self) -> None:
        self._campaign.told.update(self._records.told.values())
        self._campaign.met.update(self._records.met)
        self._campaign.met.update({f"accounts: {what}": count for what, count in self._records.clients.met.items()})

    def _program(self, crash_at: str) -> ArmedProgram:
        text = rules(self._upstream.port, rules=RULES, log={"requests": "none"}, **self._claims.tables)
        tables = tomllib.loads(text)
        # a short stall of the machine must not make the store refuse creates: that is another campaign
        tables["store"] |= {"durability": self._durability, "commit_timeout": "60s"}
        return ArmedProgram(self._directory, tomli_w.dumps(tables), crash_at)

    async def _start(self, program: ArmedProgram) -> bool:
        """Start a gateway, and say whether it is ready."""
        started = time.perf_counter()
        try:
            await program.start()
            async with Client(program.admin_port) as operator:
                ready = await operator.request("GET", "/readyz")
        except StartError as error:
            self._row.broken.unclean += 1
            self._campaign.wrong.append(str(error))
            return False
        self._row.longest_ready = max(self._row.longest_ready, round(time.perf_counter() - started, 3))
        if ready.status != 200:
            self._row.broken.unclean += 1
            self._campaign.wrong.append(f"not ready: {ready.body!r}")
        return True

    async def _die_at(self, point: str) -> bool:
        """Let a gateway die at a point, during retries and new creates; returns whether it started."""
        due = self._records.due()
        most = MOST_PASSES_OF_FEW if point.endswith(OF_FEW) else MOST_PASSES
        passes = self._chance.randint(1, MOST_PASSES_OF_FEWEST if point.endswith("-resettle") else most)
        if self._chance.random() < 0.75:  # the new creates must have their turn, too
            if point.endswith("claim-queued"):
                passes += len(due)
            elif "-replay-" in point:
                passes += self._records.replays_due(self._upstream)
        program = self._program(f"{point}:{passes}")
        if not await self._start(program):
            return False
        await self._send(program, [*due, *self._load()])
        rounds = 1
        while rounds < MOST_ROUNDS and not any(line.get("event") == "crash-point" for line in program.log):
            await self._send(program, self._load())
            rounds += 1
        await program.died_at(point)
        if self._chance.random() < 0.5:  # or else it is still in flight to the next one
            await self._claims.look_for_stopped()
        self._campaign.rounds[rounds] += 1
        self._look_at_log(program)
        self._row.kills += 1
        return True

    def _load(self) -> list[Sent]:
        load = list(new_load(self._names, self._chance))
        for step in self._records.clients.steps(self._chance):
            load.insert(self._chance.randrange(len(load)), step)
        return load

    async def _send(self, program: ArmedProgram, sent: list[Sent]) -> None:
        before = Counter(self._upstream.counts)
        outcomes = await burst(program.port, [each.data for each in sent], CONNECTIONS)
        wrong = self._records.judge(sent, outcomes, before, self._upstream, self._row.broken)
        self._campaign.wrong += [f"{self._row.point}, {self._durability}: {line}" for line in wrong]

    async def _check_all(self) -> None:
        """Send everything once more to a gateway that lives, stop it, and look through the store."""
        await self._claims.look_for_stopped()
        program = self._program("")
        if not await self._start(program):
            await self._change_store()
            return
        await self._send(program, self._records.due())
        await self._send(program, self._records.all())
        code = await program.stop()
        if code or self._records.open:
            raise AssertionError(f"exit code {code}; never told of {list(self._records.open)}\n{program.output}")
        self._look_at_log(program)
        for problem in await self._claims.problems():
            self._row.broken.unclean += 1
            self._campaign.wrong.append(problem)

    def _look_at_log(self, program: ArmedProgram) -> None:
        errors = [line for line in program.log if line.get("level") == "error"]
        self._row.broken.unclean += len(errors)
        self._campaign.wrong += [f"the gateway said {line}" for line in errors]
