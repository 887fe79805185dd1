# The upstream room by itself: what came of a request is told apart without guessing, and a connection is used again
# only when nothing speaks against it.

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.endpoints import UpstreamAddress, parse_upstream
from gateway.headers import Headers
from gateway.upstream import client as client_module
from gateway.upstream.client import Limits, Request, Upstream
from gateway.upstream.connection import Connection
from gateway.upstream.results import Answer, AnswerBroken, NoAnswer, NotSent, RequestBroken
from gateway.upstream.wire import request_head
from tests.support import behaviours as do
from tests.support.upstream import At, Call, RawUpstream, Stage, refused_port

LIMITS = Limits(connect=0.5, response=0.5, idle=0.5, pool_size=4, pool_idle=60)
PIECE = b"x" * 60_000


def request(method: str = "POST", body: bytes | AsyncIterator[bytes] = b"{}", **fields: str) -> Request:
    lines = [(b"Host", b"test"), *((name.encode(), value.encode()) for name, value in fields.items())]
    is_whole = isinstance(body, bytes)
    length = len(body) if isinstance(body, bytes) else None
    head = request_head(method, "/users", Headers(lines), host=b"test", body_length=length, chunked=not is_whole)
    return Request(head, body, method == "HEAD", method in {"GET", "HEAD"})


def to(upstream: RawUpstream, limits: Limits = LIMITS) -> Upstream:
    return Upstream(parse_upstream(upstream.url), limits)


async def whole(answer: Answer | NotSent | NoAnswer) -> bytes:
    assert isinstance(answer, Answer)
    body = answer.body
    while answer.rest is not None and (piece := await answer.rest.read()):
        body += piece
    return body


async def test_an_answer_comes_with_all_its_parts(upstream: RawUpstream) -> None:
    upstream.script(do.answer(201, [("X-One", "1"), ("x-one", "2")], b"done", reason="Made It"))
    answer = await to(upstream).send(request())
    assert isinstance(answer, Answer)
    assert (answer.status, answer.reason, answer.body, answer.rest) == (201, b"Made It", b"done", None)
    assert answer.headers.lines[:2] == [(b"X-One", b"1"), (b"x-one", b"2")]


async def test_a_connection_serves_the_next_request_too(upstream: RawUpstream) -> None:
    sender = to(upstream)
    for _ in range(3):
        await sender.send(request())
    assert len(upstream.connections) == 1


async def test_a_reader_of_one_answer_never_gets_bytes_of_the_next(upstream: RawUpstream) -> None:
    """The connection is free once an answer has come whole, read or not."""
    head_is_read, is_free = asyncio.Event(), asyncio.Event()

    class Watched(Upstream):
        def _keep(self, connection: Connection) -> None:
            super()._keep(connection)
            is_free.set()

    async def in_two_parts(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nfirst " % (6 + len(PIECE)))
        await head_is_read.wait()
        await call.send(PIECE)

    upstream.script(in_two_parts, do.answer(200, [], b"second"))
    sender = Watched(parse_upstream(upstream.url), LIMITS)
    slow = await sender.send(request())
    assert isinstance(slow, Answer)
    assert slow.rest is not None
    head_is_read.set()
    await is_free.wait()
    assert await whole(await sender.send(request())) == b"second"
    assert await whole(slow) == b"first " + PIECE
    assert len(upstream.connections) == 1


async def test_a_connection_idle_for_longer_than_fresh_carries_no_create(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API may be closing it at this very moment. A safe request may still take it."""
    monkeypatch.setattr(client_module, "FRESH", -1.0)
    sender = to(upstream)
    await sender.send(request())
    await sender.send(request("GET", b""))
    assert len(upstream.connections) == 1
    await sender.send(request())
    assert len(upstream.connections) == 2


async def test_a_connection_that_the_api_closed_carries_nothing(upstream: RawUpstream) -> None:
    """The kernel knows before the loop does: it is asked at the last moment."""
    closing = []

    async def answer_then_close(call: Call) -> None:
        await do.answer(201)(call)  # type: ignore[misc]
        call.close()
        closing.append(call)

    upstream.script(answer_then_close)
    sender = to(upstream)
    assert isinstance(await sender.send(request()), Answer)
    await closing[0].writer.wait_closed()
    answer = await sender.send(request())
    assert isinstance(answer, Answer)
    assert len(upstream.connections) == 2


async def test_the_pool_lets_go_of_the_connection_that_was_idle_longest(upstream: RawUpstream) -> None:
    sender = to(upstream)
    held = do.Held(do.answer(200))
    upstream.default = held
    sending = [asyncio.create_task(sender.send(request("GET", b""))) for _ in range(6)]
    await held.waiting.reach(6)
    held.release()
    await asyncio.gather(*sending)
    assert len(sender._idle) == LIMITS.pool_size


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_safe_request_lost_on_a_kept_connection_is_sent_again(upstream: RawUpstream, method: str) -> None:
    upstream.script(do.answer(200), do.close_without_answer(), do.answer(200))
    sender = to(upstream)
    await sender.send(request(method, b""))
    assert isinstance(await sender.send(request(method, b"")), Answer)
    assert len(upstream.requests) == 3


async def test_a_create_lost_on_a_kept_connection_is_not_sent_again(upstream: RawUpstream) -> None:
    upstream.script(do.answer(201), do.close_without_answer())
    sender = to(upstream)
    await sender.send(request())
    assert isinstance(await sender.send(request()), NoAnswer)
    assert len(upstream.requests) == 2


async def test_refused_is_not_sent() -> None:
    with refused_port() as port:
        result = await Upstream(UpstreamAddress("127.0.0.1", port, None, tls=False), LIMITS).send(request())
    assert result == NotSent("connection_refused")


async def test_a_socket_that_is_not_there_is_not_sent(tmp_path: Path) -> None:
    address = UpstreamAddress("localhost", 80, str(tmp_path / "none.sock"), tls=False)
    assert await Upstream(address, LIMITS).send(request()) == NotSent("connection_refused")


async def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    result = await Upstream(UpstreamAddress("nowhere.invalid", 80, None, tls=False), LIMITS).send(request())
    assert result == NotSent("dns_error")


async def test_tls_to_a_server_that_speaks_none_is_not_sent(upstream: RawUpstream) -> None:
    upstream.default = do.close_without_answer()
    address = UpstreamAddress("127.0.0.1", upstream.port, None, tls=True)
    result = await Upstream(address, LIMITS).send(request())
    upstream.malformed.clear()
    assert isinstance(result, NotSent)
    assert not upstream.requests


@pytest.mark.parametrize(
    ("behaviour", "error", "timed_out"),
    [
        (do.close_without_answer(), "connection_terminated", False),
        (do.reset_after_request(), "connection_terminated", False),
        (do.half_head(), "http_response_incomplete", False),
        (do.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "http_protocol_error", False),
        (do.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), None, False),
        (do.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000), "http_response_header_section_size", False),
        (do.never, "http_response_timeout", True),
    ],
    ids=["closed", "reset", "half a head", "garbage", "unasked upgrade", "endless head", "silence"],
)
async def test_sent_and_not_answered(
    upstream: RawUpstream, behaviour: object, error: str | None, timed_out: bool
) -> None:
    upstream.default = behaviour  # type: ignore[assignment]
    result = await to(upstream).send(request())
    assert isinstance(result, NoAnswer)
    assert result.timed_out is timed_out
    if error is not None:
        assert result.error == error


async def test_interim_answers_are_passed_over(upstream: RawUpstream) -> None:
    upstream.default = do.interim(do.interim(do.answer(201, [("X", "y")], b"ok"), 103, [("Link", "</a>")]), 100)
    answer = await to(upstream).send(request())
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (201, b"ok")
    assert b"link" not in answer.headers


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_breaks_off_says_so(upstream: RawUpstream, is_chunked: bool) -> None:
    upstream.default = do.broken_body(is_chunked=is_chunked)
    answer = await to(upstream).send(request())
    assert isinstance(answer, Answer)
    assert answer.status == 201
    with pytest.raises(AnswerBroken):
        await whole(answer)


async def test_a_body_that_stands_still_breaks_off(upstream: RawUpstream) -> None:
    upstream.default = do.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    answer = await to(upstream).send(request())
    with pytest.raises(AnswerBroken):
        await whole(answer)


async def test_a_body_that_ends_with_the_connection_is_whole(upstream: RawUpstream) -> None:
    upstream.default = do.until_close(PIECE)
    answer = await to(upstream).send(request())
    assert isinstance(answer, Answer)
    assert not answer.length_known
    assert await whole(answer) == PIECE


async def test_what_follows_a_whole_answer_takes_nothing_from_it(upstream: RawUpstream) -> None:
    """A second answer to one request is not anybody's answer; the connection is not used again."""
    one = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    upstream.script(do.raw(one + one.replace(b"ok", b"no")))
    sender = to(upstream)
    assert await whole(await sender.send(request())) == b"ok"
    assert not sender._idle


@pytest.mark.parametrize("extra", [b"", b"a body nobody may send"])
async def test_the_answer_to_head_has_no_body_whatever_its_length_says(upstream: RawUpstream, extra: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n"
    upstream.script(do.raw(head + extra), do.answer(200, [], b"next"))
    sender = to(upstream)
    answer = await sender.send(request("HEAD", b""))
    assert isinstance(answer, Answer)
    assert (answer.body, answer.rest, answer.length_known) == (b"", None, True)
    assert await whole(await sender.send(request("GET", b""))) == b"next"
    assert len(upstream.connections) == (2 if extra else 1)


async def test_a_request_body_that_breaks_off_is_not_whole_for_the_api(upstream: RawUpstream) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"4\r\nhalf\r\n"
        raise RequestBroken

    result = await to(upstream).send(request(body=pieces()))
    assert result == NoAnswer("http_request_error")
    await upstream.aborted.reach(1)
    assert not upstream.requests


async def test_an_answer_that_comes_before_the_request_is_over_ends_the_sending(upstream: RawUpstream) -> None:
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
    answer = await to(upstream).send(request(body=endless()))
    assert isinstance(answer, Answer)
    assert answer.status == 413
    await stopped.wait()


async def test_a_sender_that_is_cancelled_ends_the_exchange(upstream: RawUpstream) -> None:
    held = do.Held(do.answer(201))
    upstream.default = held
    sender = to(upstream)
    sending = asyncio.create_task(sender.send(request()))
    await held.waiting.reach(1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not sender._idle
    held.release()


async def test_the_api_over_a_unix_socket(tmp_path: Path) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as upstream:
        assert await whole(await to(upstream).send(request())) == b'{"id": 1}'
