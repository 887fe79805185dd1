# Answers whose body decides and cannot be read, or takes its time; and what else may happen while it is waited for.

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import BrokenBodyError, Client, NoResponseError, create, create_bytes
from tests.support.program import Table, create_user_rule
from tests.support.shorthands import AGAIN, JSON, expect_next
from tests.support.upstream import Act, Call, RawUpstream

REFUSES = {"when": [{"field": "answer.body.errors", "exists": True}], "is": "refused"}
CREATES = {"when": [{"field": "answer.body.code", "equals": "DUPLICATE"}], "is": "created"}
LARGE = json.dumps({"errors": [], "code": "DUPLICATE", "text": "x" * 300 * 1024}).encode()
FITS = json.dumps({"errors": [], "code": "DUPLICATE", "text": "x" * 250 * 1024}).encode()


def guarded(*entries: Table, **changes: Any) -> Table:
    return create_user_rule(outcome=list(entries), **changes)


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
@pytest.mark.parametrize(
    ("entry", "status", "said", "became"),
    [
        (REFUSES, 200, "created", "created"),
        (REFUSES, 500, "unknown", "unknown"),
        (REFUSES, 400, "refused", "free"),
        (CREATES, 400, "unknown", "unknown"),
        (CREATES, 200, "created", "created"),
    ],
)
async def test_of_an_answer_that_is_too_long_the_status_decides_and_frees_nothing_that_may_be_there(
    framing: str, entry: Table, status: int, said: str, became: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(entry)])
    upstream.script(
        {
            "length": behaviours.answer(status, [JSON], LARGE),
            "chunked": behaviours.chunked([LARGE[:1000], LARGE[1000:]], status, [JSON]),
            "until close": behaviours.until_close(LARGE, status, [JSON]),
        }[framing]
    )
    seen = await create(program.port, AGAIN)
    assert (seen.status, seen.body, seen.header("Idempotency-Status")) == (status, LARGE, said)
    await expect_next(program.port, upstream, AGAIN, became)


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_one_that_fits_is_read_whole_and_passed_on_as_it_came(
    framing: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(REFUSES)])
    upstream.script(
        {
            "length": behaviours.answer(200, [JSON], FITS),
            "chunked": behaviours.chunked([FITS[at : at + 10_000] for at in range(0, len(FITS), 10_000)], 200, [JSON]),
            "until close": behaviours.until_close(FITS, 200, [JSON]),
        }[framing]
    )
    seen = await create(program.port, AGAIN)
    assert (seen.body, seen.header("Idempotency-Status")) == (FITS, "refused")
    await expect_next(program.port, upstream, AGAIN, "free")


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("entry", "status", "became"),
    [(REFUSES, 200, "created"), (REFUSES, 400, "free"), (CREATES, 400, "unknown"), (CREATES, 500, "unknown")],
)
async def test_of_an_answer_that_breaks_off_the_status_decides_and_it_breaks_off_for_the_client_too(
    entry: Table, status: int, became: str, upstream: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program = await gateway(rules=[guarded(entry)])
    body = b'{"errors": [1], "code": "DUPLICATE"'
    upstream.script(behaviours.broken_body("reset", status, [JSON], body=body, is_chunked=is_chunked))
    with pytest.raises(BrokenBodyError) as broken:
        await create(program.port, AGAIN)
    assert broken.value.response.status == status
    assert body.startswith(broken.value.response.body)
    await expect_next(program.port, upstream, AGAIN, became)


async def test_an_answer_whose_api_falls_silent_is_judged_by_its_status_in_the_end(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(CREATES)], upstream={"url": upstream.url, "idle_timeout": "300ms"})
    upstream.script(unfinished(400))
    with pytest.raises(BrokenBodyError):
        await create(program.port, AGAIN)
    await expect_next(program.port, upstream, AGAIN, "unknown")


def unfinished(status: int) -> Act:
    """Answer with a head and half of a body, and never with the rest."""
    return behaviours.raw(
        wire.render_head(f"HTTP/1.1 {status} So", [JSON, ("Content-Length", "100")]) + b'{"code": "DUPLICATE"'
    )


class Halved:
    """A behaviour that answers with a head and half of a body, and with the rest when it is released."""

    def __init__(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self._head = wire.render_head(f"HTTP/1.1 {status} So", [*headers, ("Content-Length", str(len(body)))])
        self._halves = body[: len(body) // 2], body[len(body) // 2 :]
        self._released = asyncio.Event()
        self.halfway = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await call.send(self._head + self._halves[0])
        self.halfway.set()
        await self._released.wait()
        await call.send(self._halves[1])

    def release(self) -> None:
        self._released.set()


async def test_while_a_body_is_waited_for_the_create_is_in_flight_and_its_client_may_leave(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(REFUSES)])
    half = Halved(200, b'{"errors": ["it was refused"]}', JSON)
    upstream.script(half)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN))
        await half.halfway.wait()
        assert (await create(program.port, AGAIN)).slug == "in-progress"
    half.release()
    await program.wait_for_log(outcome="refused")
    await expect_next(program.port, upstream, AGAIN, "free")


async def test_a_gateway_that_is_killed_while_it_waits_for_a_body_does_not_know(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(REFUSES)])
    half = Halved(200, b'{"errors": ["it was refused"]}', JSON)
    upstream.script(half)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN))
        await half.halfway.wait()
        assert (await create(program.port, AGAIN)).slug == "in-progress"
        await program.kill()
        with pytest.raises(NoResponseError):
            await client.read_response("POST")
    await program.start()
    assert (await create(program.port, AGAIN)).slug == "outcome-unknown"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("entry", "status", "state"), [(REFUSES, 200, "duplicate"), (CREATES, 400, "outcome-unknown")])
async def test_what_a_drain_cuts_off_is_settled_by_its_head(
    entry: Table, status: int, state: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(entry)], server={"listen": "127.0.0.1:0", "drain_timeout": "300ms"})
    half = Halved(status, b'{"code": "something else"}', JSON)
    upstream.script(half)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN))
        await half.halfway.wait()
        assert (await create(program.port, AGAIN)).slug == "in-progress", "it waits for the body"
        os.kill(program.pid, signal.SIGTERM)
        with pytest.raises(NoResponseError):
            await client.read_response("POST")
        assert await program.stop() == 0
    await program.start()
    assert (await create(program.port, AGAIN)).slug == state
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("content_type", ["text/html", "text/event-stream", "application/x-ndjson"])
async def test_an_answer_of_another_type_is_passed_on_as_it_comes(
    content_type: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The second half comes only once the client has the first one."""
    program = await gateway(rules=[guarded(REFUSES)])
    body = b"data: 1\n\ndata: 2\n\n"
    half = Halved(200, body, ("Content-Type", content_type))
    upstream.script(half)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN))
        head, _ = wire.parse_head(await wire.read_head(client.reader))
        assert head == "HTTP/1.1 200 So"
        assert await client.reader.readexactly(len(body) // 2) == body[: len(body) // 2]
        half.release()
        assert await client.reader.readexactly(len(body) // 2) == body[len(body) // 2 :]
    await expect_next(program.port, upstream, AGAIN, "created")


async def test_json_without_an_end_is_passed_on_once_it_is_too_long_to_be_read(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(REFUSES)])
    released = asyncio.Event()

    async def endless(call: Call) -> None:
        await call.send(wire.render_head("HTTP/1.1 200 So", [JSON, ("Transfer-Encoding", "chunked")]))
        for piece in pieces():
            await call.send(wire.render_chunk(piece))
        await released.wait()
        await call.send(wire.render_chunk(b"]") + wire.render_chunk(b""))

    def pieces() -> Iterator[bytes]:
        yield b"[0"
        for _ in range(40):
            yield b", 1" * 3000

    upstream.script(endless)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(AGAIN))
        head, _ = wire.parse_head(await wire.read_head(client.reader))
        assert head == "HTTP/1.1 200 So"
        released.set()
    await expect_next(program.port, upstream, AGAIN, "created")
