# By what a request is found again: its id, and the trace that it belongs to.

import re

import pytest

from tests.conftest import StartGateway
from tests.support import wire
from tests.support.client import Client, Response, create_bytes, request_bytes
from tests.support.program import rules
from tests.support.shorthands import get
from tests.support.upstream import RawUpstream, refused_port

Pairs = list[tuple[str, str]]
MADE = re.compile(r"[0-9a-f]{32}")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def get_with(port: int, headers: Pairs, target: str = "/") -> Response:
    async with Client(port) as client:
        return await client.request("GET", target, headers)


async def test_a_request_without_an_id_gets_one_that_the_log_shows(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for _ in range(200):
            assert (await client.request("GET", "/")).status == 200
    ids = [request.header("X-Request-Id") or "" for request in upstream.requests]
    assert all(MADE.fullmatch(each) for each in ids)
    assert len(set(ids)) == 200
    assert [line["request_id"] for line in await program.request_lines(200)] == ids


@pytest.mark.parametrize("id_", ["abc-123", "01HZX/9_:=.+", "x" * 128])
async def test_an_id_that_a_request_has_is_kept(id_: str, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    assert (await get_with(program.port, [("x-request-ID", id_)])).status == 200
    assert wire.values(upstream.requests[0].headers, "X-Request-Id") == [id_]
    (line,) = await program.request_lines(1)
    assert line["request_id"] == id_


async def test_the_id_that_is_logged_is_the_one_that_the_api_gets_whatever_connection_names(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await get_with(program.port, [("X-Request-Id", "mine"), ("Connection", "X-Request-Id")])).status == 200
    (line,) = await program.request_lines(1)
    assert upstream.requests[0].header("X-Request-Id") == line["request_id"]


@pytest.mark.parametrize(
    "headers",
    [[("X-Request-Id", "a"), ("X-Request-Id", "b")], [("X-Request-Id", "x" * 129)], [("X-Request-Id", 'a"b}')]],
    ids=["two", "too-long", "odd"],
)
async def test_an_id_that_cannot_be_shown_as_it_is_is_replaced(
    headers: Pairs, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await get_with(program.port, headers)).status == 200
    id_ = upstream.requests[0].header("X-Request-Id") or ""
    assert MADE.fullmatch(id_)
    (line,) = await program.request_lines(1)
    assert line["request_id"] == id_


async def test_the_header_of_the_id_may_have_another_name(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding={"request_id": "X-Correlation-Id"})
    assert (await get_with(program.port, [("X-Correlation-Id", "mine"), ("X-Request-Id", "other")])).status == 200
    (request,) = upstream.requests
    assert (request.header("X-Correlation-Id"), request.header("X-Request-Id")) == ("mine", "other")
    (line,) = await program.request_lines(1)
    assert line["request_id"] == "mine"


async def test_the_gateways_own_answers_show_the_id_of_their_request(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The API's answers are left as they are."""
    with refused_port() as port:
        text = rules(
            upstream.url,
            upstreams={"down": {"url": f"http://127.0.0.1:{port}"}},
        )
        program = await gateway(text + '\n[[routes]]\npath = "/down"\nupstream = "down"\n')
        async with Client(program.port) as client:
            mine = [("X-Request-Id", "mine-1")]
            for sent, status in (
                (create_bytes("ada@example.org", headers=mine), 201),
                (create_bytes("ada@example.org", headers=mine), 409),
                (request_bytes("POST", "/users", mine, b"{}"), 422),
                (request_bytes("GET", "/down", mine), 502),
                (request_bytes("POST", "/users//", mine, b"{}"), 400),
            ):
                await client.send_raw(sent)
                seen = await client.read_response("POST")
                assert (seen.status, seen.header("X-Request-Id")) == (status, None if status == 201 else "mine-1")
            await client.send_raw(create_bytes("ada@example.org"))
            made = (await client.read_response("POST")).header("X-Request-Id") or ""
            assert MADE.fullmatch(made)
        assert (await program.request_lines(6))[-1]["request_id"] == made


# Traces


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ([TRACE], "0af7651916cd43dd8448eb211c80319c"),
        ([], None),
        (["00-" + "0" * 32 + "-b7ad6b7169203331-01"], None),
        ([TRACE, TRACE], None),
        (["garbage"], None),
    ],
    ids=["valid", "none", "zeros", "two", "garbage"],
)
async def test_a_trace_is_passed_on_untouched_and_logged_if_it_is_one(
    sent: list[str], logged: str | None, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    state = [("tracestate", "congo=t61rcWkgMzE")]
    assert (await get_with(program.port, [*(("traceparent", each) for each in sent), *state])).status == 200
    assert wire.values(upstream.requests[0].headers, "traceparent") == sent
    assert upstream.requests[0].header("tracestate") == state[0][1]
    (line,) = await program.request_lines(1)
    assert line.get("trace_id") == logged


async def test_the_log_shows_no_more_of_the_client_than_its_ids(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Not its address, not what it claims, not the path."""
    program = await gateway(forwarding={"trusted_proxies": ["127.0.0.1"]})
    assert (
        await get_with(
            program.port,
            [
                ("X-Forwarded-For", "192.0.2.7"),
                ("X-Forwarded-Host", "shop.example"),
                ("Authorization", "Bearer secret-token"),
            ],
            "/path-of-mine",
        )
    ).status == 200
    assert (await get(program.port, "/")).status == 200
    await program.request_lines(2)
    for hidden in ("192.0.2.7", "shop.example", "secret-token", "path-of-mine"):
        assert hidden not in program.whole_output
