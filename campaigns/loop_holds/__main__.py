# How long one request of a stranger holds up all others: odd requests, one by one, and how late the answer to a trivial
# one comes meanwhile. Run it with `make loop-holds`.

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.loop_holds.answers import RULE, all_answers
from campaigns.loop_holds.shapes import RULES, Shape, all_shapes
from tests.support import behaviours
from tests.support.client import Client, NoResponseError
from tests.support.program import GatewayProgram, rules
from tests.support.upstream import Act, RawUpstream

LIMIT = 50.0
"""Milliseconds for which no request may hold up another one."""
BREAK = 0.005
"""Seconds without a request before each one: what came before has its end then."""


@dataclass
class Seen:
    """What came of one shape."""

    shape: Shape
    status: int = 0
    windows: list[tuple[int, int]] = field(default_factory=list)
    """From the first byte sent to the answer, each time; nanoseconds."""

    def hold(self, delays: list[tuple[int, int]]) -> float:
        """The longest delay while it was handled; the smallest of all rounds, for the machine has delays of its own."""
        return min(
            max((to - since for since, to in delays if to > start and since < end), default=0) / 1e6
            for start, end in self.windows
        )


@dataclass
class Campaign:
    """What came of all of it."""

    seen: list[Seen]
    idle: Seen
    """What was measured while nothing was sent."""
    delays: list[tuple[int, int]]

    def worst_first(self) -> list[tuple[float, Seen]]:
        """Each shape with its hold in milliseconds."""
        return sorted(((each.hold(self.delays), each) for each in self.seen), key=lambda row: -row[0])


async def send(port: int, shape: Shape, seen: Seen) -> None:
    """Send one request over a connection of its own, and note when, and the status of its answer."""
    async with Client(port) as client:
        await asyncio.sleep(BREAK)
        target = shape.target
        if shape.body:  # what is sent again in the same bytes under a key is not read again
            target = f"{target}?round={len(seen.windows)}"
        start = time.monotonic_ns()
        with suppress(NoResponseError, ConnectionError):  # it was answered already, and the connection closed
            response = await client.request(shape.method, target, shape.headers, shape.body)
            seen.status = response.status
        seen.windows.append((start, time.monotonic_ns()))


def answering(shape: Shape) -> Act:
    """Answer 200 as a shape says."""
    assert shape.answer is not None
    content_type, body = shape.answer
    headers = [("Content-Type", content_type), *([("Content-Encoding", "gzip")] if shape.is_packed else [])]
    return behaviours.answer(200, headers, body)


async def run(directory: Path, shapes: Iterable[Shape], rounds: int) -> Campaign:
    """Send all shapes to the real program, beside a bystander."""
    seen = [Seen(shape) for shape in shapes]
    idle = Seen(Shape("nothing", ""))
    async with RawUpstream() as upstream:
        toml = rules(upstream.url, rules=[*RULES, RULE], log={"requests": "none"})
        async with GatewayProgram(directory / "gateway", toml) as program:
            command = (sys.executable, "-m", "campaigns.loop_holds.bystander", str(program.admin_port))
            bystander = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            assert bystander.stdout is not None
            reading = asyncio.create_task(bystander.stdout.read())
            try:
                await asyncio.sleep(0.5)  # it has to start
                start = time.monotonic_ns()
                await asyncio.sleep(0.2)
                idle.windows.append((start, time.monotonic_ns()))
                for _ in range(rounds):
                    for each in seen:
                        if each.shape.answer is not None:
                            upstream.script(answering(each.shape))
                        await send(program.port, each.shape, each)
                        upstream.requests.clear()
                await asyncio.sleep(0.1)
            finally:
                bystander.kill()
                await bystander.wait()
                lines = (await reading).decode().splitlines()[:-1]  # the last may be cut off
    delays = [(int(since), int(to)) for since, _, to in (line.partition(" ") for line in lines)]
    return Campaign(seen, idle, delays)


def table(campaign: Campaign, count: int) -> list[str]:
    """Say the longest holds, a line each."""
    rows = [f"{'ms':>7}  status  request"]
    rows += [f"{hold:7.1f}  {each.status:6}  {each.shape.name}" for hold, each in campaign.worst_first()[:count]]
    return [*rows, f"{campaign.idle.hold(campaign.delays):7.1f}          (while nothing was sent)"]


def main() -> int:
    """Exit code 0 when no request held up another one for too long; 1 when one did."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.loop_holds", description="How long one request holds up all others."
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="milliseconds (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is sent (default: %(default)s)")
    parser.add_argument("--only", default="", help="requests whose name contains this")
    parser.add_argument("--show", type=int, default=30, help="lines of the table (default: %(default)s)")
    options = parser.parse_args()
    shapes = [shape for shape in (*all_shapes(), *all_answers()) if options.only in shape.name]
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        campaign = asyncio.run(run(Path(directory), shapes, options.rounds))
    print("\n".join(table(campaign, options.show)))
    longest = max((hold for hold, _ in campaign.worst_first()), default=0.0)
    silent = [each.shape.name for each in campaign.seen if not each.status]
    print(f"{len(campaign.seen)} requests, the longest hold {longest:.1f} ms; at most {options.limit:g} ms")
    if silent:
        print(f"without an answer: {', '.join(silent)}")
    return longest > options.limit or bool(silent)


if __name__ == "__main__":
    sys.exit(main())
