# Several gateways on one server: each identity reaches the API once, whichever of them is asked, and whatever becomes
# of one of them, or of the server.

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import create
from tests.support.program import GatewayProgram, StartError, create_user_rule
from tests.support.shared import BACKENDS, Backend, OwnServer, common, empty, own_server
from tests.support.upstream import RawUpstream

SECRET = {"key": "a secret that all gateways share, as they must"}
ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"
KEYED = [("Idempotency-Key", '"k-1"')]
StartNode = Callable[..., Awaitable[GatewayProgram]]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
def node(gateway: StartGateway, backend: Backend) -> StartNode:
    """Starts one of the gateways that share claims, on the server of these tests or another one."""
    usual = common(backend)

    async def start(server: OwnServer | None = None, *, settings: Any = None, **changes: Any) -> GatewayProgram:
        store = usual if server is None else {"url": server.url, "prefix": usual["prefix"]}
        store = {"failover_grace": "300ms", **store}
        return await gateway(store={**store, **(settings or {})}, **{"fingerprint": SECRET, **changes})

    start.prefix = usual["prefix"]  # type: ignore[attr-defined]
    return start


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
    settings = {"node_timeout": "2s"}
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
    assert (await two.wait_for_log(event="recovered"))["unknown"] == 1
    assert len(upstream.requests) == 1


async def test_a_gateway_that_stood_still_settles_what_it_had_in_flight(upstream: RawUpstream, node: StartNode) -> None:
    settings = {"node_timeout": "2s"}
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
    assert await first_other_than("outcome-unknown", two, ADA) == "duplicate"
    assert len(upstream.requests) == 1


async def test_a_server_that_restarts_keeps_what_it_confirmed(
    upstream: RawUpstream, node: StartNode, backend: Backend
) -> None:
    async with own_server(backend) as server:
        program = await node(server)
        assert (await create(program.port, ADA)).status == 201
        await server.stop()
        seen = await create(program.port, BOB)
        assert (seen.status, seen.slug) == (503, "store-unavailable")
        await server.start()
        await until_it_takes(program, BOB)
        assert (await create(program.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 2


async def test_what_a_server_lost_is_put_back_before_anything_is_forwarded(
    upstream: RawUpstream, node: StartNode, backend: Backend
) -> None:
    """Its data is gone, as after a failover to a replica that had nothing."""
    upstream.script(behaviours.answer(201), behaviours.close_without_answer())
    async with own_server(backend) as server:
        one, two = await node(server), await node(server)
        assert (await create(one.port, ADA)).status == 201
        assert (await create(two.port, BOB)).slug == "outcome-unknown"
        held = behaviours.Held(behaviours.answer(201))
        upstream.script(held)
        sending = asyncio.create_task(create(one.port, EVE))
        await held.waiting.reach(1)
        await server.stop()
        await server.lose()
        await server.start()
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
    upstream: RawUpstream, node: StartNode, backend: Backend
) -> None:
    async with own_server(backend) as server:
        one = await node(server)
        assert (await create(one.port, ADA)).status == 201
        await server.stop()
        await server.lose()
        await server.start()
        two = await node(server)
        assert (await create(two.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 1


async def test_a_server_that_was_emptied_is_filled_again(
    upstream: RawUpstream, node: StartNode, backend: Backend
) -> None:
    async with own_server(backend) as server:
        program = await node(server)
        assert (await create(program.port, ADA)).status == 201
        await empty(backend, server, node.prefix)  # type: ignore[attr-defined]
        await until_it_takes(program, BOB)
        assert (await create(program.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 2


ALIKE = [
    ("valkey", {"appendonly": "no"}, {}, "appendonly is no, so that a restart of the server forgets claims"),
    ("valkey", {"maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"}, {}, "maxmemory-policy is allkeys-lru"),
    ("valkey", {"appendfsync": "everysec"}, {"durability": "power"}, "appendfsync is not always"),
    ("valkey", {}, {"replicas": 1}, "has 0 replicas, and store.replicas demands 1"),
    ("postgresql", {"fsync": "off"}, {}, "fsync is off, so that a crash of its machine destroys what it keeps"),
    ("postgresql", {"full_page_writes": "off"}, {}, "full_page_writes is off"),
    ("postgresql", {"synchronous_commit": "off"}, {}, "synchronous_commit is off, so that a crash of the server takes"),
    ("postgresql", {"synchronous_commit": "local"}, {"durability": "power"}, "synchronous_commit is local"),
    ("postgresql", {}, {"replicas": 1}, "waits for 0 standbys, and store.replicas demands 1"),
    ("postgresql", {"default_transaction_isolation": "serializable"}, {}, "default_transaction_isolation is serial"),
]


@pytest.mark.parametrize(("backend", "server", "settings", "says"), ALIKE)
async def test_a_server_that_may_lose_what_it_confirmed_is_refused(
    backend: Backend, server: dict[str, str], settings: dict[str, Any], says: str, node: StartNode
) -> None:
    async with own_server(backend, **server) as own:
        with pytest.raises(StartError, match=says) as told:
            await node(own, settings=settings)
        assert told.value.code == 1


@pytest.mark.parametrize(
    ("backend", "server"), [("valkey", {"appendonly": "no"}), ("postgresql", {"synchronous_commit": "off"})]
)
async def test_a_server_is_trusted_where_the_file_says_so(
    upstream: RawUpstream, node: StartNode, backend: Backend, server: dict[str, str]
) -> None:
    async with own_server(backend, **server) as own:
        program = await node(own, settings={"trust_server": True})
        assert (await create(program.port, ADA)).status == 201
        (line,) = events(program, "store-connected")
        assert line["settings"] == "trusted"
        assert line["server"] == {"valkey": f"{own.url}/0", "postgresql": own.url.replace("postgres@", "")}[backend]


async def test_another_secret_is_refused(node: StartNode) -> None:
    await node()
    with pytest.raises(StartError, match="written with another fingerprint key"):
        await node(fingerprint={"key": "another secret that none of the others has got"})


@pytest.mark.parametrize("url", ["valkey://:hunter2@127.0.0.1:1", "postgresql://u:hunter2@127.0.0.1:1/claims"])
async def test_no_server_is_a_clear_error(gateway: StartGateway, url: str) -> None:
    with pytest.raises(StartError, match="the store cannot be used: the server does not answer") as told:
        await gateway(store=url, fingerprint=SECRET)
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
