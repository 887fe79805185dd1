# Imports many rows into a gateway that serves creates, kills the command and the gateway amid others, and moves the
# claims on to other kinds of stores: how fast, how much memory, and are they exactly the same claims. Run it with
# `make imports`.

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from campaigns.imports.commands import Ended, claims
from campaigns.memory import most_resident
from campaigns.verdicts import tell
from tests.support.client import Client, create_bytes
from tests.support.program import GatewayProgram, create_user_rule, rules
from tests.support.shared import Backend, own_server
from tests.support.upstream import RawUpstream, example

KEY = "a key of the campaign, of enough bytes"
RULES = [create_user_rule(), create_user_rule(name="other", match={"path": "/others"})]
"""Rows are of the first, and creates of the other."""
_LANES = 20
"""Connections that creates come over."""
Kind = Literal["sqlite", "valkey", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "valkey", "postgresql")


class Plan(msgspec.Struct):
    """What is to be done."""

    rows: int = 1_000_000
    kills: int = 10
    """Imports that are killed; every other time the gateway is, and not the command."""
    rate: int = 200
    """Creates a second, beside the first import."""
    alone: float = 20.0
    """Seconds of creates alone."""
    kinds: tuple[Kind, ...] = KINDS
    """Kinds of stores that the claims are moved to."""
    seed: int = 1


class Figures(msgspec.Struct):
    """What was measured."""

    steps: list[tuple[str, int, float, int, int]] = []
    """Each step: what it was, lines, seconds, and the most bytes of the command and of the gateway."""
    store: int = 0
    """Bytes of the SQLite files after the import."""
    alone: list[float] = []
    """What creates took alone, in milliseconds."""
    beside: list[float] = []
    """The same beside the import."""
    lag: float = 0.0
    """Milliseconds by which the event loop was late at most, meanwhile."""
    killed: int = 0
    wrong: list[str] = []
    """What must not be."""

    def step(self, name: str, ended: Ended, lines: int, program: GatewayProgram | None) -> None:
        """Note how a step ended."""
        gateway = 0 if program is None else most_resident(program.pid)
        self.steps.append((name, lines, ended.seconds, ended.most_memory, gateway))
        if ended.code:
            self.wrong.append(f"{name} ended with {ended.code}: {ended.told}")


def write_rows(path: Path, count: int, seed: int) -> None:
    """Rows as an API would have them, of some 150 bytes."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for at in range(1, count + 1):
            row = {
                "id": at,
                "email": f"user{at}.{chance.randrange(10**6)}@example.org",
                "name": f"User Number {at}",
                "createdAt": "2024-01-01T00:00:00Z",
                "tags": ["a", "b"],
            }
            file.write(json.dumps(row) + "\n")


def gateway(directory: Path, api: int, store: Any) -> GatewayProgram:
    """A gateway with its listener for operators on a unix socket in its directory."""
    text = rules(
        api,
        store=store,
        rules=RULES,
        admin={"listen": "unix:admin.sock"},
        fingerprint={"key": KEY},
        log={"requests": "none"},
    )
    return GatewayProgram(directory, text)


def import_words(file: Path) -> tuple[str, ...]:
    """The arguments of the import of rows."""
    return ("--rule", "create-user", "--link", "/users/{body.id}", str(file))


async def creates(port: int, rate: int, over: asyncio.Event, name: str) -> list[float]:
    """Creates at a fixed rate until it is over; the milliseconds of each, counted from when it was due."""
    loop, took = asyncio.get_running_loop(), list[float]()

    async def lane(number: int) -> None:
        due, at = loop.time() + number / rate, 0
        async with Client(port) as client:
            while not over.is_set():
                await asyncio.sleep(due - loop.time())
                await client.send_raw(create_bytes(f"{name}-{number}-{at}@example.com", path="/others"))
                answer = await client.read_response("POST")
                assert answer.status == 201, answer
                took.append((loop.time() - due) * 1000)
                due, at = due + _LANES / rate, at + 1

    await asyncio.gather(*map(lane, range(_LANES)))
    return took


async def exported(directory: Path, file: Path) -> Ended:
    """Export what was made of rows to a file."""
    return await claims("export", directory, "--rule", "create-user", output=file)


def digest(file: Path, *, with_times: bool) -> str:
    """The same for exports of the same claims, in whatever order."""
    total = 0
    with file.open("rb") as lines:
        next(lines)
        for line in lines:
            claim = json.loads(line)
            if "end" in claim:
                continue
            if not with_times:
                del claim["first_seen"], claim["expires_at"]
            hashed = hashlib.blake2b(json.dumps(claim, sort_keys=True).encode(), digest_size=16).digest()
            total = (total + int.from_bytes(hashed, "big")) % 2**128
    return f"{total:x}"


async def run(directory: Path, plan: Plan) -> Figures:
    """Carry a plan out, in `directory`."""
    figures, chance = Figures(), random.Random(plan.seed)
    file, undisturbed = directory / "rows.jsonl", directory / "claims.export"
    write_rows(file, plan.rows, plan.seed)
    async with RawUpstream(example) as api:
        first = directory / "first"
        async with gateway(first, api.port, "sqlite:gateway.db") as program:
            await _import_beside_creates(program, first, file, plan, figures)
            figures.store = sum(each.stat().st_size for each in first.glob("gateway.db*"))
            again = await claims("import", first, *import_words(file))
            figures.step("the same once more", again, plan.rows, program)
            if (again.told.get("added"), again.told.get("present")) != (0, plan.rows):
                figures.wrong.append(f"imported once more, it is {again.told}")
            figures.step("export", await exported(first, undisturbed), plan.rows, program)
        second = directory / "second"
        async with gateway(second, api.port, "sqlite:gateway.db") as program:
            await _import_with_kills(program, second, file, plan, figures, chance)
            await _compare(second, undisturbed, figures, "killed and begun again", with_times=False)
    for kind in plan.kinds:
        await _move(directory, undisturbed, kind, plan, figures)
    return figures


async def _import_beside_creates(
    program: GatewayProgram, directory: Path, file: Path, plan: Plan, figures: Figures
) -> None:
    over = asyncio.Event()
    alone = asyncio.create_task(creates(program.port, plan.rate, over, "alone"))
    await asyncio.sleep(plan.alone)
    over.set()
    figures.alone = await alone
    over = asyncio.Event()
    beside = asyncio.create_task(creates(program.port, plan.rate, over, "beside"))
    looking = asyncio.create_task(_look_at_lag(directory / "admin.sock", figures))
    ended = await claims("import", directory, *import_words(file))
    over.set()
    figures.beside = await beside
    looking.cancel()
    figures.step("import beside creates", ended, plan.rows, program)
    if ended.told.get("added") != plan.rows:
        figures.wrong.append(f"the import is {ended.told}")


async def _look_at_lag(listener: Path, figures: Figures) -> None:
    while True:
        async with Client(listener) as client:
            status = (await client.request("GET", "/status", [("Host", "localhost")])).json()
        figures.lag = max(figures.lag, status["loop_lag"] * 1000)
        await asyncio.sleep(1)


async def _import_with_kills(
    program: GatewayProgram, directory: Path, file: Path, plan: Plan, figures: Figures, chance: random.Random
) -> None:
    """Begin again after each kill: killed later each time, so that it gets further."""
    whole = figures.steps[0][2]
    for number in range(plan.kills):
        pause = whole * chance.uniform(0.2, 1.0) * (number + 1) / plan.kills

        async def kill(process: Process, pause: float = pause, number: int = number) -> None:
            await asyncio.sleep(pause)
            if number % 2:
                await program.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

        ended = await claims("import", directory, *import_words(file), disturb=kill)
        figures.killed += ended.code != 0
        if not program.is_running:
            await program.start()
    ended = await claims("import", directory, *import_words(file))
    figures.step(f"import after {figures.killed} killed ones", ended, plan.rows, program)


async def _compare(directory: Path, undisturbed: Path, figures: Figures, what: str, *, with_times: bool) -> None:
    other = directory / "again.export"
    ended = await exported(directory, other)
    if ended.code:
        figures.wrong.append(f"the export of what was {what} ended with {ended.code}")
    found = [await asyncio.to_thread(digest, each, with_times=with_times) for each in (undisturbed, other)]
    if found[0] != found[1]:
        figures.wrong.append(f"{what}, the claims are not the same")
    other.unlink()


async def _move(directory: Path, undisturbed: Path, kind: Kind, plan: Plan, figures: Figures) -> None:
    """Import the export into another store, which nobody runs."""
    where = directory / kind
    async with contextlib.AsyncExitStack() as closing:
        url = "sqlite:gateway.db"
        if kind != "sqlite":
            backend: Backend = kind
            url = (await closing.enter_async_context(own_server(backend))).url
        program = gateway(where, 9, {"url": url, "failover_grace": "10ms"} if kind != "sqlite" else url)
        ended = await claims("import", program.directory, str(undisturbed))
        figures.step(f"import of the export into {kind}", ended, plan.rows, None)
        await _compare(where, undisturbed, figures, f"moved to {kind}", with_times=True)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so many are below."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def table(plan: Plan, figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = ["| step | lines a second | s | command, MiB | gateway, MiB |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, count, seconds, command, program in figures.steps:
        memory = f"{command / 2**20:.0f} | {program / 2**20:.0f}" if program else f"{command / 2**20:.0f} | "
        lines.append(f"| {name} | {count / seconds:,.0f} | {seconds:.1f} | {memory} |")
    lines += ["", f"The store: {figures.store / 2**20:,.0f} MiB, {figures.store / plan.rows:,.0f} bytes a claim."]
    lines += ["", f"| {plan.rate} creates a second | p50 ms | p99 ms | longest ms |", "| --- | ---: | ---: | ---: |"]
    for name, took in (("alone", figures.alone), ("beside the import", figures.beside)):
        cells = [statistics.median(took or [0.0]), quantile(took, 0.99), max(took, default=0.0)]
        lines.append(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return [*lines, "", f"Beside the import the event loop was late by {figures.lag:.0f} ms at most."]


def verdicts(plan: Plan, figures: Figures) -> list[tuple[str, bool]]:
    """Say what had to hold, a line each, and whether it did."""
    return [
        (f"{figures.killed} of {plan.kills} imports were killed amid", figures.killed > 0 or not plan.kills),
        (f"{len(figures.wrong)} differences", not figures.wrong),
    ]


def arguments() -> Plan:
    """Return what the command line asks for."""
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.imports", description="Imports, kills imports, and moves claims between stores."
    )
    parser.add_argument("--rows", type=int, default=plan.rows, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=plan.kills, help="default: %(default)s")
    parser.add_argument("--rate", type=int, default=plan.rate, help="creates a second (default: %(default)s)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="stores to move to; default: all")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    return Plan(options.rows, options.kills, options.rate, plan.alone, tuple(options.kinds), seed)


def main() -> int:
    """Exit code 0 when all claims are the same; otherwise 1."""
    plan = arguments()
    print(f"seed {plan.seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        figures = asyncio.run(run(Path(directory), plan))
    print("\n".join([*table(plan, figures), f"{time.monotonic() - began:.0f} s"]))
    all_hold = tell(verdicts(plan, figures))
    for line in figures.wrong:
        print(f"     {line}")
    return not all_hold


if __name__ == "__main__":
    sys.exit(main())
