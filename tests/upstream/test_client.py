# One target: a connection is used again only when nothing speaks against it, a request is sent again only when it is
# safe, and what never left is told from what may have.

import asyncio
from pathlib import Path

import pytest

from gateway.config.table import Duration
from gateway.upstream import endpoint as endpoint_module
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse
from tests.end_to_end.test_settlement_unsent import crowded_port
from tests.support import behaviours as do
from tests.support.reach import request, whole
from tests.support.upstream import Call, RawUpstream, refused_port
from tests.upstream.conftest import Reach


async def test_a_connection_serves_the_next_request_too(reach: Reach, upstream: RawUpstream) -> None:
    sender = reach(upstream.url)
    for _ in range(3):
        await sender.send(request())
    assert len(upstream.connections) == 1


async def test_a_connection_idle_for_longer_than_fresh_carries_no_create(
    reach: Reach, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API may be closing it at this very moment. A safe request may still take it."""
    monkeypatch.setattr(endpoint_module, "MAX_IDLE_UNSAFE", -1.0)
    sender = reach(upstream.url)
    await sender.send(request())
    await sender.send(request("GET", b""))
    assert len(upstream.connections) == 1
    await sender.send(request())
    assert len(upstream.connections) == 2


async def test_a_connection_that_the_api_closed_carries_nothing(reach: Reach, upstream: RawUpstream) -> None:
    """The kernel knows before the loop does: it is asked at the last moment."""
    closing = []

    async def answer_then_close(call: Call) -> None:
        await do.answer(201)(call)  # type: ignore[misc]
        call.close()
        closing.append(call)

    upstream.script(answer_then_close)
    sender = reach(upstream.url)
    assert isinstance(await sender.send(request()), UpstreamResponse)
    await closing[0].writer.wait_closed()
    answer = await sender.send(request())
    assert isinstance(answer, UpstreamResponse)
    assert len(upstream.connections) == 2


async def test_the_pool_lets_go_of_the_connection_that_was_idle_longest(reach: Reach, upstream: RawUpstream) -> None:
    sender = reach(upstream.url, keepalive_connections=4)
    held = do.Held(do.answer(200))
    upstream.default = held
    sending = [asyncio.create_task(sender.send(request("GET", b""))) for _ in range(6)]
    await held.waiting.reach(6)
    held.release()
    await asyncio.gather(*sending)
    await upstream.ended.reach(2)
    await sender.send(request())
    assert len(upstream.connections) == 6, "one of the other four carried it"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_safe_request_lost_on_a_kept_connection_is_sent_again(
    reach: Reach, upstream: RawUpstream, method: str
) -> None:
    upstream.script(do.answer(200), do.close_without_answer(), do.answer(200))
    sender = reach(upstream.url)
    await sender.send(request(method, b""))
    assert isinstance(await sender.send(request(method, b"")), UpstreamResponse)
    assert len(upstream.requests) == 3


async def test_a_create_lost_on_a_kept_connection_is_not_sent_again(reach: Reach, upstream: RawUpstream) -> None:
    upstream.script(do.answer(201), do.close_without_answer())
    sender = reach(upstream.url)
    await sender.send(request())
    assert isinstance(await sender.send(request()), NoResponse)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("before", "status", "is_reused"),
    [
        (request(body=b"x" * 4096), 201, True),
        (request(body=b"x" * 4097), 201, False),
        (request(body=b"x"), 401, False),
        (request(body=b"x"), 500, False),
        (request("GET", b""), 404, True),
        (request("HEAD", b""), 200, False),
        (request("DELETE", b""), 204, False),
    ],
)
async def test_a_create_takes_no_connection_that_the_api_may_be_closing(
    reach: Reach, upstream: RawUpstream, before: Request, status: int, is_reused: bool
) -> None:
    """A safe request takes it, and has it proved whole again."""
    upstream.script(do.answer(status), do.answer(201), do.answer(status), do.answer(200), do.answer(201))
    sender = reach(upstream.url)
    await sender.send(before)
    await sender.send(request())
    assert len(upstream.connections) == 2 - is_reused
    await sender.send(before)
    connections = len(upstream.connections)
    await sender.send(request("GET", b""))
    await sender.send(request())
    assert len(upstream.connections) == connections


async def test_refused_is_not_sent(reach: Reach) -> None:
    with refused_port() as port:
        assert await reach(f"http://127.0.0.1:{port}").send(request()) == NotSent("connection_refused")


async def test_a_socket_that_is_not_there_is_not_sent(reach: Reach, tmp_path: Path) -> None:
    assert await reach(f"unix:{tmp_path}/none.sock").send(request()) == NotSent("connection_refused")


async def test_a_connection_that_nobody_takes_is_not_sent(reach: Reach) -> None:
    async with crowded_port() as (url, _, _):
        sender = reach(url, connect_timeout=Duration(0.2))
        assert await sender.send(request()) == NotSent("connection_timeout", timed_out=True)


@pytest.mark.parametrize(
    ("has_host", "host", "seen"),
    [
        (True, "keep", "test"),
        (False, "keep", "127.0.0.1:{port}"),
        (False, "upstream", "127.0.0.1:{port}"),
        (False, "api.example.com:8443", "api.example.com:8443"),
    ],
)
async def test_the_host_is_the_targets_where_the_request_has_none(
    reach: Reach, upstream: RawUpstream, has_host: bool, host: str, seen: str
) -> None:
    sender = reach(upstream.url, host=host)
    assert sender.rewrites_host is (host != "keep")
    await sender.send(request(has_host=has_host))
    assert upstream.requests[0].value("header.Host") == seen.format(port=upstream.port)


async def test_a_sender_that_is_cancelled_ends_the_exchange(reach: Reach, upstream: RawUpstream) -> None:
    held = do.Held(do.answer(201))
    upstream.default = held
    sender = reach(upstream.url)
    sending = asyncio.create_task(sender.send(request()))
    await held.waiting.reach(1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    held.release()
    assert isinstance(await sender.send(request()), UpstreamResponse)
    assert len(upstream.connections) == 2, "the first one carries nothing more"


async def test_the_api_over_a_unix_socket(reach: Reach, tmp_path: Path) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as upstream:
        assert await whole(await reach(upstream.url).send(request())) == b'{"id": 1}'
