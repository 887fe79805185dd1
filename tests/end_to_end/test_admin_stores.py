# Operators of several gateways that share a store: each sees and frees what another one left.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.client import create
from tests.support.program import Table
from tests.support.shared import BACKENDS, Backend, common
from tests.support.upstream import RawUpstream

ADA, BOB, CAT = "ada@example.org", "bob@example.org", "cat@example.org"
SECRET: Table = {"key": "a secret that all gateways share, as they must"}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_one_gateway_frees_what_another_one_left(
    backend: Backend, upstream: RawUpstream, gateway: StartGateway
) -> None:
    store = {"failover_grace": "100ms", **common(backend)}
    one, two = [await gateway(store=store, fingerprint=SECRET) for _ in range(2)]
    operator = Operator(two)
    for email in (ADA, BOB):
        upstream.script(behaviours.reset_after_request())
        assert (await create(one.port, email)).slug == "outcome-unknown"
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(one.port, CAT))
    await held.waiting.reach(1)
    first, second = [claim["fingerprint"] for claim in await operator.claims("state=unknown")]
    (flying,) = [claim["fingerprint"] for claim in await operator.claims("state=in_flight")]
    for digits in (first, first[:12], flying[:12]):
        assert (await operator.ask("GET", f"/claims/{digits}")).status == 200
    assert (await operator.post(f"/claims/{flying}/release", reason="impatient")).status == 409
    settlement = {"as": "created", "link": "/users/7", "reason": "in the table"}
    assert (await operator.post(f"/claims/{second[:12]}/settle", **settlement)).status == 200
    assert (await operator.post(f"/claims/{first[:12]}/release", reason="not in the table")).status == 200
    assert (await operator.ask("GET", f"/claims/{second[:12]}")).status == 404, "it is found by all its digits only"
    assert (await operator.ask("GET", f"/claims/{second}")).status == 200
    upstream.script(behaviours.answer(201))
    answers = {(await create(one.port, email)).slug or "created" for email in (ADA, BOB)}
    assert answers == {"created", "duplicate"}
    held.release()
    assert (await creating).status == 201
    status = await operator.get("/status")
    assert (status["store"]["kind"], status["store"]["healthy"]) == (backend, True)
