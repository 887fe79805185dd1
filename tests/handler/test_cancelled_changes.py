# A change of what was created, and a delete of it, are cancelled at each place where they wait: what the API has is
# held then, nothing is left in flight, and the same request goes on.

import json
from pathlib import Path

import pytest

from gateway.config.schema import Config
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.front.exchange import Exchange
from gateway.model import State
from gateway.proxy.handler import Handler
from gateway.upstream.open import open_upstreams
from tests.handler.cancelling import KINDS, LONGEST, OVER, CancelledAt, entries, opened
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, NoResponseError, request_bytes
from tests.support.handler import FINGERPRINTER, NOW, fronted, make_rooms
from tests.support.shorthands import JSON
from tests.support.upstream import Call, RawUpstream, perform

pytestmark = pytest.mark.slow


class Things:
    """An API with things that have an e-mail address each. Mutable state: these, by path."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.made = 0

    async def __call__(self, call: Call) -> None:
        request = call.request
        if request.method == "POST":
            self.made += 1
            self.there[f"/users/{self.made}"] = json.loads(request.body)["email"]
            await perform(behaviours.answer(201, [("Location", f"/users/{self.made}")]), call)
        elif request.target not in self.there:
            await perform(behaviours.answer(404), call)
        elif request.method == "DELETE":
            del self.there[request.target]
            await perform(behaviours.answer(204), call)
        else:
            self.there[request.target] = json.loads(request.body)["email"]
            await perform(behaviours.answer(200), call)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(("kind", "again"), KINDS)
async def test_what_is_cancelled_holds_all_that_the_api_has(
    kind: str, again: bool, method: str, tmp_path: Path, upstream: RawUpstream
) -> None:
    """The last round, in which it ends before its cancellation would come, shows that it does what it should."""
    rule = RuleConfig(
        name="create",
        match=MatchConfig(path="/users"),
        unique=entries("body.email"),
        resource="header.Location",
        release=(ReleaseConfig(path="/users/{id}"),),
        update=(UpdateConfig(path="/users/{id}"),),
    )
    config = Config(upstream=UpstreamConfig(url=upstream.url), rules=(rule,))
    upstreams = open_upstreams(config)
    upstream.default = things = Things()
    async with opened(kind, tmp_path) as store:
        handler = Handler(make_rooms(config, store, upstreams))

        async def states(*emails: str) -> list[State | None]:
            """What is held of these; nothing at all may be in flight."""
            await store.ping(NOW)
            assert all(record.state is not State.IN_FLIGHT for record in await store.scan(b"", 1000, NOW))
            prints = [FINGERPRINTER.fingerprint("create", "body.email", (), (email,)) for email in emails]
            records = [await store.get(each, NOW) for each in prints]
            return [None if record is None else record.state for record in records]

        for number in range(1, LONGEST):
            cancelled = CancelledAt(handler, number, again=again)
            old, new, target = f"old-{number}", f"new-{number}", f"/users/{things.made + 1}"
            body = None if method == "DELETE" else json.dumps({"email": new}).encode()

            async def handle(exchange: Exchange, cancelled: CancelledAt = cancelled) -> None:
                await (cancelled if exchange.headers.first(b"x-second") else handler)(exchange)

            async with fronted(handle) as port, Client(port) as first, Client(port) as second, Client(port) as third:
                made = await first.request("POST", "/users", [JSON], json.dumps({"email": old}).encode())
                assert made.status == 201
                await second.send_raw(request_bytes(method, target, [JSON, ("X-Second", "1")], body))
                await cancelled.until(OVER)
                if cancelled.reached:
                    with pytest.raises((NoResponseError, BrokenBodyError)):
                        await second.read_response(method)
                else:
                    seen = await second.read_response(method)
                    assert seen.header("Idempotency-Status") == ("released" if method == "DELETE" else "updated")
                of_old, of_new = await states(old, new)
                has = things.there.get(target)
                assert of_old is not None or has != old, "what the API has is free"
                assert of_new is not None or has != new, "what the API has is free"
                assert of_old in {None, State.CREATED}
                if not cancelled.reached:
                    assert (of_old, of_new) == (None, None if method == "DELETE" else State.CREATED)
                seen = await third.request(method, target, [JSON], body)
                if method == "PATCH":
                    assert seen.header("Idempotency-Status") == "updated", "it is stuck"
                    assert await states(old, new) == [None, State.CREATED]
            if not cancelled.reached:
                assert number > (1 if kind == "memory" else 3), "it waits for the store, the API, and the store"
                break
        else:
            pytest.fail(f"it waits more than {LONGEST} times")
    upstreams.close()
