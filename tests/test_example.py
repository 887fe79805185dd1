# The example API as the process that `demo` and `run --example` start.

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.commands import processes
from gateway.commands.processes import Child, ChildError, free_addresses, start_example
from gateway.errors import GatewayError
from gateway.example.address import parse_address
from gateway.example.api import CRASH_AFTER_COMMIT, CRASH_HEADER

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "username": "ada"}
CRASH = {CRASH_HEADER: CRASH_AFTER_COMMIT}

StartExample = Callable[..., Awaitable[Child]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartExample]:
    """Starts the API on one address and one database, as often as a test needs it."""
    (address,) = free_addresses(1)
    children = []

    async def start_one(*, delay: float = 0, allow_crash: bool = False) -> Child:
        database, log = str(tmp_path / "example.db"), tmp_path / "example.log"
        child = await start_example(address, database, delay, allow_crash=allow_crash, log=log)
        children.append(child)
        return child

    yield start_one
    for child in children:
        await child.kill()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


async def listed(session: aiohttp.ClientSession, api: Child) -> list[dict[str, Any]]:
    async with session.get(f"http://{api.listen}/users") as answer:
        users: list[dict[str, Any]] = await answer.json()
        return users


async def test_a_created_user_is_found_at_its_location(start: StartExample, session: aiohttp.ClientSession) -> None:
    api = await start()
    async with session.post(f"http://{api.listen}/users", json=ADA) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == "/users/1"
        assert await answer.json() == {"id": 1, **ADA}
    async with session.get(f"http://{api.listen}/users/1") as answer:
        assert await answer.json() == {"id": 1, **ADA}
    assert "api: POST /users -> 201 /users/1" in api.said()


async def test_the_same_create_twice_makes_two_users(start: StartExample, session: aiohttp.ClientSession) -> None:
    api = await start()
    for number in (1, 2):
        async with session.post(f"http://{api.listen}/users", json=ADA) as answer:
            assert (answer.status, answer.headers["Location"]) == (201, f"/users/{number}")
    assert [user["id"] for user in await listed(session, api)] == [1, 2]


async def test_a_deleted_user_is_gone_and_its_id_is_not_used_again(
    start: StartExample, session: aiohttp.ClientSession
) -> None:
    api = await start()
    await (await session.post(f"http://{api.listen}/users", json=ADA)).read()
    async with session.delete(f"http://{api.listen}/users/1") as answer:
        assert answer.status == 204
    async with session.get(f"http://{api.listen}/users/1") as answer:
        assert answer.status == 404
    async with session.delete(f"http://{api.listen}/users/1") as answer:
        assert answer.status == 404
    async with session.post(f"http://{api.listen}/users", json=ADA) as answer:
        assert answer.headers["Location"] == "/users/2"


async def test_an_order_is_found_at_its_location_and_only_under_its_tenant(
    start: StartExample, session: aiohttp.ClientSession
) -> None:
    api = await start()
    new = {"customer": "ada", "reference": "A-1"}
    async with session.post(f"http://{api.listen}/tenants/acme/orders", json=new) as answer:
        assert answer.status == 201
        location = answer.headers["Location"]
    async with session.get(f"http://{api.listen}{location}") as answer:
        assert await answer.json() == {"id": 1, "tenant": "acme", **new}
    async with session.get(f"http://{api.listen}/tenants/other/orders/1") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"name": "Ada"}', b'{"name": 1, "email": "e", "username": "u"}', b"\xff"]
)
async def test_a_body_that_is_no_user_is_400_and_not_stored(
    start: StartExample, session: aiohttp.ClientSession, body: bytes
) -> None:
    api = await start()
    async with session.post(f"http://{api.listen}/users", data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
    assert await listed(session, api) == []


async def test_a_crash_after_commit_leaves_the_row_and_no_answer(
    start: StartExample, session: aiohttp.ClientSession
) -> None:
    api = await start(allow_crash=True)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(f"http://{api.listen}/users", json=ADA, headers=CRASH)
    assert await api.wait() == 1
    assert await listed(session, await start()) == [{"id": 1, **ADA}]


async def test_the_crash_header_does_nothing_unless_the_api_was_started_for_it(
    start: StartExample, session: aiohttp.ClientSession
) -> None:
    api = await start()
    async with session.post(f"http://{api.listen}/users", json=ADA, headers=CRASH) as answer:
        assert answer.status == 201


async def test_sigterm_lets_a_create_finish_and_ends_with_0_and_no_traceback(
    start: StartExample, session: aiohttp.ClientSession
) -> None:
    api = await start(delay=0.3)
    body = json.dumps(ADA)
    reader, writer = await asyncio.open_connection(*parse_address(api.listen))
    writer.write(f"POST /users HTTP/1.1\r\nHost: api\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    # The API reads what came first first: when this is answered, the create is under way.
    async with session.get(f"http://{api.listen}/healthz") as answer:
        assert answer.status == 200
    assert await api.stop() == 0
    assert (await reader.read()).startswith(b"HTTP/1.1 201 Created\r\n")
    assert [line for line in api.said() if not line.startswith("api: ")] == []
    writer.close()
    await writer.wait_closed()


async def test_sigint_ends_it_with_0_and_no_traceback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.example", "--listen", "127.0.0.1:0", "--database", ":memory:"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    assert (await process.stderr.readline()).startswith(b"api: listening on http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert await process.stderr.read() == b""
    assert await process.wait() == 0


async def test_it_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    parent_program = (
        "import asyncio\n"
        "from gateway.commands.processes import start_example\n"
        "async def main():\n"
        f"    api = await start_example({address!r}, ':memory:', 0)\n"
        "    print('ready', flush=True)\n"
        "    await api.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", parent_program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    reader, writer = await asyncio.open_connection(*parse_address(address))
    os.kill(parent.pid, signal.SIGKILL)
    assert await parent.wait() == -signal.SIGKILL
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await parent.stdout.read()


async def test_an_address_in_use_is_told_before_anything_starts(start: StartExample, tmp_path: Path) -> None:
    api = await start()
    with pytest.raises(ChildError, match=f"cannot listen on {api.listen}: something listens there already"):
        await start_example(api.listen, ":memory:", 0, log=tmp_path / "second.log")
    assert not (tmp_path / "second.log").exists()


async def test_a_start_that_fails_tells_what_the_api_wrote(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    database = str(tmp_path / "no such directory" / "example.db")
    with pytest.raises(ChildError, match="ended with status 1 before it listened\n  api: cannot use the database"):
        await start_example(address, database, 0, log=tmp_path / "example.log")


def test_free_addresses_are_different_ones_that_the_system_gives_to_nobody_by_itself() -> None:
    """Or another program could listen there before the one that they were chosen for."""
    ports = [parse_address(address)[1] for address in free_addresses(50)]
    assert len(set(ports)) == 50
    least, most = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split())
    if (least, most) == (32768, 60999):  # as Linux has it by default
        assert [port for port in ports if least <= port <= most] == []


def test_free_addresses_leave_out_what_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = free_addresses(1)
    port = parse_address(taken)[1]
    monkeypatch.setattr(processes, "UNASSIGNED_PORTS", range(port, port + 1))
    assert free_addresses(1) == [taken]
    refusal = pytest.raises(GatewayError, match=rf"of the ports {port} to {port}, 1 must be free")
    with socket.create_server(("127.0.0.1", port)), refusal:
        free_addresses(1)


@pytest.mark.parametrize(
    ("text", "parts"), [("127.0.0.1:9000", ("127.0.0.1", 9000)), ("[::1]:9000", ("::1", 9000)), ("a:0", ("a", 0))]
)
def test_listen_addresses(text: str, parts: tuple[str, int]) -> None:
    """An address is split into host and port."""
    assert parse_address(text) == parts


@pytest.mark.parametrize("text", ["", "9000", ":9000", "a", "a:b", "a:70000", "a:1/x", "u@a:1", "::1:9000"])
def test_what_is_no_listen_address(text: str) -> None:
    """An address without host or port is refused, and the message shows a right one."""
    with pytest.raises(ValueError, match=r"write \"127\.0\.0\.1:9000\""):
        parse_address(text)
