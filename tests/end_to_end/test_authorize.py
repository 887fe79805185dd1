# Who may know: what callers get of a create that exists already, by what the API says of their credentials.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response, request_bytes
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, let_it_work, post, rule
from tests.support.tally import Tally
from tests.support.upstream import Behaviour, Call, RawUpstream, perform

ADA, EVE = ("Authorization", "Bearer ada"), ("Authorization", "Bearer eve")
ORDER = {"email": "ada@example.org"}
TOLD = {"existingResourceLink", "firstSeen", "expiresAt"}
"""What an answer says of another create."""
DENIED = [("WWW-Authenticate", 'Bearer realm="api"'), ("Content-Type", "application/json"), ("X-Trace", "7")]


def orders(**changes: Any) -> dict[str, Any]:
    authorize = {"path": "/me", **changes.pop("authorize", {})}
    changes = {"resource": "header.Location", "reject_after": "0s", "authorize": authorize, **changes}
    return rule("order", "/orders", entry("body.email", name="email"), **changes)


class Api:
    """Creates for those it knows, and tells everybody else that it does not. `me` is what it answers to questions."""

    def __init__(self, refusal: int = 401) -> None:
        self.known = {ADA[1]}
        self.refusal = behaviours.answer(refusal, DENIED, b'{"error": "who are you?"}')
        self.me: Behaviour | None = None
        self.asked: Tally[Any] = Tally()

    async def __call__(self, call: Call) -> None:
        if call.request.target == "/bystander":
            await perform(behaviours.answer(200), call)
            return
        if call.request.target == "/me":
            self.asked.add(call.request)
            if self.me is not None:
                await perform(self.me, call)
                return
        elif call.request.header("Authorization") in self.known:
            await perform(behaviours.answer(201, [("Location", "/orders/1")], b"made"), call)
            return
        if call.request.header("Authorization") in self.known:
            await perform(behaviours.answer(200, (), b'{"id": 1}'), call)
        else:
            await perform(self.refusal, call)


async def send(program: GatewayProgram, *headers: tuple[str, str], **fields: Any) -> Response:
    return await post(program, "/orders", {**ORDER, **fields}, *headers)


def posts(api: RawUpstream) -> int:
    return sum(request.method == "POST" for request in api.requests)


async def test_a_stranger_gets_for_what_exists_what_the_api_tells_him_for_what_does_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    for number, refusal in enumerate((401, 403)):
        upstream.default = api = Api(refusal)
        program = await gateway(rules=[orders()])
        assert (await send(program, ADA)).status == 201
        exists, is_free = await send(program, EVE), await send(program, EVE, email="eve@example.org")
        assert (exists.status, exists.body) == (refusal, b'{"error": "who are you?"}')
        assert (exists.raw_head, exists.body) == (is_free.raw_head, is_free.body)
        assert set(DENIED) <= set(exists.headers)
        assert exists.header("Idempotency-Status") == "refused"
        line = await program.wait_for_log(event="request", outcome="unauthorized")
        assert (line["rule"], line["status"], line["upstream_status"]) == ("order", refusal, refusal)
        assert len(api.asked) == 1
        assert posts(upstream) == 2 * (number + 1)


async def test_the_caller_whom_the_api_knows_is_told_as_ever_and_asked_about_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = api = Api()
    program = await gateway(rules=[orders(key={}, retry="replay")])
    key = ("Idempotency-Key", "k-1")
    assert (await send(program, ADA, key)).status == 201
    duplicate = await send(program, ADA)
    assert (duplicate.status, duplicate.slug) == (409, "duplicate")
    assert set(duplicate.json()) >= TOLD
    replayed = await send(program, ADA, key)
    assert (replayed.status, replayed.body, replayed.header("Idempotency-Status")) == (201, b"made", "replayed")
    assert (await send(program, ADA, key, more=1)).slug == "key-reused"
    assert len(api.asked) == 1
    assert posts(upstream) == 1


async def test_the_question_is_the_callers_own_and_nothing_of_the_create(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = api = Api()
    others = rule("put", "/orders", entry("body.email"), method_override=["X-Real-Method"])
    others["match"]["methods"] = ["PUT"]
    program = await gateway(rules=[orders(authorize={"path": "/me?x=%20"}), others])
    upstream.script(behaviours.answer(201), behaviours.answer(200))
    sent = [
        ADA, ("Cookie", "s=1"), ("Accept", "application/json"), ("Accept-Encoding", "gzip"), ("Content-Language", "de"),
        ("If-Match", '"1"'), ("X-Real-Method", "POST"),
    ]  # fmt: skip
    assert (await send(program, *sent)).status == 201
    assert (await send(program, *sent)).slug == "duplicate"
    asked = upstream.requests[1]
    assert (asked.method, asked.target, bytes(asked.body)) == ("GET", "/me?x=%20", b"")
    names = {name.lower() for name, _ in asked.headers}
    assert not {name for name in names if name.startswith(("content-", "if-"))}
    assert not names & {"x-real-method", "transfer-encoding"}
    assert {("Cookie", "s=1"), ("Accept", "application/json"), ("Accept-Encoding", "gzip"), ADA} <= set(asked.headers)
    assert not api.asked, "a path with a query is another one"


UNCLEAR: dict[str, Behaviour] = {
    "status 500": behaviours.answer(500, (), b"sorry"),
    "status 404": behaviours.answer(404),
    "status 302": behaviours.answer(302, [("Location", "/login")]),
    "connection_terminated": behaviours.close_without_answer(),
    "http_response_incomplete": behaviours.half_head(status=200),
    "http_response_timeout": behaviours.never,
    "http_protocol_error": behaviours.raw(behaviours.GARBAGE[0], "close"),
    "broken off": behaviours.broken_body(status=200),
}
"""By what the log says."""


@pytest.mark.parametrize("reason", UNCLEAR)
async def test_while_the_api_says_neither_nobody_is_told_more_than_that_it_is_held(
    reason: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = api = Api()
    limits = {"response_timeout": "300ms"} if reason == "http_response_timeout" else {}
    program = await gateway(upstream=limits, rules=[orders(key={}, retry="replay")])
    key = ("Idempotency-Key", "k-1")
    assert (await send(program, ADA, key)).status == 201
    api.me = UNCLEAR[reason]
    for headers, slug, status in ((ADA,), "duplicate", 409), ((ADA, key), "duplicate", 409):
        seen = await send(program, *headers)
        assert (seen.status, seen.slug, seen.header("Idempotency-Status")) == (status, slug, "duplicate")
        assert not TOLD & set(seen.json())
        assert seen.json()["conflictField"]
    line = await program.wait_for_log(event="authorize-unclear")
    assert (line["rule"], line["reason"], line["level"]) == ("order", reason, "warning")
    api.me = None
    assert set((await send(program, ADA)).json()) >= TOLD, "nothing was remembered of it"
    assert posts(upstream) == 1


async def test_while_the_api_cannot_be_reached_an_unknown_outcome_is_told_without_its_times(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = Api()
    program = await gateway(rules=[orders(key={})])
    upstream.script(behaviours.answer(500))
    key = ("Idempotency-Key", "k-1")
    assert (await send(program, ADA, key)).status == 500
    await upstream.close()
    unknown = await send(program, ADA)
    assert (unknown.status, unknown.slug, unknown.header("Retry-After")) == (409, "outcome-unknown", "1")
    assert not TOLD & set(unknown.json())
    reused = await send(program, ADA, key, more=1)
    assert (reused.status, reused.slug) == (422, "key-reused")
    assert not TOLD & set(reused.json())
    assert (await program.wait_for_log(event="authorize-unclear"))["reason"] == "connection_refused"


async def test_only_a_known_caller_is_remembered_and_only_if_the_rule_says_so_and_until_a_reload(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = api = Api()
    each_time = {**orders(authorize={"cache": "0s"}), "name": "each-time", "match": {"path": "/each"}}
    by_user = {**orders(caller=["header.X-User"]), "name": "by-user", "match": {"path": "/by-user"}}
    program = await gateway(rules=[orders(), each_time, by_user])
    assert (await send(program, ADA)).status == 201
    assert (await post(program, "/by-user", ORDER, ADA)).status == 201
    api.me = behaviours.answer(204)

    async def asked_for(count: int, target: str, *headers: tuple[str, str]) -> None:
        before = len(api.asked)
        for _ in range(3):
            assert (await post(program, target, ORDER, *headers)).slug == "duplicate"
        assert len(api.asked) == before + count

    await asked_for(1, "/orders", ADA)
    await asked_for(1, "/orders", EVE)
    await asked_for(1, "/orders", ADA, ("Host", "other.example"))
    await asked_for(1, "/by-user", ("X-User", ADA[1]))
    await asked_for(3, "/orders")  # a cookie may tell one anonymous caller from another
    assert (await post(program, "/each", ORDER, ADA)).status == 201
    await asked_for(3, "/each", ADA)
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    await asked_for(1, "/orders", ADA)


async def test_a_refusal_is_not_remembered(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Whoever logs in is known at once, and each answer is a fresh one."""
    upstream.default = api = Api()
    program = await gateway(rules=[orders()])
    assert (await send(program, ADA)).status == 201
    for count in (1, 2):
        assert (await send(program, EVE)).status == 401
        assert len(api.asked) == count
    api.known.add(EVE[1])
    assert (await send(program, EVE)).slug == "duplicate"


async def test_many_at_once_of_one_caller_are_asked_about_once(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.default = api = Api()
    program = await gateway(rules=[orders()])
    assert (await send(program, ADA)).status == 201
    api.me = held = behaviours.Held(behaviours.answer(200))
    sent = [asyncio.create_task(send(program, ADA)) for _ in range(20)]
    await held.waiting.reach(1)
    await let_it_work(program)
    assert (len(api.asked), any(task.done() for task in sent)) == (1, False)
    held.release()
    assert {(await task).slug for task in sent} == {"duplicate"}
    assert len(api.asked) == 1


async def test_many_at_once_whom_the_api_refuses_get_an_answer_of_their_own_each(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = api = Api()
    program = await gateway(rules=[orders()])
    assert (await send(program, ADA)).status == 201

    async def numbered(call: Call) -> None:
        await perform(behaviours.answer(401, [("Set-Cookie", f"s={call.request.header('X-Number')}")]), call)

    api.me = held = behaviours.Held(numbered)
    sent = [asyncio.create_task(send(program, EVE, ("X-Number", str(number)))) for number in range(5)]
    await held.waiting.reach(1)
    held.release()
    assert [(await task).header("Set-Cookie") for task in sent] == [f"s={number}" for number in range(5)]
    assert len(api.asked) == 5


async def test_who_asked_and_leaves_takes_nobody_along(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Neither the question goes on nor those wait on that were behind it: the next of them asks."""
    upstream.default = api = Api()
    program = await gateway(rules=[orders()])
    assert (await send(program, ADA)).status == 201
    api.me = held = behaviours.Held(behaviours.answer(200))
    first = asyncio.create_task(send(program, ADA))
    await held.waiting.reach(1)
    others = [asyncio.create_task(send(program, ADA)) for _ in range(3)]
    await let_it_work(program)
    for gone, count in ((first, 2), (others.pop(1), 2)):  # who asks, then one of those behind
        gone.cancel()
        await asyncio.wait([gone])
        await held.waiting.reach(count)
        await let_it_work(program)
        assert len(api.asked) == count
    held.release()
    assert {(await task).slug for task in others} == {"duplicate"}
    lines = await program.request_lines(1)
    assert sum(line["outcome"] == "cancelled" for line in lines) == 2


async def test_a_stranger_takes_no_place_of_those_that_wait(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.default = api = Api()
    program = await gateway(rules=[orders(in_flight="wait", wait_timeout="60s", max_waiting_clients=1)])
    held = behaviours.Held(behaviours.answer(400))
    upstream.script(held)
    first = asyncio.create_task(send(program, ADA))
    await held.waiting.reach(1)
    for _ in range(3):
        assert (await send(program, EVE)).status == 401
    second = asyncio.create_task(send(program, ADA))
    await api.asked.reach(4)
    await let_it_work(program)
    assert not second.done()
    held.release()
    assert ((await first).status, (await second).status) == (400, 201)


async def test_a_body_is_asked_for_whether_it_exists_or_not(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Otherwise a client that waits for 100 Continue could tell."""
    upstream.default = Api()
    by_header = {**orders(), "unique": [entry("header.X-Ref", name="ref")]}
    program = await gateway(rules=[by_header])
    assert (await post(program, "/orders", None, ADA, ("X-Ref", "exists"))).status == 201
    for ref in ("exists", "is-free"):
        async with Client(program.port) as client:
            await client.send_raw(
                request_bytes("POST", "/orders", [EVE, ("X-Ref", ref), ("Expect", "100-continue"), JSON], b"{}")[:-2]
            )
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send_raw(b"{}")
            assert (await client.read_response("POST")).status == 401


async def test_a_refusal_is_passed_on_as_it_comes(upstream: RawUpstream, gateway: StartGateway) -> None:
    """However long, in whatever framing; a field of the gateway's own name is dropped, one that breaks off shows it."""
    upstream.default = api = Api()
    program = await gateway(rules=[orders()])
    assert (await send(program, ADA)).status == 201
    pieces = [bytes([at]) * 50_000 for at in range(4)]
    api.me = behaviours.chunked(pieces, 401, [("Idempotency-Status", "created")])
    seen = await send(program, EVE)
    assert seen.body == b"".join(pieces)
    assert wire.values(seen.headers, "Idempotency-Status") == ["refused"]
    api.me = behaviours.broken_body(status=401)
    with pytest.raises(ConnectionError, match="the body of a 401 broke off"):
        await send(program, EVE)
