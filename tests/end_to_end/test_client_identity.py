# What the API is told of the client, and whom the gateway believes about it.

import re
from collections.abc import Iterable

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response, create_bytes, request_bytes
from tests.support.program import rules
from tests.support.request import Request
from tests.support.upstream import RawUpstream

Pairs = list[tuple[str, str]]
MADE = re.compile(r"[0-9a-f]{32}")
BOTH = {"headers": ["x-forwarded", "forwarded"]}
BELIEVED = {"trusted_proxies": ["127.0.0.0/8"], **BOTH}
CLAIMED: Pairs = [
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Forwarded-Port", "443"),
    ("X-Real-IP", "192.0.2.7"),
    ("Forwarded", 'for=192.0.2.7;proto=https;host="shop.example:443"'),
]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def ask(port: int, headers: Iterable[tuple[str, str]] = (), target: str = "/") -> Response:
    async with Client(port) as client:
        return await client.request("GET", target, headers)


def about_client(request: Request) -> dict[str, list[str]]:
    """All that a request says of its client, in whatever spelling."""
    told: dict[str, list[str]] = {}
    for name, value in request.headers:
        if "forwarded" in name.lower() or name.lower() in {"x-real-ip", "x-scheme"}:
            told.setdefault(name, []).append(value)
    return told


# X-Forwarded-* and Forwarded


async def test_the_api_is_told_of_the_clients_address_scheme_and_host(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await ask(program.port)).status == 200
    assert about_client(upstream.requests[0]) == {
        "X-Forwarded-For": ["127.0.0.1"],
        "X-Forwarded-Proto": ["http"],
        "X-Forwarded-Host": ["api.example"],
    }


async def test_the_api_is_told_by_rfc_7239_if_the_file_says_so(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding={"headers": ["forwarded"]})
    assert (await ask(program.port, [("Host", "api.example:8080")])).status == 200
    assert about_client(upstream.requests[0]) == {
        "Forwarded": ['for=127.0.0.1;proto=http;host="api.example:8080"'],
    }


async def test_nothing_is_told_if_the_file_says_so(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The request's header then is what the client sent, byte for byte."""
    program = await gateway(forwarding={"headers": [], "via": "off", "request_id": "off"})
    sent = b"GET / HTTP/1.1\r\nhost:  x \r\nX-Odd:\tvalue\r\nx-odd: \xe9\r\n\r\n"
    async with Client(program.port) as client:
        await client.send_raw(sent)
        seen = await client.read_response()
    assert seen.header("X-Request-Id") is None
    assert upstream.requests[0].headers == [("host", "x"), ("X-Odd", "value"), ("x-odd", "é")]
    (line,) = await program.request_lines(1)
    assert "request_id" not in line


async def test_what_a_stranger_says_of_itself_is_dropped(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=BOTH)
    odd = [("x_forwarded_for", "192.0.2.8"), ("X-Forwarded.Proto", "https"), ("X-FORWARDED-FOR", "192.0.2.9")]
    assert (await ask(program.port, [*CLAIMED, *odd])).status == 200
    assert about_client(upstream.requests[0]) == {
        "X-Forwarded-For": ["127.0.0.1"],
        "X-Forwarded-Proto": ["http"],
        "X-Forwarded-Host": ["api.example"],
        "Forwarded": ["for=127.0.0.1;proto=http;host=api.example"],
    }


async def test_what_a_trusted_proxy_says_is_kept_and_added_to(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=BELIEVED)
    assert (await ask(program.port, CLAIMED)).status == 200
    assert about_client(upstream.requests[0]) == {
        "X-Forwarded-For": ["192.0.2.7, 127.0.0.1"],
        "X-Forwarded-Proto": ["https"],
        "X-Forwarded-Host": ["shop.example"],
        "X-Forwarded-Port": ["443"],
        "X-Real-IP": ["192.0.2.7"],
        "Forwarded": ['for=192.0.2.7;proto=https;host="shop.example:443", for=127.0.0.1;proto=http;host=api.example'],
    }


@pytest.mark.parametrize("networks", [["10.0.0.0/8", "::1"], ["127.0.0.2"], ["unix"]])
async def test_a_peer_outside_the_trusted_networks_is_a_stranger(
    networks: list[str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding={"trusted_proxies": networks})
    assert (await ask(program.port, CLAIMED)).status == 200
    assert upstream.requests[0].header("X-Forwarded-For") == "127.0.0.1"


async def test_connection_cannot_take_away_what_the_gateway_says(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A client that names X-Forwarded-For there would else have it removed on the way (RFC 9110 7.6.1)."""
    names = "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, X-Request-Id"
    for forwarding in (BOTH, BELIEVED):
        program = await gateway(forwarding=forwarding)
        assert (await ask(program.port, [("Connection", names), *CLAIMED])).status == 200
        request = upstream.requests[-1]
        assert (request.header("X-Forwarded-For") or "").endswith("127.0.0.1")
        for name in ("X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Request-Id"):
            assert request.header(name), name


async def test_a_guarded_create_carries_the_same(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=BOTH)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", headers=CLAIMED))
        assert (await client.read_response("POST")).status == 201
    (request,) = upstream.requests
    assert about_client(request) == {
        "X-Forwarded-For": ["127.0.0.1"],
        "X-Forwarded-Proto": ["http"],
        "X-Forwarded-Host": ["api.example"],
        "Forwarded": ["for=127.0.0.1;proto=http;host=api.example"],
    }
    assert request.header("Via") == "1.1 idempotency-gateway"
    assert request.header("X-Request-Id")


async def test_an_upgraded_request_carries_the_same(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.script(
        behaviours.raw(
            wire.render_head("HTTP/1.1 101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "raw")]),
            "close",
        )
    )
    program = await gateway()
    headers = [("Connection", "Upgrade"), ("Upgrade", "raw"), *CLAIMED]
    assert (await ask(program.port, headers)).status == 101
    assert upstream.requests[0].header("X-Forwarded-For") == "127.0.0.1"
    assert upstream.requests[0].header("Via") == "1.1 idempotency-gateway"


async def test_requests_of_one_connection_are_each_told_of_by_themselves(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nothing of one sticks to the next, whatever each of them says."""
    program = await gateway(forwarding=BELIEVED)
    async with Client(program.port) as client:
        for host, headers in (("one.example", CLAIMED), ("two.example", []), ("one.example", CLAIMED[:1])):
            assert (await client.request("GET", "/", [("Host", host), *headers])).status == 200
    told = [(r.header("X-Forwarded-For"), r.header("X-Forwarded-Host")) for r in upstream.requests]
    assert told == [
        ("192.0.2.7, 127.0.0.1", "shop.example"),
        ("127.0.0.1", "two.example"),
        ("192.0.2.7, 127.0.0.1", "one.example"),
    ]


# Via


@pytest.mark.parametrize(
    ("via", "version", "before", "seen"),
    [
        ("idempotency-gateway", "1.1", [], ["1.1 idempotency-gateway"]),
        ("edge", "1.0", [], ["1.0 edge"]),
        ("edge", "1.1", ["1.0 fred, 1.1 p.example.net"], ["1.0 fred, 1.1 p.example.net", "1.1 edge"]),
        ("off", "1.1", [], []),
        ("off", "1.1", ["1.0 fred"], ["1.0 fred"]),
    ],
)
async def test_via_names_the_gateway_behind_those_before_it(
    via: str, version: str, before: list[str], seen: list[str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding={"via": via})
    lines = [("Via", value) for value in before]
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("GET", "/", lines).replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        assert (await client.read_response()).status == 200
    assert wire.values(upstream.requests[0].headers, "Via") == seen


# Host


async def test_each_upstream_sees_the_host_that_is_set_for_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    async with RawUpstream() as second, RawUpstream() as third:
        text = rules(
            upstream.url,
            upstream={"host": "keep"},
            upstreams={
                "two": {"url": second.url, "host": "upstream"},
                "three": {"url": third.url, "host": "api.internal"},
            },
        )
        routes = "".join(f'[[routes]]\npath = "/{name}"\nupstream = "{name}"\n' for name in ("two", "three"))
        program = await gateway(text + routes)
        for target in ("/one", "/two", "/three"):
            assert (await ask(program.port, [("hOsT", "Shop.Example:8443")], target)).status == 200
        for api, host in (
            (upstream, "Shop.Example:8443"),
            (second, f"127.0.0.1:{second.port}"),
            (third, "api.internal"),
        ):
            (request,) = api.requests
            assert wire.values(request.headers, "Host") == [host]
            assert request.header("X-Forwarded-Host") == "Shop.Example:8443", "what the client asked for is told"


async def test_an_old_client_that_names_no_host_gets_the_upstreams(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.read_response()).status == 200
    (request,) = upstream.requests
    assert request.header("Host") == f"127.0.0.1:{upstream.port}"
    assert request.header("X-Forwarded-Host") is None


async def test_the_host_of_an_absolute_target_is_the_one_that_counts(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 3.2.2: what the Host line says is replaced, also in what the API is told of the client."""
    program = await gateway()
    async with Client(program.port) as client:
        await client.send_raw(b"GET http://real.example/x HTTP/1.1\r\nHost: fake.example\r\n\r\n")
        assert (await client.read_response()).status == 200
    (request,) = upstream.requests
    assert (request.target, request.header("Host")) == ("/x", "real.example")
    assert request.header("X-Forwarded-Host") == "real.example"
