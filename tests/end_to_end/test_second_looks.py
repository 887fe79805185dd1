# Ways to break the promise, or to hang, that look harmless at first sight.

import os
import signal

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import Client, create, create_bytes, problem_slug, request_bytes
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream

GUARDED_GET = create_user_rule(
    match={"methods": ["GET"], "path": "/create"}, unique=[{"name": "ref", "fields": ["query.ref"]}]
)


async def test_a_guarded_get_is_not_sent_twice_either(upstream: RawUpstream, gateway: StartGateway) -> None:
    """What is safe by its method may still create something where a rule says so."""
    program = await gateway(rules=[GUARDED_GET])
    upstream.script(behaviours.answer(200), behaviours.close_without_answer())
    async with Client(program.port) as client:
        assert (await client.request("GET", "/create?ref=1")).status == 200
        lost = await client.request("GET", "/create?ref=2")
        assert (lost.status, lost.slug) == (502, "outcome-unknown")
    assert [request.target for request in upstream.requests] == ["/create?ref=1", "/create?ref=2"]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("offered", ["h2c", "TLS/1.0", "websocket", "foo"])
async def test_what_follows_a_declined_upgrade_is_read_as_it_is_framed(
    offered: str, upstream: RawUpstream, gateway: StartGateway, *, split: bool
) -> None:
    """What comes behind such a request must not be lost or begun anew amid a body: it is a request like any other."""
    program = await gateway()
    smuggled = b"DELETE /users/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    async with Client(program.port) as client:
        first = request_bytes("GET", "/a", [("Connection", "Upgrade"), ("Upgrade", offered)])
        await client.send_raw(first + head + (b"" if split else smuggled))
        assert (await client.read_response("GET")).status == 200
        if split:
            await client.send_raw(smuggled)
        assert (await client.read_response("POST")).status == 201
        assert (await client.request("GET", "/b")).status == 200
    assert [request.target for request in upstream.requests] == ["/a", "/notes", "/b"]
    assert bytes(upstream.requests[1].body) == smuggled


async def test_a_client_that_sends_on_and_reads_nothing_holds_back_its_own_requests(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.default = behaviours.answer(200, [], b"x" * 60_000)
    before = program.rss()
    requests = 4000
    async with Client(program.port) as greedy, Client(program.port) as other:
        await greedy.send_raw(request_bytes("GET", "/a") * requests)
        await upstream.wait_for_requests(20)
        for _ in range(200):
            assert (await other.request("GET", "/b")).status == 200
        assert sum(request.target == "/a" for request in upstream.requests) < requests / 2
        assert program.peak_rss() - before < 64 * 1024 * 1024


async def test_whatever_reached_the_api_before_the_end_was_answered(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """SIGTERM under load: no request is begun on a connection that is closed under it."""
    program = await gateway()
    answered = 0

    def end_it(_outcome: object) -> None:
        nonlocal answered
        answered += 1
        if answered == 500:
            os.kill(program.pid, signal.SIGTERM)

    outcomes = await burst(program.port, [create_bytes(f"{n}@e.org") for n in range(4000)], 20, watch=end_it)
    assert await program.stop() == 0
    told = [outcome for outcome in outcomes if outcome.status is not None]
    assert {outcome.status for outcome in told} == {201}, {problem_slug(outcome.body) for outcome in told}
    assert len(told) == len(upstream.requests)
    assert 500 <= len(told) < 4000


async def test_an_override_to_no_known_method_does_not_let_a_create_slip_by(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that ignores what it does not know would create."""
    program = await gateway(rules=[create_user_rule(method_override=["X-HTTP-Method-Override"])])
    for method, status in (("BOGUS", 400), ("PUT", 201), ("post", 201), ("POST", 409), ("", 409)):
        answer = await create(program.port, "ada@example.org", headers=[("X-HTTP-Method-Override", method)])
        assert answer.status == status, method
        assert answer.slug == {400: "method-override", 409: "duplicate"}.get(status)
    assert len(upstream.requests) == 2
