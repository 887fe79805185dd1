# What is remembered of callers that may know: for how long, of how many; and that questions which are cancelled at each
# place where they wait hold up nobody.

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway.config.schema import Config
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Duration
from gateway.front.exchange import Exchange
from gateway.proxy import authorize
from gateway.proxy.handler import Handler
from gateway.stores.memory import MemoryStore
from gateway.upstream.open import open_upstreams
from tests.handler.cancelling import LONGEST, OVER, CancelledAt
from tests.support import behaviours
from tests.support.client import Client, NoResponseError, Response, create_bytes, request_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.upstream import Call, RawUpstream, perform

CACHE = 60.0


def config(api: RawUpstream) -> Config:
    return Config(
        upstream=UpstreamConfig(url=api.url),
        rules=(
            RuleConfig(
                name="create",
                match=MatchConfig(path="/users"),
                unique=(UniqueConfig(name="email", fields=("body.email",)),),
                authorize=AuthorizeConfig(path="/me", cache=Duration(CACHE)),
            ),
        ),
    )


@asynccontextmanager
async def handling(api: RawUpstream, stopwatch: Callable[[], float] | None = None) -> AsyncIterator[Handler]:
    upstreams, store = open_upstreams(config(api)), MemoryStore()
    rooms = make_rooms(config(api), store, upstreams)
    try:
        yield Handler(rooms if stopwatch is None else msgspec.structs.replace(rooms, stopwatch=stopwatch))
    finally:
        upstreams.close()
        await store.close()


async def send(port: int, caller: str) -> Response:
    async with Client(port) as client:
        await client.send_raw(create_bytes("ada@example.org", headers=[("Authorization", caller)]))
        return await client.read_response("POST")


def asked(api: RawUpstream) -> Counter[str | None]:
    return Counter(request.header("Authorization") for request in api.requests if request.target == "/me")


async def test_a_caller_is_remembered_from_the_question_on_and_no_longer(upstream: RawUpstream) -> None:
    """The time that the API takes to answer counts: by then the caller may be unknown again."""
    now = 0.0

    async def take_time(call: Call) -> None:
        nonlocal now
        if call.request.target == "/me":
            now += 20
        await perform(behaviours.answer(201), call)

    upstream.default = take_time
    async with handling(upstream, lambda: now) as handler, fronted(handler) as port:
        assert (await send(port, "ada")).status == 201
        for now, count in ((100.0, 1), (100 + CACHE - 1, 1), (100 + CACHE, 2), (121 + CACHE, 2)):
            assert (await send(port, "ada")).slug == "duplicate"
            assert asked(upstream)["ada"] == count, f"at {now}"


async def test_of_many_callers_those_asked_about_last_are_remembered(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorize, "MAX_REMEMBERED", 2)
    async with handling(upstream) as handler, fronted(handler) as port:
        assert (await send(port, "ada")).status == 201
        for caller in ("ada", "bob", "ada", "eve", "eve", "bob", "ada"):
            assert (await send(port, caller)).slug == "duplicate"
    assert asked(upstream) == {"ada": 2, "bob": 1, "eve": 1}


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
@pytest.mark.parametrize("who", ["who asks", "who waits for the verdict"])
async def test_who_is_cancelled_amid_a_question_holds_up_nobody(who: str, again: bool, upstream: RawUpstream) -> None:
    """The last round, in which it ends before its cancellation would come, shows that it waits where it should."""
    async with handling(upstream) as handler:
        for number in range(1, LONGEST):
            cancelled = CancelledAt(handler, number, again=again)
            upstream.default = behaviours.answer(201)
            caller = ("Authorization", f"caller-{number}")
            data = create_bytes(f"{number}@example.org", headers=[caller])

            async def handle(exchange: Exchange, cancelled: CancelledAt = cancelled) -> None:
                await (cancelled if exchange.headers.first(b"x-cancelled") else handler)(exchange)

            async with fronted(handle) as port, Client(port) as first, Client(port) as second:
                await first.send_raw(data)
                assert (await first.read_response("POST")).status == 201
                upstream.default = held = behaviours.Held(behaviours.answer(200))
                marked = create_bytes(f"{number}@example.org", headers=[caller, ("X-Cancelled", "1")])
                is_asker = who == "who asks"
                await first.send_raw(marked if is_asker else data)
                if is_asker:
                    await cancelled.waits.reach(1)
                else:
                    await held.waiting.reach(1)
                await second.send_raw(data if is_asker else marked)
                if not is_asker:
                    await cancelled.waits.reach(1)
                held.release()
                to_end, other = (first, second) if is_asker else (second, first)
                assert (await other.read_response("POST")).slug == "duplicate"
                await cancelled.until(OVER)
                if cancelled.reached:
                    with pytest.raises(NoResponseError):
                        await to_end.read_response("POST")
                else:
                    assert (await to_end.read_response("POST")).slug == "duplicate"
                await other.send_raw(request_bytes("GET", "/me/too"))
                assert (await other.read_response("GET")).status == 200
            if not cancelled.reached:
                assert number > 1
                return
        pytest.fail(f"it waits more than {LONGEST} times")
