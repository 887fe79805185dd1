# The heads of requests and answers: what passes stays as it was, and what ends at a hop ends at the gateway.

import gzip

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import UNMARKED, create_user_rule
from tests.support.shorthands import HOST, exchange
from tests.support.upstream import RawUpstream

EVERY_BYTE = bytes(range(0x21, 0x7F)).decode() + bytes(range(0x80, 0x100)).decode("latin-1")


# Heads


async def test_request_methods_and_headers_keep_their_order_case_repeats_and_bytes(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding={**UNMARKED, "trusted_proxies": ["127.0.0.1"]})
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
    methods = ["GET", "POST", "PURGE", "M-SEARCH", "DELETE", "get", "X", "a!#$%&'*+-.^_`|~1"]
    for method in methods:
        await exchange(program.port, wire.render_head(f"{method} /any HTTP/1.1", headers), method)
    assert [request.method for request in upstream.requests] == methods
    for request in upstream.requests:
        assert request.headers == headers


async def test_a_guarded_create_is_forwarded_as_it_came(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=UNMARKED)
    body = b' {"email" :\t"\\u0041da@example.org" , "\xc3\xa9": 1.0 }\n'
    headers = [HOST, ("content-TYPE", "application/json; charset=UTF-8"), ("X", "\xe9")]
    headers.append(("Content-Length", str(len(body))))
    sent = wire.render_head("POST /users/?a=%20&b HTTP/1.1", headers) + body
    assert (await exchange(program.port, sent, "POST")).status == 201
    assert bytes(upstream.requests[0].raw) == sent


@pytest.mark.parametrize("guarded", [False, True])
async def test_answers_keep_status_reason_headers_and_body(
    upstream: RawUpstream, gateway: StartGateway, *, guarded: bool
) -> None:
    program = await gateway(server={"status_header": "off"})
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
        *["/a'b\"c<d>|{}^`", "/http://api.example", "/" + "a" * 7000],
    ]
    async with Client(program.port) as client:
        for target in targets:
            assert (await client.request("GET", target)).status == 200, target
    assert [request.target for request in upstream.requests] == targets


async def test_an_absolute_target_is_forwarded_in_origin_form_to_the_host_that_it_names(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 3.2.2: its authority takes the place of whatever Host says."""
    program = await gateway(forwarding=UNMARKED)
    accept = ("Accept", "*/*")
    async with Client(program.port) as client:
        for target, path, host in (
            ("http://other.example/a/../b?c", "/a/../b?c", "other.example"),
            ("http://OTHER.example:80", "/", "OTHER.example:80"),
            ("http://other.example?c", "/?c", "other.example"),
            ("HTTPS://[::1]:8443//a", "//a", "[::1]:8443"),
            ("http://user:secret@other.example/a", "/a", "other.example"),
        ):
            assert (await client.request("GET", target, [accept, HOST])).status == 200, target
            assert (upstream.requests[-1].target, upstream.requests[-1].headers) == (path, [("Host", host), accept])
        assert (await client.request("OPTIONS", "http://other.example", [HOST])).status == 200
        assert (upstream.requests[-1].target, upstream.requests[-1].header("Host")) == ("*", "other.example")
        await client.send_raw(b"GET http://other.example/old HTTP/1.0\r\n\r\n")
        assert (await client.read_response()).status == 200
    assert (upstream.requests[-1].target, upstream.requests[-1].headers) == ("/old", [("Host", "other.example")])


async def test_the_asterisk_form_passes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    assert (await exchange(program.port, request_bytes("OPTIONS", "*"), "OPTIONS")).status == 200
    assert (upstream.requests[0].method, upstream.requests[0].target) == ("OPTIONS", "*")
    assert (await exchange(program.port, request_bytes("GET", "*"))).slug == "bad-request"
    assert len(upstream.requests) == 1


async def test_hop_by_hop_fields_and_those_that_connection_names_end_at_the_gateway(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(forwarding=UNMARKED)
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


@pytest.mark.parametrize("offered", ["h2c", "HTTP/2.0", "TLS/1.2", "h2c, websocket, foo"])
async def test_no_upgrade_that_would_hide_requests_is_offered_to_the_api(
    offered: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nor one of which the API could pick either of two; and what the API offers ends here (RFC 9110 7.8)."""
    program = await gateway(forwarding=UNMARKED)
    upstream.script(behaviours.answer(200, [("Connection", "Upgrade"), ("Upgrade", "h2c")], b"plain"))
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", offered), ("HTTP2-Settings", "AAM")]
    async with Client(program.port) as client:
        response = await client.request("GET", "/any", headers)
        assert (response.status, response.body, response.headers) == (200, b"plain", [("Content-Length", "5")])
        assert (await client.request("GET", "/next")).status == 200
    assert [request.headers for request in upstream.requests] == [[HOST], [HOST]]


# Type and coding


async def test_of_two_content_types_nobody_knows_which_one_counts(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A rule would read one of them, and the API the other."""
    program = await gateway()
    for path in ("/users", "/any"):
        second = ("content-type", "text/plain")
        seen = await exchange(program.port, create_bytes("ada@example.org", path=path, headers=[second]), "POST")
        assert (seen.status, seen.slug) == (400, "bad-request")
    assert not upstream.connections


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_coding_before_chunked_is_forwarded_as_the_content_s(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 7: a transfer coding is undone at each hop; what is not undone must still be named."""
    program = await gateway(forwarding=UNMARKED, rules=[create_user_rule(content_encodings=["gzip"])])
    body = gzip.compress(b'{"email": "ada@example.org"}')
    kind, coded = ("Content-Type", "application/json"), ("Content-Encoding", "gzip")
    sent = [HOST, kind, ("Transfer-Encoding", "gzip , Chunked")]
    async with Client(program.port) as client:
        chunks = wire.render_chunk(body) + wire.render_chunk(b"")
        await client.send_raw(wire.render_head(f"POST {target} HTTP/1.1", sent) + chunks)
        assert (await client.read_response("POST")).status == 201
    (request,) = upstream.requests
    framing = ("Content-Length", str(len(body))) if target == "/users" else ("Transfer-Encoding", "chunked")
    assert request.headers == [HOST, kind, coded, framing]
    assert bytes(request.body) == body
    if target == "/users":
        assert (await create(program.port)).slug == "duplicate", "the identity in it was not read"
