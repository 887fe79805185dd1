# Bodies that do not flow to their end: answered early, broken off by either side, or standing still.

import asyncio
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import BrokenBodyError, Client, create, create_bytes
from tests.support.program import create_user_rule, rules
from tests.support.shorthands import GIB, started
from tests.support.upstream import At, Call, RawUpstream, Stage

# An answer that comes before the upload's end


@pytest.mark.parametrize("says_close", [False, True])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_an_answer_before_the_body_is_whole_reaches_the_client(
    api: RawUpstream, gateway: StartGateway, *, is_chunked: bool, says_close: bool
) -> None:
    program, _ = await started(gateway, api)

    async def refuse(call: Call) -> None:
        close = [("Connection", "close")] if says_close else []
        await call.send(wire.render_head("HTTP/1.1 413 Too Much", [("Content-Length", "3"), *close]) + b"no!")
        if says_close:
            call.close()

    api.script(At(Stage.HEAD, refuse))
    framing: Any = ("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(GIB))
    piece = wire.render_chunk(b"x" * 1000) if is_chunked else b"x" * 1000
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("PUT /big HTTP/1.1", [("Host", "x"), framing]) + piece)
        response = await client.read_response("PUT")
    assert (response.status, response.reason, response.body) == (413, "Too Much", b"no!")
    assert response.header("Connection") == "close", "the rest of the body has no place to go"
    async with Client(program.port) as client:
        assert (await client.request("GET", "/")).status == 200


async def test_an_upload_that_its_client_breaks_off_is_broken_off_for_the_api_too(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program, _ = await started(gateway, api)
    for framing, piece in (
        (("Content-Length", "1000"), b"x"),
        (("Transfer-Encoding", "chunked"), wire.render_chunk(b"x")),
    ):
        known = len(api.aborted)
        async with Client(program.port) as client:
            head = wire.render_head("PUT /big HTTP/1.1", [("Host", "x"), framing])
            await client.send_raw(head + piece)
            await api.started.reach(2 + known)
        await api.aborted.reach(known + 1)
    assert len(api.requests) == 1, "half a body was taken for a whole one"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_download_that_the_api_breaks_off_does_not_look_whole_to_the_client(
    end: behaviours.End, api: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program, _ = await started(gateway, api)
    api.script(behaviours.broken_body(end, 200, is_chunked=is_chunked))
    async with Client(program.port) as client:
        with pytest.raises(BrokenBodyError):
            await client.request("GET", "/big")


# A body that stands still


async def test_an_upload_that_stands_still_is_given_up(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules(api.url, server={"body_timeout": "300ms"}))
    for target, reached in (("/users", 0), ("/any", 1)):
        head = wire.render_head(f"POST {target} HTTP/1.1", [("Host", "x"), ("Content-Length", "1000")])
        async with Client(program.port) as client:
            await client.send_raw(head + b"{")
            response = await client.read_response("POST")
            assert (response.status, response.slug) == (400, "request-incomplete")
            assert response.header("Connection") == "close"
        await api.aborted.reach(reached)
    assert not api.requests
    assert (await create(program.port)).status == 201, "what was given up left a claim behind"


async def test_a_download_that_stands_still_is_given_up(api: RawUpstream, gateway: StartGateway) -> None:
    async def stand_still(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nbegun")
        await call.reader.read()
        call.close()

    program = await gateway(rules(api.url, upstream={"idle_timeout": "300ms"}))
    for path in ("/any", "/users"):
        api.script(stand_still)
        with pytest.raises(BrokenBodyError) as caught:
            await create(program.port, path=path)
        assert caught.value.response.body == b"begun"
    assert (await create(program.port)).slug == "duplicate"


async def test_a_client_that_takes_nothing_for_too_long_is_given_up(api: RawUpstream, gateway: StartGateway) -> None:
    ended = asyncio.Event()

    async def endless(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await call.send(wire.render_chunk(b"x" * 65536))
        finally:
            ended.set()

    program = await gateway(rules(api.url, server={"body_timeout": "300ms"}))
    api.script(endless)
    async with Client(program.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send_raw(create_bytes("ada@example.org"))
        await ended.wait()
        assert (await create(program.port)).slug == "duplicate"


@pytest.mark.parametrize(
    ("path", "limit", "error"),
    [
        ("/any", "idle_timeout", "connection_write_timeout"),
        ("/users", "response_timeout", "http_response_timeout"),  # a body that was read is sent at one stroke
    ],
)
async def test_an_api_that_takes_nothing_for_too_long_is_given_up(
    path: str, limit: str, error: str, api: RawUpstream, gateway: StartGateway
) -> None:
    guard = create_user_rule(body_limit="32MiB")
    program = await gateway(rules(api.url, upstream={limit: "300ms"}, rules=[guard]))
    given_up = asyncio.Event()

    async def stand_still(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await given_up.wait()
        call.reset()

    api.script(At(Stage.HEAD, stand_still))
    seen = await create(program.port, path=path, padding="x" * 16 * 2**20)
    given_up.set()
    assert (seen.status, seen.slug) == (504, "outcome-unknown")
    assert f"error={error};" in (seen.header("Proxy-Status") or "")
    again = await create(program.port, path=path)
    assert (again.slug or again.status) == ("outcome-unknown" if path == "/users" else 201)


async def test_a_slow_body_that_never_stands_still_takes_as_long_as_it_needs(
    api: RawUpstream, gateway: StartGateway
) -> None:
    """The answer's timeout counts from the request's end, and each piece resets the other ones."""
    limits = {"idle_timeout": "1600ms", "response_timeout": "1600ms"}
    program = await gateway(rules(api.url, server={"body_timeout": "1600ms"}, upstream=limits))

    async def slowly(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            await call.send(wire.render_chunk(b"down"))
            await asyncio.sleep(0.1)  # the pace is what is tested: 20 of them outlast both timeouts
        await call.send(wire.render_chunk(b""))

    api.script(slowly)
    async with Client(program.port) as client:
        await client.send_raw(b"PUT /any HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            await client.send_raw(wire.render_chunk(b"up"))
            await asyncio.sleep(0.1)
        await client.send_raw(wire.render_chunk(b""))
        assert (await client.read_response("PUT")).body == b"down" * 20
    assert api.requests[0].body_length == 40
