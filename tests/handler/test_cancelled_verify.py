# A create that asks what became of another one is cancelled at each place where it waits: the answer is taken from
# nobody, and nothing is forwarded.

from pathlib import Path

import pytest

from gateway.config.schema import Config
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.front.exchange import Exchange
from gateway.proxy.handler import Handler
from gateway.upstream.open import open_upstreams
from tests.handler.cancelling import KINDS, LONGEST, OVER, CancelledAt, opened
from tests.support.client import Client, NoResponseError, create_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.upstream import RawUpstream
from tests.support.users_api import VERIFY, UsersApi, creates

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "again"), KINDS)
async def test_who_asks_and_is_cancelled_takes_the_answer_from_nobody(kind: str, again: bool, tmp_path: Path) -> None:
    """The last round, in which it ends before its cancellation would come, shows that it waits for the answer."""
    users = UsersApi()
    users.on_create = users.commit_and_close
    async with RawUpstream(users) as upstream, opened(kind, tmp_path) as store:
        verify = VerifyConfig(path=VERIFY["path"], found=VERIFY["found"])
        unique = (UniqueConfig(name="email", fields=("body.email",)),)
        rule = RuleConfig(
            name="create", match=MatchConfig(path="/users"), unique=unique, in_flight="wait", verify=verify
        )
        config = Config(upstream=UpstreamConfig(url=upstream.url), rules=(rule,))
        upstreams = open_upstreams(config)
        handler = Handler(make_rooms(config, store, upstreams))
        for number in range(1, LONGEST):
            cancelled = CancelledAt(handler, number, again=again)

            async def handle(exchange: Exchange, cancelled: CancelledAt = cancelled) -> None:
                await (cancelled if exchange.headers.first(b"x-second") else handler)(exchange)

            email = f"{number}@example.org"
            async with fronted(handle) as port, Client(port) as first, Client(port) as second, Client(port) as third:
                await first.send_raw(create_bytes(email))
                assert (await first.read_response("POST")).status == 502
                await second.send_raw(create_bytes(email, headers=[("X-Second", "1")]))
                await third.send_raw(create_bytes(email))
                assert (await third.read_response("POST")).slug == "duplicate"
                if cancelled.reached:
                    with pytest.raises(NoResponseError):
                        await second.read_response("POST")
                else:
                    assert (await second.read_response("POST")).slug == "duplicate"
                await cancelled.until(OVER)
            assert len(creates(upstream)) == number
            if not cancelled.reached:
                assert number > 1
                break
        else:
            pytest.fail(f"it waits more than {LONGEST} times")
        upstreams.close()
