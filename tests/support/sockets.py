# What a gateway process and the kernel under it keep of connections, as /proc says it.

import asyncio
import contextlib
from pathlib import Path

from tests.support.client import Client
from tests.support.program import GatewayProgram
from tests.support.tally import PATIENCE


def sockets(program: GatewayProgram) -> int:
    """How many sockets the gateway has open."""
    count = 0
    for link in Path(f"/proc/{program.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += str(link.readlink()).startswith("socket:")
    return count


async def until_sockets(program: GatewayProgram, count: int) -> None:
    """Wait until the gateway has no more sockets open than `count`, while other requests come and go."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while (now := sockets(program)) > count:
        assert asyncio.get_running_loop().time() < deadline, f"{now - count} sockets were left open"
        async with Client(program.port) as bystander:
            for _ in range(20):
                assert (await bystander.request("GET", "/bystander")).status == 200


def most_unsent(port: int) -> int:
    """How many bytes the kernel keeps for the one client of a port that takes nothing."""
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    return max(
        int(queues.partition(":")[0], 16)
        for _, own, _, _, queues, *_ in map(str.split, lines)
        if own.endswith(f":{port:04X}")
    )
