# What a rule in shadow waits for, and no longer, over real connections; its patience is shorter here than it ships.

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.config.schema import Config
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.proxy import sender, shadow
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.handler import Handler
from gateway.stores.memory import MemoryStore
from gateway.transport.budget import Budget
from gateway.upstream.open import open_upstreams
from tests.support import behaviours
from tests.support.client import Client, Response, request_bytes
from tests.support.handler import fronted, make_rooms
from tests.support.shorthands import JSON
from tests.support.upstream import At, Call, RawUpstream, Stage

BODY = b'{"email":"ada"}'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "BODY_WAIT", 0.05)
    monkeypatch.setattr(sender, "ANSWER_WAIT", 0.05)


RULES = (
    RuleConfig(
        name="user",
        match=MatchConfig(path="/users"),
        mode="shadow",
        unique=(UniqueConfig(name="email", fields=("body.email",)),),
        resource="/users/{body.id}",
        verify=VerifyConfig(path="/users?email={body.email}", headers={"X-K": "k"}),
    ),
    RuleConfig(
        name="socket",
        match=MatchConfig(path="/socket", methods=("GET",)),
        mode="shadow",
        unique=(UniqueConfig(name="id", fields=("header.X-Id",)),),
    ),
)


@pytest.fixture
async def rooms(upstream: RawUpstream, impatient: None) -> AsyncIterator[HandlerDependencies]:
    config = Config(upstream=UpstreamConfig(url=upstream.url), rules=RULES)
    upstreams = open_upstreams(config)
    yield make_rooms(config, MemoryStore(), upstreams)
    upstreams.close()


@pytest.fixture
async def port(rooms: HandlerDependencies) -> AsyncIterator[int]:
    async with fronted(Handler(rooms)) as port:
        yield port


async def ask(port: int) -> Response:
    async with Client(port) as client:
        return await client.request("POST", "/users", [JSON], BODY)


async def test_a_body_that_comes_slowly_is_sent_as_it_comes(port: int, upstream: RawUpstream) -> None:
    """As without the rule, a client may send a part, and the rest once the API has said something."""
    sent = request_bytes("POST", "/users", [JSON], BODY)
    async with Client(port) as client:
        await client.send_raw(sent[:-7])
        await upstream.started.reach(1)
        assert not upstream.requests
        await client.send_raw(sent[-7:])
        seen = await client.read_response("POST")
    assert (seen.status, seen.header("Idempotency-Status")) == (201, "shadow; would=unseen")
    assert bytes(upstream.requests[0].body) == BODY
    assert (await ask(port)).header("Idempotency-Status") == "created"


async def test_an_early_answer_of_the_api_arrives_before_the_body_is_whole(port: int, upstream: RawUpstream) -> None:
    upstream.script(At(Stage.HEAD, behaviours.answer(401)))
    sent = request_bytes("POST", "/users", [JSON], BODY)
    async with Client(port) as client:
        await client.send_raw(sent[:-7])
        assert (await client.read_response("POST")).status == 401


async def test_a_streamed_answer_is_not_held_up_by_what_the_rule_wants_of_it(port: int, upstream: RawUpstream) -> None:
    """The rule would read the link from the body, which goes on."""
    goes_on = asyncio.Event()

    async def stream(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{ \n \r\n")
        await goes_on.wait()
        await call.send(b"3\r\nend\r\n0\r\n\r\n")

    upstream.script(stream)
    async with Client(port) as client:
        await client.send_raw(request_bytes("POST", "/users", [JSON], BODY))
        assert b"Idempotency-Status: created" in await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(9) == b"4\r\n{ \n \r\n"
        goes_on.set()
        assert await client.reader.readexactly(13) == b"3\r\nend\r\n0\r\n\r\n"
    assert (await ask(port)).header("Idempotency-Status") == "shadow; would=duplicate"


async def test_it_takes_no_memory_that_enforced_rules_may_need(
    port: int, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: Callable[[Budget], bool] = lambda _: True  # noqa: E731
    monkeypatch.setattr(Budget, "is_used_up", property(used))
    for _ in range(2):
        assert (await ask(port)).header("Idempotency-Status") == "shadow; would=unseen"
    assert [bytes(request.body) for request in upstream.requests] == [BODY, BODY]


async def test_an_upgrade_passes_and_claims(port: int, upstream: RawUpstream) -> None:
    upstream.script(behaviours.raw(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello"))
    fields = [("Connection", "Upgrade"), ("Upgrade", "echo"), ("X-Id", "1")]
    async with Client(port) as client:
        await client.send_raw(request_bytes("GET", "/socket", fields))
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await client.reader.readexactly(5) == b"hello"
    async with Client(port) as client:
        seen = await client.request("GET", "/socket", [("X-Id", "1")])
    assert (seen.status, seen.header("Idempotency-Status")) == (200, "shadow; would=outcome-unknown")


async def test_the_api_is_never_asked_about_an_unknown_outcome(
    port: int, rooms: HandlerDependencies, upstream: RawUpstream
) -> None:
    upstream.script(behaviours.reset_after_request())
    assert (await ask(port)).header("Idempotency-Status") == "unknown"
    assert repr(rooms.verifier) == "Verifier(UnknownCreates(0), 0 questions)"
