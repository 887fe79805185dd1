# Creates that wait for one that another gateway has in flight, whatever becomes of what tells them of its end.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response, create
from tests.support.postgresql_store import until
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.request import Request
from tests.support.shared import BACKENDS, Backend, common, deafen, listeners
from tests.support.shorthands import let_it_work
from tests.support.upstream import Call, RawUpstream, perform

ADA, BOB, EVE, JOE = "ada@example.org", "bob@example.org", "eve@example.org", "joe@example.org"


class Two:
    """Two gateways, and what tells them of each other."""

    def __init__(self, backend: Backend, prefix: str, programs: list[GatewayProgram]) -> None:
        self.backend = backend
        self.prefix = prefix
        self.one, self.two = programs

    async def listen(self, count: int) -> bool:
        """Whether so many of them listen."""
        return await listeners(self.backend, self.prefix) == count


@pytest.fixture(params=BACKENDS)
async def two(request: pytest.FixtureRequest, gateway: StartGateway) -> Two:
    store = common(request.param)
    settings: dict[str, Any] = {
        "store": {"failover_grace": "300ms", **store},
        "fingerprint": {"key": "a secret that all gateways share, as they must"},
        "rules": [create_user_rule(in_flight="wait", wait_timeout="60s")],
    }
    return Two(request.param, store["prefix"], await asyncio.gather(*[gateway(**settings) for _ in range(2)]))


async def waiting(
    gateways: Two, upstream: RawUpstream, email: str, count: int = 1, status: int = 201
) -> tuple[behaviours.Held, "asyncio.Task[Response]", list["asyncio.Task[Response]"]]:
    """A create at the API, and others that wait for it at the other gateway, in their order."""
    held = behaviours.Held(behaviours.answer(status))
    upstream.script(held)
    first = asyncio.create_task(create(gateways.one.port, email))
    await held.waiting.reach(1)
    others = []
    for number in range(count):
        headers = [("X-Number", str(number))]
        others.append(asyncio.create_task(create(gateways.two.port, email, headers=headers)))
        await let_it_work(gateways.two)
        await create(gateways.two.port, f"{email} {number}")  # the store answers it after that
    return held, first, others


async def refuse_creates(call: Call) -> None:
    await perform(behaviours.answer(200 if call.request.method == "GET" else 401), call)


def creates(upstream: RawUpstream) -> list[Request]:
    """Those that waited, or were waited for."""
    found = [request for request in upstream.requests if request.method == "POST"]
    return [request for request in found if request.value("body.email") in {ADA, BOB, EVE, JOE}]


async def test_those_that_wait_hear_of_the_end_in_their_order_also_after_what_tells_them_was_cut(
    upstream: RawUpstream, two: Two
) -> None:
    assert await two.listen(0), "nobody waits yet"
    for email, is_cut in ((ADA, False), (BOB, True), (EVE, False)):
        held, first, (other,) = await waiting(two, upstream, email)
        await until(lambda: two.listen(1))
        if is_cut:
            await deafen(two.backend)
        assert not other.done()
        held.release()
        assert (await first).status == 201
        assert (await other).slug == "duplicate"
    await until(lambda: two.listen(1))
    assert len(creates(upstream)) == 3
    # What another gateway frees goes to who has waited longest.
    upstream.default = refuse_creates
    held, first, others = await waiting(two, upstream, JOE, count=6, status=401)
    held.release()
    assert (await first).status == 401
    assert {(await other).status for other in others} == {401}
    order = [request.header("X-Number") for request in creates(upstream)[4:]]
    assert order == [str(number) for number in range(6)]
