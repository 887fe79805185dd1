# What rules promise holds between gateways, too: what one has stored, another one answers by.

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response
from tests.support.program import GatewayProgram
from tests.support.scrape import scrape
from tests.support.shared import BACKENDS, Backend, common
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import RawUpstream
from tests.support.users_api import UsersApi, creates, questions, verified_rule

ADA, EVE = ("Authorization", "Bearer ada"), ("Authorization", "Bearer eve")
KEY = ("Idempotency-Key", '"k-1"')
IN_JSON = [("Content-Type", "application/json")]
LARGE = bytes(range(256)) * 1000
"""An answer of 250 KiB."""
EMAIL = entry("body.email", name="email")
RULES = [
    verified_rule(),
    verified_rule({"headers": {"Authorization": "Bearer gateway"}}, name="own", match={"path": "/own"}),
    rule("order", "/orders", EMAIL, resource="header.Location", authorize={"path": "/me"}),
    rule("profile", "/profiles", EMAIL, resource="header.Location", duplicate="upsert"),
    rule("document", "/documents", EMAIL, key={}, retry="replay", replay_limit="512KiB"),
    rule("tag", "/tags", EMAIL, exists=["409"]),
    rule("code", "/codes", EMAIL, keep="300ms", unknown_hold="300ms"),
    rule(
        "invite",
        "/invites",
        entry("item.email", name="email"),
        each="body.items",
        item_status="body.results.status",
        resource="/users/{body.results.id}",
    ),
]


class Pair(NamedTuple):
    """Two gateways on one server, in front of one API."""

    one: GatewayProgram
    two: GatewayProgram
    api: RawUpstream
    users: UsersApi


@pytest.fixture(params=BACKENDS)
async def pair(request: pytest.FixtureRequest, users: UsersApi, upstream: RawUpstream, gateway: StartGateway) -> Pair:
    backend: Backend = request.param
    settings: dict[str, Any] = {"store": {"failover_grace": "100ms", **common(backend)}, "rules": RULES}
    secret = {"key": "a secret that all gateways share, as they must"}
    one = await gateway(**settings, fingerprint=secret)
    return Pair(one, await gateway(**settings, fingerprint=secret), upstream, users)


async def send(program: GatewayProgram, path: str, name: str, *headers: tuple[str, str], **more: Any) -> Response:
    return await post(program, path, {"email": f"{name}@example.org", **more}, *headers)


async def until(slug: str | None, ask: Callable[[], Awaitable[Response]]) -> Response:
    """Ask until the answer has a slug; None for one of the API's."""
    while (seen := await ask()).slug != slug:
        pass
    return seen


async def test_each_kind_of_rule_works_between_gateways(pair: Pair) -> None:
    for check in (found_out, asked_first, changed, replayed, by_item, run_out, reloaded):
        await check(pair)
    for program, outcomes in (
        (pair.one, ("created", "outcome-unknown")),
        (pair.two, ("duplicate", "replayed", "upserted")),
    ):
        metrics = await scrape(program)
        requests = [sample for sample in metrics.families["gateway_requests"].samples if sample.value]
        assert {sample.labels["outcome"] for sample in requests} >= set(outcomes)


async def found_out(pair: Pair) -> None:
    """An outcome that one does not know, the other one asks about; with credentials, the first one by itself."""
    one, two, api, users = pair
    users.on_create = users.commit_and_close
    assert (await send(one, "/users", "made")).slug == "outcome-unknown"
    seen = await send(two, "/users", "made")
    assert (seen.slug, seen.json()["existingResourceLink"]) == ("duplicate", "/users/1")
    users.on_create = users.lose
    assert (await send(one, "/users", "lost")).slug == "outcome-unknown"
    assert (await send(one, "/own", "own")).slug == "outcome-unknown"
    users.on_create = users.commit
    assert (await until(None, lambda: send(two, "/users", "lost"))).status == 201
    assert (await send(one, "/users", "lost")).slug == "duplicate"
    await one.wait_for_log(event="verified", by="background", verdict="absent")
    asked = len(questions(api))
    assert (await send(two, "/own", "own")).status == 201
    assert len(questions(api)) == asked, "what was found out is known to all"
    metrics = await scrape(two)
    assert metrics.value("gateway_verify_total", rule="create-user", verdict="exists") == 1


async def asked_first(pair: Pair) -> None:
    one, two, api, _ = pair
    assert (await send(one, "/orders", "ada", ADA)).status == 201
    api.script(behaviours.answer(401))
    assert (await send(two, "/orders", "ada", EVE)).status == 401
    assert api.requests[-1].target == "/me"
    assert (await send(two, "/orders", "ada", ADA)).slug == "duplicate"


async def changed(pair: Pair) -> None:
    """A thing that is gone can be made again, by whichever is asked."""
    one, two, api, _ = pair
    api.script(behaviours.answer(201, [("Location", "/things/7")]), behaviours.answer(200), behaviours.answer(410))
    assert (await send(one, "/profiles", "ada", ADA)).status == 201
    assert (await send(two, "/profiles", "ada", ADA)).header("Idempotency-Status") == "upserted"
    assert (await send(two, "/profiles", "ada", ADA)).status == 201
    lines = [f"{request.method} {request.target}" for request in api.requests[-4:]]
    assert lines == ["POST /profiles", "PUT /things/7", "PUT /things/7", "POST /profiles"]


async def replayed(pair: Pair) -> None:
    one, two, api, _ = pair
    api.script(behaviours.answer(201, [("ETag", '"7"')], LARGE))
    assert (await send(one, "/documents", "ada", ADA, KEY)).body == LARGE
    again = await send(two, "/documents", "ada", ADA, KEY)
    assert (again.status, again.body, again.header("ETag")) == (201, LARGE, '"7"')
    assert again.header("Idempotent-Replayed") == "true"
    assert (await send(two, "/documents", "ada", ADA, KEY, size=2)).slug == "key-reused"
    api.script(behaviours.answer(409))
    assert (await send(one, "/tags", "ada")).status == 409
    assert (await send(two, "/tags", "ada")).slug == "duplicate"


async def by_item(pair: Pair) -> None:
    one, two, api, _ = pair
    names = [{"email": f"{name}@example.org"} for name in ("made", "refused", "failed")]
    results = [{"status": 201, "id": 7}, {"status": 422}, {"status": 500}]
    api.script(behaviours.answer(207, IN_JSON, json.dumps({"results": results}).encode()), behaviours.answer(201))
    assert (await post(one, "/invites", {"items": names})).status == 207
    seen = (await post(two, "/invites", {"items": names})).json()["conflicts"]
    assert [(found["index"], found["type"].rpartition(":")[2]) for found in seen] == [
        (0, "duplicate"),
        (2, "outcome-unknown"),
    ]
    assert seen[0]["existingResourceLink"] == "/users/7"
    assert (await post(two, "/invites", {"items": names[1:2]})).status == 201


async def run_out(pair: Pair) -> None:
    """What is kept for a while, and what is unknown for a while, is free to all then."""
    one, two, api, users = pair
    assert (await send(one, "/codes", "kept")).status == 201
    users.on_create = users.lose
    assert (await send(one, "/codes", "unknown")).slug == "outcome-unknown"
    users.on_create = users.commit
    for name in ("kept", "unknown"):
        assert (await until(None, lambda name=name: send(two, "/codes", name))).status == 201  # type: ignore[misc]
    lapsed = await two.wait_for_log(event="unknown-lapsed")
    assert lapsed["rule"] == "code"
    assert sum(request.target == "/codes" for request in creates(api)) == 4


async def reloaded(pair: Pair) -> None:
    """Rules may change while claims are held, and in flight."""
    one, two, api, _ = pair
    held = behaviours.Held(behaviours.answer(201))
    api.script(held)
    sending = asyncio.create_task(send(one, "/tags", "held"))
    await held.waiting.reach(1)
    text = one.file.read_text(encoding="utf-8").replace('"/codes"', '"/vouchers"')
    one.file.write_text(text, encoding="utf-8")
    one.hang_up()
    await one.wait_for_log(event="reloaded")
    assert (await send(two, "/tags", "held")).slug == "in-progress"
    held.release()
    assert (await sending).status == 201
    assert (await send(two, "/tags", "held")).slug == "duplicate"
    assert (await send(one, "/documents", "ada", ADA, KEY)).body == LARGE
