# One soak test: the gateway with its rules file, the APIs behind it, the traffic, reloads and samples; then the checks
# at the end.

import asyncio
import json
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.processes import Running, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file, upstream_program
from campaigns.soak.api import Api
from campaigns.soak.clients import Clients
from campaigns.soak.requests import OVER_TLS, PLAIN, REFUSING, RESETTING, SLOW
from campaigns.soak.samples import Sampler
from campaigns.soak.traffic import Traffic
from tests.support.authority import Authority
from tests.support.client import Client
from tests.support.program import create_user_rule
from tests.support.store import stored_claims
from tests.support.tls import trusting
from tests.support.upstream import refused_port

STALLED = "loop-stalled"
EXPECTED = {
    *("listening", "store-made", "fingerprint-key-made", "reloaded", "draining", "stopped", "unknown-lapsed"),
    "audit",  # of each reload
    "request",
    "identity-changed",  # a reload takes a rule away
    "descriptors-low",  # the machine's limit
    STALLED,  # may be the machine's doing; it is counted
}
"""What the log may tell of."""
_PATIENCE = "10s"
"""For commits and TLS handshakes: a machine that is busy with other things is none of the faults that are asked for."""
_FULL = 300.0
"""Seconds of the usual rate until the gateway's caches are full. Shorter runs say less about memory."""


@dataclass(frozen=True)
class Plan:
    """How long, how much, and what follows from it. Times in seconds."""

    seconds: float
    rate: float
    """Operations a second; some have several requests."""
    seed: int
    tls: bool = False
    """Whether clients speak TLS."""

    @property
    def keep(self) -> float:
        """So short that claims expire and are purged many times."""
        return max(2.0, min(120.0, self.seconds / 15))

    @property
    def unknown_hold(self) -> float:
        """Another one, which differs from the first."""
        return self.keep / 2

    @property
    def warm_up(self) -> float:
        """Not judged: caches fill, and garbage is not collected before there is much of it."""
        return min(self.seconds / 2, max(self.seconds / 6, _FULL))

    @property
    def every(self) -> float:
        """Between two samples."""
        return max(0.25, min(5.0, self.seconds / 60))

    @property
    def reload_every(self) -> float:
        """Between two reloads."""
        return min(60.0, self.seconds / 4)


@dataclass
class Soak:
    """What came of it."""

    series: dict[str, list[float]] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    creates: int = 0
    """How many were forwarded."""
    second_forwards: int = 0
    reloads: int = 0
    log: Counter[str] = field(default_factory=Counter)
    """Lines by what they tell of."""
    left: Counter[str] = field(default_factory=Counter)
    """The states of the claims in the store in the end."""
    stalled_ms: list[int] = field(default_factory=list)
    """The duration of each stall of the event loop that the gateway logged."""
    wrong: list[str] = field(default_factory=list)
    """Everything that should not have been, in words."""


class Ground:
    """Where everything listens, and the rules file that says so."""

    def __init__(self, plan: Plan, directory: Path, refused: int) -> None:
        """`refused` is a port on which every connection is refused."""
        self.plan = plan
        self.place = Place(free_port(), free_port(), directory)
        self.admin, self.tls, self.resetting, self.refused = free_port(), free_port(), free_port(), refused
        self.bare = free_port()
        self.authority = Authority(directory)
        self.api_pair = self.authority.issue("api")
        self._pair = self.authority.issue("gateway")

    def write_rules(self, reloads: int) -> Path:
        """Write the rules file, another one each time: an upstream and the number of rules change."""
        plan, place = self.plan, self.place
        certificate, key = self._pair
        hold = {"keep": _milliseconds(plan.keep), "unknown_hold": _milliseconds(plan.unknown_hold)}
        unique = [{"name": name, "fields": [f"body.{name}"]} for name in ("email", "username")]
        other = {"name": "other", "match": {"path": "/others"}, "unique": [{"name": "id", "fields": ["body.id"]}]}
        url = f"http://127.0.0.1:{place.upstream}"
        upstreams = {
            PLAIN: {"url": url, "response_timeout": _milliseconds(30 + reloads % 2)},
            OVER_TLS: {
                "url": f"https://localhost:{self.tls}",
                "tls": {"ca": self.authority.file},
                "connect_timeout": _PATIENCE,
            },
            SLOW: {"url": url, "response_timeout": "1s"},
            REFUSING: {"url": f"http://127.0.0.1:{self.refused}"},
            RESETTING: {"url": f"http://127.0.0.1:{self.resetting}"},
        }
        return rules_file(
            place,
            server={
                "listen": f"127.0.0.1:{place.port}",
                **({"tls": {"certificate": certificate, "key": key}} if plan.tls else {}),
            },
            admin={"listen": f"127.0.0.1:{self.admin}", "hosts": ["api.example"]},
            store={"url": f"sqlite:{place.directory / 'gateway.db'}", "commit_timeout": _PATIENCE},
            upstream={"url": url},
            upstreams=upstreams,
            routes=[{"path": f"/{name}", "upstream": name} for name in upstreams],
            rules=[
                create_user_rule(match={"path": "/{api}/users"}, unique=unique, **hold),
                *([other] if reloads % 2 else []),
            ],
        )


def run(plan: Plan, directory: Path) -> Soak:
    """Start the gateway on a store in `directory`, let it soak, stop it, and read what it left behind.

    Raises RuntimeError when it does not serve.
    """
    with refused_port() as refused, ExitStack() as stack:
        ground = Ground(plan, directory, refused)
        aside = directory / "bare"
        aside.mkdir()
        stack.enter_context(started("a bare server", [upstream_program(ground.bare)], aside))
        programs = gateway_program(ground.place, ground.write_rules(0))
        running = stack.enter_context(started("the gateway", programs, directory))
        soak = uvloop.run(_soaked(ground, running))
    if code := running.processes[-1].returncode:
        soak.wrong.append(f"the gateway ended with exit code {code}")
    else:
        soak.left.update(claim.state for claim in stored_claims(directory / "gateway.db"))
    _read_log(running.log, soak)
    soak.wrong += [f"{soak.log[event]} lines of the log say: {event}" for event in soak.log.keys() - EXPECTED]
    if soak.left["in_flight"]:
        soak.wrong.append(f"{soak.left['in_flight']} claims were left in flight")
    if soak.log["reloaded"] != soak.reloads:
        soak.wrong.append(f"{soak.reloads} reloads were requested, {soak.log['reloaded']} were applied")
    return soak


async def _soaked(ground: Ground, running: Running) -> Soak:
    """Send, reload and take samples for as long as the plan says."""
    soak, plan = Soak(), ground.plan
    api = Api(plan.keep, plan.unknown_hold)
    await api.listen(ground.place.upstream, ground.tls, ground.resetting, ground.api_pair)
    clients = Clients(running.port, trusting(ground.authority.file) if plan.tls else None)
    straight = Clients(ground.bare)
    traffic = Traffic(clients, straight, plan.seed, plan.keep, plan.unknown_hold)
    sampler = Sampler(running, ground.admin, ground.place.directory / "gateway.db", api, traffic)
    until = time.monotonic() + plan.seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.send(plan.rate, until))
        group.create_task(sampler.take_until(until, plan.every))
        group.create_task(_reload_until(until, ground, soak))
    for each in (clients, straight, api):
        await each.close()
    soak.series, soak.operations, soak.told = sampler.series, traffic.answered, traffic.told
    soak.creates, soak.second_forwards = api.creates, api.second_forwards
    soak.wrong += [*api.wrong, *traffic.surprises, *(f"not ready: {what}" for what in sampler.not_ready)]
    return soak


async def _reload_until(until: float, ground: Ground, soak: Soak) -> None:
    """Reload changed rules repeatedly, until a point of monotonic time."""
    while time.monotonic() + ground.plan.reload_every < until:
        await asyncio.sleep(ground.plan.reload_every)
        soak.reloads += 1
        ground.write_rules(soak.reloads)
        async with Client(ground.admin) as client:
            answer = await client.request("POST", "/reload", [("Content-Type", "application/json")])
        if answer.status != 200 or answer.json()["restart"]:
            soak.wrong.append(f"reload: {answer.status} {answer.body.decode()}")


def _read_log(file: Path, soak: Soak) -> None:
    """Count the lines of a log; one that is none was written by something that went wrong."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                soak.wrong.append(f"written beside the log: {line.rstrip()}")
                continue
            soak.log[told["event"]] += 1
            if told["event"] == STALLED:
                soak.stalled_ms.append(told["ms"])


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
