# Creates whose rule reads nothing of their body: of any size, sent as they come, and settled as any other.

from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.end_to_end.test_streams import GROWTH, digest, pieces
from tests.support import behaviours, wire
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram, Table, rules
from tests.support.shorthands import GIB, entry
from tests.support.upstream import At, Call, RawUpstream, Stage, refused_port

MIB = 2**20
SIZE = 3 * MIB


def by_path(**changes: Any) -> Table:
    match = {"path": "/files/{id}", "methods": ["PUT"]}
    return {"name": "file", "match": match, "unique": [entry("path.id", name="id")], **changes}


async def started(gateway: StartGateway, api: RawUpstream, **changes: Any) -> GatewayProgram:
    return await gateway(rules(api.url, rules=[by_path(**changes)]))


async def put(
    program: GatewayProgram, size: int = SIZE, target: str = "/files/a", *, is_chunked: bool = False
) -> Response:
    framing = [] if is_chunked else [("Content-Length", str(size))]
    async with Client(program.port) as client:
        return await client.request("PUT", target, framing, pieces(size))


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_beyond_what_is_read_is_sent_as_it_comes(
    api: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program = await started(gateway, api)
    seen = await put(program, is_chunked=is_chunked)
    assert (seen.status, seen.header("Idempotency-Status")) == (200, "created")
    (request,) = api.requests
    assert (request.body_length, request.digest) == (SIZE, digest(SIZE))
    assert request.header("Transfer-Encoding") == ("chunked" if is_chunked else None)
    assert (await put(program, 10)).slug == "duplicate"
    assert (await put(program, target="/files/b", is_chunked=is_chunked)).status == 200
    assert len(api.requests) == 2


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, MIB + 100_000])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_sizes_about_the_limit_make_no_difference(
    size: int, api: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program = await started(gateway, api)
    assert (await put(program, size, is_chunked=is_chunked)).status == 200
    (request,) = api.requests
    assert (request.body_length, request.digest) == (size, digest(size))
    assert (await put(program, size, is_chunked=is_chunked)).slug == "duplicate"


async def test_a_gibibyte_takes_bounded_memory(api: RawUpstream, gateway: StartGateway) -> None:
    program = await started(gateway, api)
    async with Client(program.port) as client:
        await client.request("PUT", "/warm-up", (), b"x" * 100_000)
    before = program.rss()
    assert (await put(program, GIB, is_chunked=True)).status == 200
    assert api.requests[-1].digest == digest(GIB)
    assert program.peak_rss() - before < GROWTH


async def test_a_rule_that_reads_the_body_has_its_limit(api: RawUpstream, gateway: StartGateway) -> None:
    keyed_rule = by_path(name="key", key={}, unique=[]) | {"match": {"path": "/k"}}
    program = await gateway(rules(api.url, rules=[by_path(unique=[entry("body.id")]), keyed_rule]))
    assert (await put(program)).slug == "body-too-large"
    async with Client(program.port) as client:
        keyed = [("Idempotency-Key", "k"), ("Content-Length", str(SIZE))]
        assert (await client.request("POST", "/k", keyed, pieces(SIZE))).slug == "body-too-large"
    assert not api.requests


# How it ends


async def begin(client: Client, size: int = SIZE) -> None:
    """Send the head of an upload, and a piece of its body."""
    head = wire.render_head("PUT /files/a HTTP/1.1", [("Host", "x"), ("Content-Length", str(size))])
    await client.send_raw(head + b"x" * 1000)


async def test_an_upload_that_its_client_breaks_off_may_have_happened(api: RawUpstream, gateway: StartGateway) -> None:
    """The API has got a part of it, and it is for nobody else to say what it made of that."""
    program = await started(gateway, api)
    async with Client(program.port) as client:
        await begin(client)
        await api.started.reach(1)
    await api.aborted.reach(1)
    (line,) = await program.request_lines(1)
    assert line["outcome"] == "outcome-unknown"
    assert (await put(program)).slug == "outcome-unknown"
    assert not api.requests


async def test_a_short_one_that_breaks_off_claims_nothing(api: RawUpstream, gateway: StartGateway) -> None:
    program = await started(gateway, api)
    async with Client(program.port) as client:
        await begin(client, MIB)
    (line,) = await program.request_lines(1)
    assert line["outcome"] == "request-incomplete"
    assert (await put(program)).status == 200
    assert len(api.started) == 1


@pytest.mark.parametrize(("status", "again"), [(401, 200), (413, 200), (500, "outcome-unknown"), (201, "duplicate")])
async def test_an_answer_before_the_body_is_whole_settles_it(
    status: int, again: int | str, api: RawUpstream, gateway: StartGateway
) -> None:
    program = await started(gateway, api)

    async def answer(call: Call) -> None:
        await call.send(wire.render_head(f"HTTP/1.1 {status} Early", [("Content-Length", "0")]))

    api.script(At(Stage.HEAD, answer))
    async with Client(program.port) as client:
        await begin(client)
        assert (await client.read_response("PUT")).status == status
    seen = await put(program)
    assert (seen.slug or seen.status) == again


async def test_an_api_that_gives_no_answer_leaves_it_unknown(api: RawUpstream, gateway: StartGateway) -> None:
    program = await started(gateway, api)
    api.script(behaviours.close_without_answer())
    seen = await put(program)
    assert (seen.status, seen.slug) == (502, "outcome-unknown")
    assert (await put(program)).slug == "outcome-unknown"


async def test_one_that_was_not_sent_is_free(gateway: StartGateway) -> None:
    with refused_port() as port:
        program = await gateway(rules(f"http://127.0.0.1:{port}", rules=[by_path()]))
        for _ in range(2):
            async with Client(program.port) as client:
                await begin(client)
                seen = await client.read_response("PUT")
                assert (seen.status, seen.slug) == (502, "upstream-unreachable")


async def test_the_apis_100_is_passed_on_before_the_body(api: RawUpstream, gateway: StartGateway) -> None:
    program = await started(gateway, api)

    async def agree(call: Call) -> None:
        assert call.request.header("Expect") == "100-continue"
        await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    api.script(At(Stage.HEAD, agree))
    head = [("Host", "x"), ("Content-Length", str(SIZE)), ("Expect", "100-continue")]
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("PUT /files/a HTTP/1.1", head))
        assert await wire.read_head(client.reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in pieces(SIZE):
            await client.send_raw(piece)
        assert (await client.read_response("PUT")).status == 200
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head("PUT /files/a HTTP/1.1", head))
        assert (await client.read_response("PUT")).slug == "duplicate", "before the body is sent at all"
