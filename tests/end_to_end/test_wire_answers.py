# Answers of the API that are not written as RFC 9112 has it: mended where nobody can read them in two ways, else
# refused. No byte of one answer is ever taken for another.

import asyncio

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import BrokenBodyError, Client, create, create_bytes
from tests.support.shorthands import exchange
from tests.support.upstream import Call, RawUpstream

MENDED: list[tuple[bytes, wire.Headers, bytes]] = [
    (b"HTTP/1.1 201 Created\nA: b\nContent-Length: 2\n\nok", [("A", "b"), ("Content-Length", "2")], b"ok"),
    (b"HTTP/1.1 201 Created\r\nA: b\nContent-Length: 2\r\n\nok", [("A", "b"), ("Content-Length", "2")], b"ok"),
    (b"HTTP/1.1 201 Created\nA: b\r\nContent-Length: 2\n\r\nok", [("A", "b"), ("Content-Length", "2")], b"ok"),
    (
        b"HTTP/1.1 201 Created\r\nA: b\r\n \t c\r\n\td\r\nContent-Length: 2\r\n\r\nok",
        [("A", "b c d"), ("Content-Length", "2")],
        b"ok",
    ),
    (b"HTTP/1.1 201 Created\nA: b \n c\nContent-Length: 2\n\nok", [("A", "b c"), ("Content-Length", "2")], b"ok"),
    (b"HTTP/1.1 201 Created\r\nA: b \t\r\nContent-Length:2\r\n\r\nok", [("A", "b"), ("Content-Length", "2")], b"ok"),
    (b"HTTP/1.1 201 Created\r\nContent-Length: 2, 2\r\n\r\nok", [("Content-Length", "2")], b"ok"),
    (b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", [("Content-Length", "2")], b"ok"),
    (
        b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
        [("Transfer-Encoding", "chunked")],
        b"ok",
    ),
    (
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: Chunked\r\n\r\n2; a b\r\nok\r\n000\r\nT: 1\r\n\r\n",
        [("Transfer-Encoding", "chunked")],
        b"ok",
    ),
    (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", [], b""),
    (b"HTTP/1.9 201\r\nContent-Length: 0\r\n\r\n", [("Content-Length", "0")], b""),
]


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_an_answer_that_can_be_read_in_one_way_only_is_mended(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 2.2, 5.2, 6.3. The client gets lines that end with CRLF, one line for each field, one framing."""
    program = await gateway(server={"status_header": "off"})
    async with Client(program.port) as client:
        for number, (answer, headers, body) in enumerate(MENDED):
            upstream.script(behaviours.raw(answer))
            await client.send_raw(create_bytes(f"user-{number}@example.org", path=target))
            seen = await client.read_response("POST")
            assert (seen.status // 100, seen.headers, seen.body) == (2, headers, body), answer
            assert b"\n" not in seen.raw_head.replace(b"\r\n", b"")
    assert len(upstream.requests) == len(MENDED)


@pytest.mark.parametrize("target", ["/any", "/users"])
async def test_an_answer_that_is_no_http_never_reaches_the_client(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    answers = [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nno colon\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
    ]
    for number, answer in enumerate(answers):
        upstream.script(behaviours.raw(answer, "close"))
        sent = create_bytes(f"user-{number}@example.org", path=target)
        response = await exchange(program.port, sent, "POST")
        assert (response.status, response.slug) == (502, "outcome-unknown"), answer[:50]


CUT_SHORT = {
    "nul": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n\x00\r\n",
    "no-size": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n",
    "too-long": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
    "bare-lf": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\nok\n0\n\n",
    "bad-trailer": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nno colon\r\n\r\n",
    "huge-size": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n10000000000000002\r\nok\r\n",
}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("answer", CUT_SHORT.values(), ids=CUT_SHORT.keys())
async def test_a_malformed_body_never_looks_whole_and_its_head_counts(
    answer: bytes, upstream: RawUpstream, gateway: StartGateway, *, is_late: bool
) -> None:
    """Whether the bad bytes come with the head or behind it."""

    async def in_two(call: Call) -> None:
        at = answer.index(b"ok") + 2
        await call.send(answer[:at])
        await told.wait()
        await call.send(answer[at:])
        await call.reader.read()

    program = await gateway()
    told = asyncio.Event()
    upstream.script(in_two if is_late else behaviours.raw(answer))
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org"))
        with pytest.raises(BrokenBodyError) as caught:
            await client.read_response("POST", sink=lambda _: told.set())
    assert caught.value.response.status == 201
    assert (await create(program.port)).slug == "duplicate"
    assert (await program.wait_for_log(outcome="created"))["upstream_status"] == 201
    await upstream.ended.reach(1)


async def test_bytes_after_an_answer_are_never_taken_for_the_answer_to_another_request(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    forged = b"HTTP/1.1 200 OK\r\nX-Forged: 1\r\nContent-Length: 0\r\n\r\n"
    honest = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    upstream.script(
        behaviours.raw(honest + forged),
        behaviours.raw(honest + b"x"),
        behaviours.raw(b"HTTP/1.1 204 No Content\r\n\r\nx" + forged),
    )
    async with Client(program.port) as client:
        for number in range(6):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            response = await client.read_response("POST")
            assert response.status in {201, 204}
            assert response.header("X-Forged") is None
    assert len(upstream.requests) == 6
    assert len(upstream.connections) == 4
