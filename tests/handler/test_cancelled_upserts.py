# A duplicate that is sent to what exists is cancelled at each place where it waits, with the thing there and with the
# thing gone: nothing is made twice, nothing is left in flight, and whoever comes next is told what is true.

import json
from pathlib import Path

import pytest

from gateway.config.schema import Config
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
    """An API whose things can be deleted behind the gateway's back. Mutable state: who is there, by path."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.made = 0

    async def __call__(self, call: Call) -> None:
        if call.request.method == "POST":
            email = json.loads(call.request.body)["email"]
            assert email not in self.there.values(), "made twice"
            self.made += 1
            self.there[f"/users/{self.made}"] = email
            await perform(behaviours.answer(201, [("Location", f"/users/{self.made}")]), call)
        else:
            await perform(behaviours.answer(200 if call.request.target in self.there else 404), call)


@pytest.mark.parametrize("is_gone", [False, True], ids=["there", "gone"])
@pytest.mark.parametrize(("kind", "again"), KINDS)
async def test_an_upsert_that_is_cancelled_makes_nothing_up(
    kind: str, again: bool, is_gone: bool, tmp_path: Path, upstream: RawUpstream
) -> None:
    """The last round, in which it ends before its cancellation would come, shows that it does what it should."""
    config = Config(
        upstream=UpstreamConfig(url=upstream.url),
        rules=(
            RuleConfig(
                name="create",
                match=MatchConfig(path="/users"),
                unique=entries("body.email"),
                resource="header.Location",
                duplicate="upsert",
            ),
        ),
    )
    upstreams = open_upstreams(config)
    upstream.default = things = Things()
    async with opened(kind, tmp_path) as store:
        handler = Handler(make_rooms(config, store, upstreams))
        for number in range(1, LONGEST):
            cancelled = CancelledAt(handler, number, again=again)
            body = json.dumps({"email": str(number)}).encode()

            async def handle(exchange: Exchange, cancelled: CancelledAt = cancelled) -> None:
                await (cancelled if exchange.headers.first(b"x-second") else handler)(exchange)

            async with fronted(handle) as port, Client(port) as first, Client(port) as second, Client(port) as third:
                assert (await first.request("POST", "/users", [JSON], body)).status == 201
                if is_gone:
                    things.there.clear()
                await second.send_raw(request_bytes("POST", "/users", [JSON, ("X-Second", "1")], body))
                await cancelled.until(OVER)
                if cancelled.reached:
                    with pytest.raises((NoResponseError, BrokenBodyError)):
                        await second.read_response("POST")
                else:
                    seen = await second.read_response("POST")
                    assert seen.header("Idempotency-Status") == ("created" if is_gone else "upserted")
                await store.ping(NOW)
                record = await store.get(FINGERPRINTER.fingerprint("create", "body.email", (), (str(number),)), NOW)
                assert record is None or record.state is not State.IN_FLIGHT
                assert is_gone or (record is not None and record.state is State.CREATED)
                seen = await third.request("POST", "/users", [JSON], body)
                assert seen.header("Idempotency-Status") in (
                    {"created", "upserted", "unknown"} if is_gone else {"upserted"}
                )
            if not cancelled.reached:
                assert number > (2 if is_gone else 1), "it waits for the API, each time that it asks"
                break
        else:
            pytest.fail(f"it waits more than {LONGEST} times")
    upstreams.close()
