# Clients that do not take their answers, or give them up: no memory is left with them, and others are served.

import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import request_bytes
from tests.support.pace import StandingClient
from tests.support.shorthands import get
from tests.support.upstream import RawUpstream

ROOT = Path(__file__).parents[2]
MIB = 2**20
LARGE = 16 * MIB


async def test_answers_that_nobody_takes_are_bounded_together_and_come_whole_in_the_end(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Past half of the bound they are read in small pieces; none is cut for it, and others are answered."""
    program = await gateway(server={"max_buffered_answers": "1MiB", "body_timeout": "1h"})
    assert (await get(program.port, "/")).status == 200
    before = program.rss()
    body = bytes(LARGE)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(StandingClient(program.port)) for _ in range(40)]
        for client in clients:
            upstream.script(behaviours.answer(200, body=body))
            await client.send_raw(request_bytes("GET", "/large"))
        await upstream.started.reach(1 + len(clients))
        for _ in range(50):
            assert (await get(program.port, "/small")).status == 200
        assert program.peak_rss() - before < 12 * MIB, "40 pieces of 256 KiB are 10 MiB, and their copies as much"
        for client in clients[:3]:
            client.read_on()
            seen: list[int] = []
            await client.read_response(sink=lambda piece, seen=seen: seen.append(len(piece)))  # type: ignore[misc]
            assert sum(seen) == LARGE


def test_a_slice_of_the_campaign() -> None:
    """A few dozen clients; how long others waited meanwhile is no test's business."""
    words = ("--clients", "30", "--waves", "2", "--readers", "60", "--seconds", "1")
    command = [sys.executable, "-m", "campaigns.slow_readers", *words]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    verdicts = [line for line in said.stdout.splitlines() if line.startswith(("ok ", "NOT "))]
    assert len(verdicts) == 5, said.stdout + said.stderr
    assert [line for line in verdicts if line.startswith("NOT ") and "p99" not in line] == [], said.stdout
