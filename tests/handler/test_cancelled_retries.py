# A create that waits for another one, and then gets its answer, is cancelled at each place where it waits: the other
# one is not disturbed, and whoever comes next gets that answer.

from pathlib import Path

import pytest

from gateway.config.schema import Config
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.front.exchange import Exchange
from gateway.proxy.handler import Handler
from gateway.upstream.open import open_upstreams
from tests.handler.cancelling import KINDS, LONGEST, OVER, CancelledAt, opened
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, NoResponseError, request_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.upstream import RawUpstream

pytestmark = pytest.mark.slow

BODY = b"x" * 60_000


@pytest.mark.parametrize(("kind", "again"), KINDS)
async def test_who_waits_and_is_cancelled_disturbs_nobody(
    kind: str, again: bool, tmp_path: Path, upstream: RawUpstream
) -> None:
    """The last round, in which it ends before its cancellation would come, shows that it waits where it should."""
    until_it_waits = 1 if kind == "memory" else 2
    config = Config(
        upstream=UpstreamConfig(url=upstream.url),
        rules=(
            RuleConfig(
                name="create",
                match=MatchConfig(path="/users"),
                key=KeyConfig(),
                retry="replay",
                in_flight="wait",
                max_waiting_clients=1,
            ),
        ),
    )
    upstreams = open_upstreams(config)
    async with opened(kind, tmp_path) as store:
        handler = Handler(make_rooms(config, store, upstreams))
        for number in range(1, LONGEST):
            cancelled = CancelledAt(handler, number, again=again)
            held = behaviours.Held(behaviours.answer(201, (), BODY))
            upstream.default = held
            key = ("Idempotency-Key", f"{number}-key")
            data = request_bytes("POST", "/users", [key])

            async def handle(exchange: Exchange, cancelled: CancelledAt = cancelled) -> None:
                await (cancelled if exchange.headers.first(b"x-second") else handler)(exchange)

            async with (
                fronted(handle) as port,
                Client(port) as first,
                Client(port) as second,
                Client(port) as third,
            ):
                await first.send_raw(data)
                await held.waiting.reach(1)
                await second.send_raw(request_bytes("POST", "/users", [key, ("X-Second", "1")]))
                await cancelled.until(min(number, until_it_waits))
                held.release()
                assert (await first.read_response("POST")).body == BODY
                if cancelled.reached:
                    with pytest.raises((NoResponseError, BrokenBodyError)):
                        await second.read_response("POST")
                else:
                    seen = await second.read_response("POST")
                    assert (seen.status, seen.body, seen.header("Idempotent-Replayed")) == (201, BODY, "true")
                await cancelled.until(OVER)
                await third.send_raw(data)
                seen = await third.read_response("POST")
                assert (seen.status, seen.body, seen.header("Idempotency-Status")) == (201, BODY, "replayed")
            assert len(upstream.requests) == number, "each key was forwarded once"
            if not cancelled.reached:
                assert number > until_it_waits
                break
        else:
            pytest.fail(f"it waits more than {LONGEST} times")
    upstreams.close()
