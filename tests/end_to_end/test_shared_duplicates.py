# What a gateway answers from memory while others change what is there, and once the server is gone.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.shared import BACKENDS, Backend, own_server
from tests.support.shorthands import post
from tests.support.upserts import ADA, USER, lines, told, users
from tests.support.upstream import Call, RawUpstream, perform


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_is_known_of_a_thing_leads_nobody_astray(
    upstream: RawUpstream, gateway: StartGateway, backend: Backend
) -> None:
    """One gateway finds the thing gone, and makes it anew; to the other it was there a moment ago."""
    is_gone = False

    async def api(call: Call) -> None:
        line = f"{call.request.method} {call.request.target}"
        if line == "POST /users":
            await perform(behaviours.answer(201, [("Location", "/users/8" if is_gone else "/users/7")]), call)
        else:
            await perform(behaviours.answer(404 if is_gone and line == "PUT /users/7" else 200), call)

    secret = {"key": "a secret that all gateways share, as they must"}
    async with own_server(backend) as server:
        store = {"url": server.url, "failover_grace": "300ms"}
        one, two = await asyncio.gather(*[gateway(store=store, fingerprint=secret, rules=[users()]) for _ in range(2)])
        upstream.default = api
        assert told(await post(one, "/users", USER, ADA)) == (201, "created", None)
        for _ in range(2):
            assert told(await post(two, "/users", USER, ADA)) == (200, "upserted", None)
        is_gone = True
        assert told(await post(one, "/users", USER, ADA)) == (201, "created", None)
        assert told(await post(two, "/users", USER, ADA)) == (200, "upserted", None)
        assert [line for line in lines(upstream) if line.startswith("POST")] == ["POST /users"] * 2
        assert lines(upstream)[-1] == "PUT /users/8"
        await server.stop()
        while told(seen := await post(two, "/users", USER, ADA)) == (200, "upserted", None):
            pass  # each round trip takes its time
        assert (seen.status, seen.slug) == (503, "store-unavailable")
