# What came of a request is told apart without guessing, and an answer's body ends where it ends.

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.config.table import Duration
from gateway.errors import RequestBroken
from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.results import NoResponse, ResponseBroken, UpstreamResponse
from tests.support import behaviours as do
from tests.support.reach import PIECE, request, whole
from tests.support.upstream import At, Call, RawUpstream, Stage
from tests.upstream.conftest import Reach


async def test_an_answer_comes_with_all_its_parts(reach: Reach, upstream: RawUpstream) -> None:
    upstream.script(do.answer(201, [("X-One", "1"), ("x-one", "2")], b"done", reason="Made It"))
    answer = await reach(upstream.url).send(request())
    assert isinstance(answer, UpstreamResponse)
    assert (answer.status, answer.reason, answer.body, answer.rest) == (201, b"Made It", b"done", None)
    assert answer.headers.lines[:2] == [(b"X-One", b"1"), (b"x-one", b"2")]


@pytest.mark.parametrize(
    ("behaviour", "error", "timed_out"),
    [
        (do.close_without_answer(), "connection_terminated", False),
        (do.reset_after_request(), "connection_terminated", False),
        (do.half_head(), "http_response_incomplete", False),
        (do.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "http_protocol_error", False),
        (do.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), None, False),
        (do.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000), "http_response_header_section_size", False),
        (do.never, "http_response_timeout", True),
    ],
    ids=["closed", "reset", "half a head", "garbage", "unasked upgrade", "endless head", "silence"],
)
async def test_sent_and_not_answered(
    reach: Reach, upstream: RawUpstream, behaviour: object, error: str | None, timed_out: bool
) -> None:
    upstream.default = behaviour  # type: ignore[assignment]
    sender = reach(upstream.url, response_timeout=Duration(0.1 if timed_out else 30))
    result = await sender.send(request())
    assert isinstance(result, NoResponse)
    assert result.timed_out is timed_out
    if error is not None:
        assert result.error == error


async def test_interim_answers_are_passed_over(reach: Reach, upstream: RawUpstream) -> None:
    upstream.default = do.interim(do.interim(do.answer(201, [("X", "y")], b"ok"), 103, [("Link", "</a>")]), 100)
    answer = await reach(upstream.url).send(request())
    assert isinstance(answer, UpstreamResponse)
    assert (answer.status, answer.body) == (201, b"ok")
    assert b"link" not in answer.headers


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_breaks_off_says_so(reach: Reach, upstream: RawUpstream, is_chunked: bool) -> None:
    upstream.default = do.broken_body(is_chunked=is_chunked)
    answer = await reach(upstream.url).send(request())
    assert isinstance(answer, UpstreamResponse)
    assert answer.status == 201
    with pytest.raises(ResponseBroken):
        await whole(answer)


async def test_a_body_that_stands_still_breaks_off(reach: Reach, upstream: RawUpstream) -> None:
    upstream.default = do.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    answer = await reach(upstream.url, idle_timeout=Duration(0.1)).send(request())
    with pytest.raises(ResponseBroken):
        await whole(answer)


async def test_a_body_that_ends_with_the_connection_is_whole(reach: Reach, upstream: RawUpstream) -> None:
    upstream.default = do.until_close(PIECE)
    answer = await reach(upstream.url).send(request())
    assert isinstance(answer, UpstreamResponse)
    assert not answer.length_known
    assert await whole(answer) == PIECE


async def test_what_follows_a_whole_answer_takes_nothing_from_it(reach: Reach, upstream: RawUpstream) -> None:
    """A second answer to one request is not anybody's answer; the connection is not used again."""
    one = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    upstream.script(do.raw(one + one.replace(b"ok", b"no")))
    sender = reach(upstream.url)
    assert await whole(await sender.send(request())) == b"ok"
    await sender.send(request())
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("extra", [b"", b"a body nobody may send"])
async def test_the_answer_to_head_has_no_body_whatever_its_length_says(
    reach: Reach, upstream: RawUpstream, extra: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n"
    upstream.script(do.raw(head + extra), do.answer(200, [], b"next"))
    sender = reach(upstream.url)
    answer = await sender.send(request("HEAD", b""))
    assert isinstance(answer, UpstreamResponse)
    assert (answer.body, answer.rest, answer.length_known) == (b"", None, True)
    assert await whole(await sender.send(request("GET", b""))) == b"next"
    assert len(upstream.connections) == (2 if extra else 1)


async def test_a_request_body_that_breaks_off_is_not_whole_for_the_api(reach: Reach, upstream: RawUpstream) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"4\r\nhalf\r\n"
        raise RequestBroken

    result = await reach(upstream.url).send(request(body=pieces()))
    assert result == NoResponse("http_request_error")
    await upstream.aborted.reach(1)
    assert not upstream.requests


async def test_an_answer_that_comes_before_the_request_is_over_ends_the_sending(
    reach: Reach, upstream: RawUpstream
) -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"4\r\nmore\r\n"
                await asyncio.sleep(0)
        finally:
            stopped.set()

    async def refuse_early(call: Call) -> None:
        await call.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    upstream.default = At(Stage.HEAD, refuse_early)
    answer = await reach(upstream.url).send(request(body=endless()))
    assert isinstance(answer, UpstreamResponse)
    assert answer.status == 413
    await stopped.wait()


async def test_a_reader_of_one_answer_never_gets_bytes_of_the_next(
    reach: Reach, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is free once an answer has come whole, read or not."""
    head_is_read, is_free = asyncio.Event(), asyncio.Event()
    keep = Endpoint._keep

    def watched(target: Endpoint, connection: Connection) -> None:
        keep(target, connection)
        is_free.set()

    monkeypatch.setattr(Endpoint, "_keep", watched)

    async def in_two_parts(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nfirst " % (6 + len(PIECE)))
        await head_is_read.wait()
        await call.send(PIECE)

    upstream.script(in_two_parts, do.answer(200, [], b"second"))
    sender = reach(upstream.url)
    slow = await sender.send(request())
    assert isinstance(slow, UpstreamResponse)
    assert slow.rest is not None
    head_is_read.set()
    await is_free.wait()
    assert await whole(await sender.send(request())) == b"second"
    assert await whole(slow) == b"first " + PIECE
    assert len(upstream.connections) == 1
