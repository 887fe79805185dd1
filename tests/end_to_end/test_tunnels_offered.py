# Which changes of protocol are offered to the API, and which 101 is believed.


import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.shorthands import expect_next, expect_proxy_status
from tests.support.tunnels import SWITCHING, asking, echo, switched
from tests.support.upstream import RawUpstream


@pytest.mark.parametrize(
    "protocol", ["h2c", "H2C", "HTTP/2.0", "http/1.1", "TLS/1.0", "tls/1.2, h2c", "one, two"], ids=lambda it: str(it)
)
async def test_a_protocol_that_would_lead_past_the_gateway_is_not_offered(
    protocol: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nor several, of which nobody knows which one the API takes. The request is an ordinary one then."""
    program = await gateway()
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("GET", "/socket", fields))
        assert (await client.read_response()).status == 200
        assert (await client.request("GET", "/next")).status == 200
    request = upstream.requests[0]
    for name in ("Upgrade", "Connection", "HTTP2-Settings"):
        assert request.header(name) is None


async def test_of_several_protocols_the_one_that_may_be_offered_is(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(switched(echo))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(asking("h2c, raw"))
        assert (await client.read_response()).status == 101
    assert (upstream.requests[0].header("Upgrade"), upstream.requests[0].header("Connection")) == ("raw", "Upgrade")


@pytest.mark.parametrize(
    "request_",
    [
        asking().replace(b"HTTP/1.1", b"HTTP/1.0"),
        asking().replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        request_bytes("POST", "/socket", [("Connection", "Upgrade"), ("Upgrade", "raw")], b"body"),
    ],
    ids=["http-1.0", "not-in-connection", "with-a-body"],
)
async def test_an_upgrade_that_cannot_be_carried_is_not_offered(
    request_: bytes, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(request_)
        assert (await client.read_response()).status in {200, 201}
    (request,) = upstream.requests
    assert (request.header("Upgrade"), request.header("Connection")) == (None, None)


async def test_an_upgrade_of_a_guarded_create_is_not_offered(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    assert (await create(program.port, "ada@example.org", headers=headers)).status == 201
    (request,) = upstream.requests
    assert (request.header("Upgrade"), request.header("Connection")) == (None, None)
    assert (await create(program.port, "ada@example.org", headers=headers)).slug == "duplicate"


@pytest.mark.parametrize("status", [200, 400, 426, 503])
async def test_an_upgrade_that_the_api_declines_is_an_ordinary_answer(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.answer(status, [("X-Why", "because")], b"no"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(asking() + request_bytes("GET", "/next"))
        seen = await client.read_response()
        assert (seen.status, seen.body, seen.header("X-Why")) == (status, b"no", "because")
        assert (await client.read_response()).status == 200
    assert [request.target for request in upstream.requests] == ["/socket", "/next"]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (request_bytes("GET", "/"), SWITCHING),
        (asking("websocket"), SWITCHING),
        (asking("h2c"), SWITCHING.replace(b"raw", b"h2c")),
        (asking(), b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        (asking(), SWITCHING.replace(b"raw", b"raw, other")),
    ],
    ids=["nobody-asked", "another-one", "not-offered", "unnamed", "two"],
)
async def test_a_101_that_nobody_asked_for_is_a_bad_gateway(
    request_: bytes, answer: bytes, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.raw(answer + b"what follows", "close"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(request_)
        seen = await client.read_response()
        assert (seen.status, seen.slug) == (502, "outcome-unknown")
        expect_proxy_status(seen, "http_protocol_error")
        assert b"what follows" not in seen.body
        assert (await client.request("GET", "/")).status == 200


async def test_a_101_for_a_guarded_create_leaves_its_outcome_unknown(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.raw(SWITCHING, "close"))
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", headers=[("Connection", "Upgrade"), ("Upgrade", "raw")]))
        assert (await client.read_response("POST")).slug == "outcome-unknown"
    await expect_next(program.port, upstream, "ada@example.org", "unknown")
