# Few file descriptors: the soft limit is raised, and what the hard one lacks is said.

import resource
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import rules
from tests.support.shorthands import get


async def test_the_soft_limit_is_raised_and_half_heads_beyond_it_lose_no_request(gateway: StartGateway) -> None:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, own[1]))
    program = await gateway(server={"head_timeout": "1h", "max_connections": 2000})
    assert resource.prlimit(program.pid, resource.RLIMIT_NOFILE) == (own[1], own[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (own[1], own[1]))
    try:
        async with AsyncExitStack() as stack:
            for _ in range(1500):
                client = await stack.enter_async_context(Client(program.port))
                await client.send_raw(b"GET / HTTP/1.1\r\nHost: ")
            for _ in range(100):
                assert (await get(program.port, "/")).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)


async def test_a_hard_limit_that_is_too_low_is_said_in_the_log(gateway: StartGateway) -> None:
    program = await gateway(server={"max_connections": 10_000}, descriptors=512)
    line = await program.wait_for_log(event="descriptors-low")
    assert (line["limit"], line["needed"] > 10_000) == (512, True)


def test_a_hard_limit_that_is_too_low_is_a_hint_of_check(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(rules(9000, server={"max_connections": 10_000}), encoding="utf-8")
    command = f"ulimit -n 512; exec {sys.executable} -m gateway check -c {file}"
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stdout
    assert "hint: up to 10128 file descriptors may be needed, and the limit here is 512" in said.stdout
