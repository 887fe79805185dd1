# The heads of requests and answers: what passes stays as it was, and what ends at a hop ends at the gateway.


import pytest

from tests.conftest import StartGateway
from tests.gateway.shorthands import HOST, exchange
from tests.support import behaviours, wire
from tests.support.client import Client, create_bytes, request_bytes
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream

EVERY_BYTE = bytes(range(0x21, 0x7F)).decode() + bytes(range(0x80, 0x100)).decode("latin-1")


# Heads


async def test_request_methods_and_headers_keep_their_order_case_repeats_and_bytes(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    headers = [
        ("x-first", "1"),
        ("hOsT", "api.example:81"),
        ("X-Repeated", "a"),
        ("Accept-Encoding", "br;q=1.0, gzip"),
        ("x-repeated", "b,  c"),
        ("X-Bytes", EVERY_BYTE),
        ("X-Empty", ""),
        ("Cookie", "a=1; b=2"),
        ("X-Repeated", "a"),
        ("Authorization", "Basic eDp5"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("!#$%&'*+-.^_`|~1", "odd name"),
    ]
    methods = ["GET", "POST", "PURGE", "M-SEARCH", "DELETE"]
    for method in methods:
        await exchange(program.port, wire.render_head(f"{method} /any HTTP/1.1", headers), method)
    assert [request.method for request in upstream.requests] == methods
    for request in upstream.requests:
        assert request.headers == headers


async def test_a_guarded_create_is_forwarded_as_it_came(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    body = b' {"email" :\t"\\u0041da@example.org" , "\xc3\xa9": 1.0 }\n'
    headers = [HOST, ("content-TYPE", "application/json; charset=UTF-8"), ("X", "\xe9"), ("Content-Length", "49")]
    headers[-1] = ("Content-Length", str(len(body)))
    sent = wire.render_head("POST /users/?a=%20&b HTTP/1.1", headers) + body
    assert (await exchange(program.port, sent, "POST")).status == 201
    assert bytes(upstream.requests[0].raw) == sent


@pytest.mark.parametrize("guarded", [False, True])
async def test_answers_keep_status_reason_headers_and_body(
    upstream: RawUpstream, gateway: StartGateway, *, guarded: bool
) -> None:
    program = await gateway()
    headers = [
        ("dATE", "yesterday"),
        ("Set-Cookie", "a=1; Path=/"),
        ("X-Bytes", EVERY_BYTE),
        ("set-cookie", "b=2"),
        ("X-Empty", ""),
        ("Content-Encoding", "gzip"),
        ("Retry-After", "7"),
        ("Proxy-Status", "another"),
        ("Content-Length", "3"),
        ("Server", "none of your business"),
        ("Set-Cookie", "a=1; Path=/"),
    ]
    for number, reason in enumerate(["Fine by me", "", "Sch\xf6n", "a  b"]):
        upstream.script(behaviours.answer(299, headers, b"\x00\xff\x1f", reason))
        sent = create_bytes(f"user-{number}@example.org") if guarded else request_bytes("GET", "/")
        response = await exchange(program.port, sent)
        assert (response.status, response.reason) == (299, reason)
        assert response.headers == headers
        assert response.body == b"\x00\xff\x1f"


async def test_the_target_is_forwarded_as_it_was_sent(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    targets = [
        *["/a%2fb%2F%zz%", "/?", "/a?", "/a??b=?&&=", "/a/../b/./c//d", "//a//", "/a;b=c/d\\e", "/%C3%a9/%c3%A9"],
        *["/a'b\"c<d>|{}^`", "/a#b", "http://api.example/a/../b?c", "http://API.example:80", "/" + "a" * 7000],
    ]
    async with Client(program.port) as client:
        for target in targets:
            assert (await client.request("GET", target)).status == 200, target
    assert [request.target for request in upstream.requests] == targets


async def test_the_asterisk_form_passes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    assert (await exchange(program.port, request_bytes("OPTIONS", "*"), "OPTIONS")).status == 200
    assert (upstream.requests[0].method, upstream.requests[0].target) == ("OPTIONS", "*")


async def test_hop_by_hop_fields_and_those_that_connection_names_end_at_the_gateway(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    kept = [HOST, ("X-Kept", "1"), ("Cookie", "kept"), ("Content-Length", "2"), ("TE-X", "1")]
    named = [
        ("Connection", "keep-alive, X-Private , ,x-also"),
        ("connection", "Cookie, Content-Length, host"),
        ("X-PRIVATE", "1"),
        ("x-also", "2"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
    ]
    upstream.script(behaviours.answer(200, [*named[:1], ("X-Kept", "1"), *named[2:], ("Content-Length", "0")]))
    response = await exchange(program.port, wire.render_head("PUT /any HTTP/1.1", [*named, *kept]) + b"ok", "PUT")
    (request,) = upstream.requests
    assert request.headers == kept
    assert bytes(request.body) == b"ok"
    assert response.headers == [("X-Kept", "1"), ("Content-Length", "0")]


WITHOUT_UPGRADE = [("Content-Length", "5"), ("Connection", "close")]


async def test_no_upgrade_is_offered_to_the_api_or_to_the_client(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    upstream.script(behaviours.answer(200, [("Connection", "Upgrade"), ("Upgrade", "h2c")], b"plain"))
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAM")]
    async with Client(program.port) as client:
        response = await client.request("GET", "/any", headers)
        assert (response.status, response.body, response.headers) == (200, b"plain", WITHOUT_UPGRADE)
        assert await client.wait_for_end() == "closed"
    assert upstream.requests[0].headers == [HOST]


# Expect


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_client_that_waits_for_100_is_told_to_go_on_and_the_api_hears_nothing_of_it(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    body = b'{"email": "ada@example.org"}'
    headers = [HOST, ("Expect", "100-Continue"), ("Content-Type", "application/json"), ("Content-Length", "28")]
    async with Client(program.port) as client:
        await client.send_raw(wire.render_head(f"POST {target} HTTP/1.1", headers))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_raw(body)
        response = await client.read_response("POST")
        assert (response.status, response.interim) == (201, [])
        assert (await client.request("GET", "/")).interim == []
    assert upstream.requests[0].headers == [headers[0], *headers[2:]]
    assert bytes(upstream.requests[0].body) == body


async def test_a_client_that_waits_for_100_and_will_be_refused_need_not_send_its_body(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(body_limit="1KiB", scope=["header.X-Tenant"])])
    expects = [HOST, ("Expect", "100-continue"), ("Content-Type", "application/json")]
    for target, headers, slug in (
        ("/users", [("Content-Length", "1025")], "body-too-large"),
        ("/users;x", [("Content-Length", "5")], "ambiguous-path"),
        ("/users", [("Content-Length", "5"), ("Connection", "X-Tenant"), ("X-Tenant", "a")], "hidden-field"),
    ):
        async with Client(program.port) as client:
            await client.send_raw(wire.render_head(f"POST {target} HTTP/1.1", [*expects, *headers]))
            response = await client.read_response("POST")
            assert (response.slug, response.interim, response.header("Connection")) == (slug, [], "close")
    assert not upstream.connections
