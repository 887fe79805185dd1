# What is deleted and changed, with each kind of store, and with two gateways on one that they share: one deletes and
# changes what the other one has created.

import asyncio
from typing import NamedTuple

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.behaviours import Held
from tests.support.changes import GONE, OK, REFUSED, change, create, delete, followed, made, told
from tests.support.program import GatewayProgram
from tests.support.shared import BACKENDS, common
from tests.support.upstream import RawUpstream

A, B, C = "a@example.org", "b@example.org", "c@example.org"


class Pair(NamedTuple):
    """Two gateways in front of one API, or the same one twice where a store belongs to one."""

    one: GatewayProgram
    two: GatewayProgram
    api: RawUpstream


@pytest.fixture(params=["sqlite", *BACKENDS])
async def pair(request: pytest.FixtureRequest, upstream: RawUpstream, gateway: StartGateway) -> Pair:
    rules = [followed(in_flight="wait")]
    if request.param == "sqlite":
        one = await gateway(rules=rules)
        return Pair(one, one, upstream)
    store = {"failover_grace": "100ms", **common(request.param)}
    secret = {"key": "a secret that all gateways share, as they must"}
    one = await gateway(store=store, rules=rules, fingerprint=secret)
    return Pair(one, await gateway(store=store, rules=rules, fingerprint=secret), upstream)


async def test_things_come_and_go_under_their_names(pair: Pair) -> None:
    one, two, api = pair
    api.script(made("/users/1"), OK, OK, REFUSED, made("/users/2"), GONE, made("/users/3"))
    assert told(await create(one, A)) == (201, "created")
    assert told(await change(two, "/users/1", A, method="PUT")) == (200, "updated")
    assert told(await change(two, "/users/1", B)) == (200, "updated")
    assert told(await change(one, "/users/1", C)) == (422, "refused")
    assert told(await create(one, A)) == (201, "created")
    assert told(await create(two, B)) == (409, "duplicate")
    assert told(await change(two, "/users/2", B)) == (409, "duplicate")
    assert told(await delete(one, "/users/1")) == (204, "released")
    while told(seen := await create(two, B)) == (409, "duplicate"):
        pass  # what another gateway has freed may be a duplicate to this one for a second
    assert told(seen) == (201, "created")


async def test_changes_of_a_thing_go_one_after_the_other(pair: Pair) -> None:
    one, two, api = pair
    held, retried = Held(OK), Held(OK)
    api.script(made("/users/1"), held, behaviours.close_without_answer(), retried)
    assert told(await create(one, A)) == (201, "created")
    first = asyncio.create_task(change(one, "/users/1", B))
    await held.waiting.reach(1)
    second = asyncio.create_task(change(two, "/users/1", C))
    assert told(await create(two, A)) == (409, "duplicate")
    assert len(api.requests) == 2
    held.release()
    assert told(await first) == (200, "updated")
    assert told(await second) == (502, "outcome-unknown")
    again = asyncio.create_task(change(one, "/users/1", C))
    await retried.waiting.reach(1)
    twice = asyncio.create_task(change(two, "/users/1", C))
    assert told(await change(two, "/users/1", A)) == (409, "outcome-unknown")
    assert told(await create(two, C)) == (409, "outcome-unknown")
    assert len(api.requests) == 4
    retried.release()
    assert {told(await again), told(await twice)} == {(200, "updated")}
    assert told(await create(two, C)) == (409, "duplicate")
    assert told(await change(one, "/users/1", A)) == (409, "outcome-unknown")
    api.script(GONE)
    assert told(await delete(two, "/users/1")) == (204, "released")
    seen = await create(one, C)
    assert told(seen) == (409, "duplicate")
    assert "expiresAt" in seen.json(), "the unanswered change may still be done"
