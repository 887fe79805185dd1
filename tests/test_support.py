# The test support against itself: the raw client and the burst loader drive the raw upstream directly, so that a
# defect in either is seen here and not taken for one of the gateway's.

import asyncio
import gc
import hashlib
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.burst import Outcome, burst
from tests.support.client import (
    BrokenBodyError,
    Client,
    NoResponseError,
    create,
    create_bytes,
    problem_slug,
    request_bytes,
)
from tests.support.program import GatewayProgram, StartError
from tests.support.tally import Tally
from tests.support.upstream import Behaviour, Call, RawUpstream, perform, refused_port


async def test_the_upstream_records_a_request_byte_for_byte(upstream: RawUpstream) -> None:
    sent = b'POST /a?b=%20 HTTP/1.1\r\nhOsT:  x \r\nX-A: 1\r\nx-a: \xe9\r\nContent-Length: 10\r\n\r\n{"n": "x"}'
    async with Client(upstream.port) as client:
        await client.send_raw(sent)
        response = await client.read_response("POST")
    (request,) = upstream.requests
    assert bytes(request.raw) == sent
    assert (request.method, request.target, request.version) == ("POST", "/a?b=%20", "HTTP/1.1")
    assert request.headers == [("hOsT", "x"), ("X-A", "1"), ("x-a", "\xe9"), ("Content-Length", "10")]
    assert bytes(request.body) == b'{"n": "x"}'
    assert request.digest == hashlib.sha256(b'{"n": "x"}').hexdigest()
    assert (response.status, response.reason, response.header("location")) == (201, "Created", "/users/1")


async def test_a_chunked_body_is_decoded_and_its_raw_bytes_kept(upstream: RawUpstream) -> None:
    chunks = b"3;ext=1\r\nabc\r\n0a\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
    async with Client(upstream.port) as client:
        await client.send_raw(head + chunks)
        assert (await client.read_response("POST")).status == 201
        assert (await client.request("POST", "/", (), iter([b"ab", b"c"]))).status == 201
    assert bytes(upstream.requests[0].body) == b"abc0123456789"
    assert bytes(upstream.requests[0].raw) == head + chunks
    assert bytes(upstream.requests[1].body) == b"abc"
    assert upstream.connections == [0], "both requests went over one kept connection"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n1",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n1\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1230\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    ],
)
async def test_the_upstream_refuses_and_reports_what_rfc_9112_does_not_allow(
    upstream: RawUpstream, sent: bytes
) -> None:
    async with Client(upstream.port) as client:
        await client.send_raw(sent)
        assert (await client.read_response()).status == 400
        assert await client.wait_for_end() == "closed"
    assert len(upstream.malformed) == 1
    assert not upstream.requests
    upstream.malformed.clear()


async def test_a_malformed_request_fails_the_test_that_did_not_expect_it() -> None:
    async def scenario() -> None:
        async with RawUpstream() as upstream, Client(upstream.port) as client:
            await client.send_raw(b"GET / HTTP/1.1\r\n\r\n")
            await client.read_response()

    with pytest.raises(AssertionError, match="0 Host fields"):
        await scenario()


async def test_a_behaviour_that_fails_fails_the_test() -> None:
    def broken(call: Call) -> None:
        raise ValueError("no such thing")

    async def scenario() -> None:
        async with RawUpstream(broken) as upstream:
            with pytest.raises(NoResponseError):
                await create(upstream.port)

    with pytest.raises(ExceptionGroup, match="behaviours failed") as caught:
        await scenario()
    assert caught.group_contains(ValueError, match="no such thing")


@pytest.mark.parametrize(
    ("behaviour", "end"),
    [
        (behaviours.reset_on_accept(), "reset"),
        (behaviours.reset_after_head(), "reset"),
        (behaviours.reset_after_request(), "reset"),
        (behaviours.close_without_answer(), "closed"),
    ],
)
async def test_without_an_answer_the_client_sees_how_the_connection_ended(behaviour: Behaviour, end: str) -> None:
    async with RawUpstream(behaviour) as upstream, Client(upstream.port) as client:
        try:
            await client.send_raw(create_bytes("a@example.org"))
        except ConnectionError:
            assert end == "reset"
        else:
            assert await client.wait_for_end() == end


async def test_what_the_upstream_read_is_counted_by_how_far_it_got() -> None:
    async with RawUpstream() as upstream:
        upstream.script(behaviours.reset_on_accept(), behaviours.reset_after_head(), behaviours.reset_after_request())
        for seen in [(1, 0, 0), (2, 1, 0), (3, 2, 1)]:
            with pytest.raises(ConnectionError):
                await create(upstream.port)
            assert (len(upstream.connections), len(upstream.started), len(upstream.requests)) == seen
        assert (await create(upstream.port)).status == 201


async def test_a_request_that_breaks_off_is_not_counted_as_complete(upstream: RawUpstream) -> None:
    async with Client(upstream.port) as client:
        await client.send_raw(create_bytes("a@example.org")[:-1])
        await upstream.started.reach(1)
    await upstream.aborted.reach(1)
    async with Client(upstream.port) as client:
        await client.send_raw(b"GET / HTT")
    await upstream.aborted.reach(2)
    assert upstream.aborted == [upstream.started[0], None]
    assert not upstream.requests


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_half_a_head_is_no_answer(end: behaviours.End) -> None:
    async with RawUpstream(behaviours.half_head(end)) as upstream:
        with pytest.raises(NoResponseError):
            await create(upstream.port)
        assert upstream.count("body.email", "ada@example.org") == 1


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_breaks_off_is_told_from_a_whole_one(end: behaviours.End, *, is_chunked: bool) -> None:
    async with RawUpstream(behaviours.broken_body(end, is_chunked=is_chunked)) as upstream:
        with pytest.raises(BrokenBodyError) as caught:
            await create(upstream.port)
    assert caught.value.response.status == 201


async def test_chunked_interim_streamed_and_closing_answers_arrive_whole(upstream: RawUpstream) -> None:
    upstream.script(
        behaviours.interim(behaviours.chunked([b"ab", b"c"]), 103, [("Link", "</x>")]),
        behaviours.streamed(4, iter([b"12", b"34"])),
        behaviours.answer(204),
        behaviours.answer(200, [("X-A", "1"), ("x-a", "2")], b"four", reason="Fine by me"),
        behaviours.until_close(b"the rest"),
    )
    async with Client(upstream.port) as client:
        first = await client.request("GET", "/1")
        assert (first.status, first.body) == (200, b"abc")
        assert [(answer.status, answer.header("link")) for answer in first.interim] == [(103, "</x>")]
        pieces: list[bytes] = []
        second = await client.request("GET", "/2", sink=pieces.append)
        assert (second.body, b"".join(pieces)) == (b"", b"1234")
        third = await client.request("GET", "/3")
        assert (third.status, third.header("content-length"), third.body) == (204, None, b"")
        fourth = await client.request("HEAD", "/4")
        assert (fourth.reason, fourth.header("Content-Length"), fourth.body) == ("Fine by me", "4", b"")
        assert wire.values(fourth.headers, "X-A") == ["1", "2"]
        assert (await client.request("GET", "/5")).body == b"the rest"
        assert await client.wait_for_end() == "closed"
    assert upstream.connections == [0]


async def test_a_held_request_is_answered_only_after_its_release(upstream: RawUpstream) -> None:
    held = behaviours.Held(behaviours.answer(202))
    upstream.script(held)
    waiting = asyncio.create_task(create(upstream.port, "held@example.org"))
    await held.waiting.reach(1)
    assert (await create(upstream.port, "other@example.org")).status == 201
    assert not waiting.done()
    held.release()
    assert (await waiting).status == 202


async def test_a_request_that_is_never_answered_ends_with_its_client(upstream: RawUpstream) -> None:
    upstream.script(behaviours.never)
    async with Client(upstream.port) as client:
        await client.send_raw(create_bytes("a@example.org"))
        await upstream.wait_for_requests(1)
        waiting = asyncio.create_task(client.read_response("POST"))
        assert (await create(upstream.port, "b@example.org")).status == 201
        assert not waiting.done()
    with pytest.raises(NoResponseError):
        await waiting


async def test_large_bodies_can_be_hashed_instead_of_kept() -> None:
    def pieces() -> Iterator[bytes]:
        return (bytes([number]) * 100_000 for number in range(50))

    whole = b"".join(pieces())
    async with RawUpstream(digest_only=True) as upstream, Client(upstream.port) as client:
        await client.request("PUT", "/big", [("Content-Length", str(len(whole)))], pieces())
        await client.request("PUT", "/big", (), pieces())
    for request in upstream.requests:
        assert (request.body_length, request.digest) == (len(whole), hashlib.sha256(whole).hexdigest())
        assert not request.body


async def test_the_upstream_serves_a_unix_socket(tmp_path: Path) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as upstream, Client(tmp_path / "api.sock") as client:
        assert upstream.url == f"unix:{tmp_path}/api.sock"
        assert (await client.request("GET", "/")).status == 200
        upstream.default = behaviours.reset_after_request()
        with pytest.raises(NoResponseError):
            await client.request("GET", "/")


async def test_a_refused_port_refuses() -> None:
    with refused_port() as port, pytest.raises(ConnectionRefusedError):
        await create(port)


async def test_a_burst_counts_each_of_its_requests_once(upstream: RawUpstream) -> None:
    requests = [create_bytes(f"user-{number // 20}@example.org", n=number) for number in range(4000)]
    outcomes = await burst(upstream.port, requests, 250)
    assert Counter((outcome.status, outcome.error) for outcome in outcomes) == {(201, None): 4000}
    assert set(upstream.counts("body.email").values()) == {20}
    assert set(upstream.counts("body.n").values()) == {1}
    assert len(upstream.connections) == 250
    connection_of = {request.json()["n"]: request.connection for request in upstream.requests}
    assert len({connection_of[number] for number in range(20)}) == 20, "neighbours go over different connections"


async def test_a_burst_returns_each_answer_with_its_own_request() -> None:
    async def echo(call: Call) -> None:
        status = 409 if call.request.json()["n"] % 3 == 0 else 201
        await perform(behaviours.answer(status, body=bytes(call.request.body)), call)

    requests = [create_bytes("a@example.org", n=number) for number in range(500)]
    async with RawUpstream(echo) as upstream:
        outcomes = await burst(upstream.port, requests, 20)
    assert [json.loads(outcome.body)["n"] for outcome in outcomes] == list(range(500))
    assert all(outcome.status == (409 if outcome.index % 3 == 0 else 201) for outcome in outcomes)


async def test_a_burst_marks_what_got_no_answer_and_goes_on() -> None:
    async with RawUpstream() as upstream:
        upstream.script(behaviours.reset_after_request(), behaviours.broken_body("close"))
        outcomes = await burst(upstream.port, [request_bytes("POST", "/")] * 40, 4)
        lost = [outcome for outcome in outcomes if outcome.status is None]
        assert len(lost) == 2
        assert all(outcome.was_sent and outcome.error for outcome in lost)
        assert len(upstream.requests) == 40


async def test_a_burst_survives_a_server_that_goes_away() -> None:
    answered: Tally[Outcome] = Tally()
    async with RawUpstream() as upstream:
        load = asyncio.create_task(burst(upstream.port, [request_bytes("GET", "/")] * 4000, 50, watch=answered.add))
        await answered.reach(500)
        await upstream.close()
        outcomes = await load
    whole = [outcome for outcome in outcomes if outcome.status == 200]
    unsent = [outcome for outcome in outcomes if not outcome.was_sent]
    assert len(whole) >= 500
    assert unsent, "what came after the end had no connection"
    assert len(answered) == len(outcomes) == 4000
    assert sum(outcome.was_sent for outcome in outcomes) >= len(upstream.requests) >= len(whole)
    assert all((outcome.status is None) == (outcome.error is not None) for outcome in outcomes)


def test_a_problem_slug_is_read_only_from_the_gateways_problems() -> None:
    assert problem_slug(b'{"type": "urn:problem-type:gateway:duplicate"}') == "duplicate"
    assert problem_slug(b'{"type": "about:blank"}') is None
    assert problem_slug(b"[1]") is None
    assert problem_slug(b"not JSON") is None


async def test_a_program_that_does_not_start_shows_why(tmp_path: Path) -> None:
    program = GatewayProgram(tmp_path, "this is not a rules file")
    with pytest.raises(StartError) as caught:
        await program.start()
    assert caught.value.code == 1
    assert "gateway.toml" in caught.value.output


async def test_closing_in_the_turn_of_an_accept_leaves_no_connection_behind() -> None:
    for turns in range(8):
        async with RawUpstream() as upstream:
            with socket.create_connection(("127.0.0.1", upstream.port)):
                for _ in range(turns):
                    await asyncio.sleep(0)
                await upstream.close()
    gc.collect()  # a transport that nobody has closed is an error


async def test_the_program_is_started_read_killed_restarted_and_stopped(gateway: StartGateway) -> None:
    program = await gateway()
    assert (await create(program.port)).status == 201
    assert (await program.wait_for_log(status=201))["rule"] == "create-user"
    assert 0 < program.rss() <= program.peak_rss()
    first = program.pid
    await program.kill()
    with pytest.raises(ConnectionRefusedError):
        await create(program.port)
    await program.restart()
    assert program.pid != first
    assert (await create(program.port)).slug == "duplicate"
    assert await program.stop() == 0
    assert not program.is_running
    assert program.admin_port != program.port
