# HTTP/1.1 on both sides: what passes stays as it was, what must not pass does not, and each answer finds its request.

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response, create, create_bytes, request_bytes
from tests.support.program import create_user_rule, rules
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage, refused_port

HOST = ("Host", "api.example")
EVERY_BYTE = bytes(range(0x21, 0x7F)).decode() + bytes(range(0x80, 0x100)).decode("latin-1")


async def exchange(port: int, sent: bytes, method: str = "GET") -> Response:
    async with Client(port) as client:
        await client.send_raw(sent)
        return await client.read_response(method)


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


async def test_no_upgrade_is_offered_to_the_api_or_to_the_client(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    upstream.script(behaviours.answer(200, [("Connection", "Upgrade"), ("Upgrade", "h2c")], b"plain"))
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAM")]
    async with Client(program.port) as client:
        response = await client.request("GET", "/any", headers)
        assert (response.status, response.body, response.headers) == (200, b"plain", [("Content-Length", "5")])
        assert (await client.request("GET", "/next")).status == 200
    assert upstream.requests[0].headers == [HOST]


# Framing and persistence


async def test_answers_are_framed_as_they_must_be_and_connections_kept_on_both_sides(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.answer(200, (), b"four"),
        behaviours.chunked([b"ab", b"c", b"d" * 70_000], 200, [("X-A", "1")]),
        behaviours.answer(204, [("X-B", "2")]),
        behaviours.answer(304, [("Content-Length", "4"), ("ETag", '"x"')]),
        behaviours.answer(304, [("ETag", '"x"')]),
        behaviours.answer(200, (), b""),
        behaviours.chunked([], 201),
        behaviours.answer(205, (), b""),
    )
    async with Client(program.port) as client:
        for status, body in (
            (200, b"four"),
            (200, b"abc" + b"d" * 70_000),
            (204, b""),
            (304, b""),
            (304, b""),
            (200, b""),
            (201, b""),
            (205, b""),
        ):
            response = await client.request("GET", "/any")
            assert (response.status, response.body) == (status, body)
            assert response.header("Connection") is None
            if status == 204:
                assert response.headers == [("X-B", "2")]
    assert upstream.connections == [0]


async def test_head_is_answered_without_a_body_whatever_the_fields_say(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.answer(200, [("Content-Length", "1000")]),
        behaviours.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        behaviours.raw(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\n\r\n"),
        behaviours.answer(200, (), b"four"),
    )
    async with Client(program.port) as client:
        response = await client.request("HEAD", "/1")
        assert response.headers == [("Content-Length", "1000")]
        assert (await client.request("HEAD", "/2")).status == 200
        assert (await client.request("HEAD", "/3")).header("X-A") == "1"
        assert (await client.request("GET", "/4")).body == b"four"
    assert [request.method for request in upstream.requests] == ["HEAD", "HEAD", "HEAD", "GET"]
    with refused_port() as port:
        nobody = await gateway(rules(port))
        async with Client(nobody.port) as client:
            for _ in range(2):
                response = await client.request("HEAD", "/users")
                assert (response.status, response.body) == (502, b"")
                assert int(response.header("Content-Length") or 0) > 0


@pytest.mark.parametrize("target", ["/any", "/users"])
async def test_chunked_requests_arrive_whole_without_their_extensions_and_trailers(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    body = b'{"email": "ada@example.org"}'
    framing = ("Transfer-Encoding", "chunked")
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Content-Type", "application/json"), framing])
    chunks = b'00A;ext="1";x\r\n%b\r\n1\r\n%b\r\n%x\r\n%b\r\n000\r\nX-First: 1\r\nX-Last: 2\r\n\r\n'
    async with Client(program.port) as client:
        await client.send_raw(head + chunks % (body[:10], body[10:11], len(body) - 11, body[11:]))
        assert (await client.read_response("POST")).status == 201
    (request,) = upstream.requests
    assert bytes(request.body) == body
    assert request.header("Content-Type") == "application/json"
    assert not {"X-First", "X-Last"} & {name for name, _ in request.headers}
    assert b"X-Last" not in request.raw


@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_the_trailers_of_a_request_are_not_taken_for_headers_of_the_next_one(
    upstream: RawUpstream, gateway: StartGateway, *, is_pipelined: bool
) -> None:
    program = await gateway(rules=[create_user_rule(scope=["header.X-Tenant"])])
    first = wire.render_head("POST /any HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    first += b"1\r\na\r\n0\r\nX-Tenant: forged\r\n\r\n"
    async with Client(program.port) as client:
        if is_pipelined:
            await client.send_raw(first + create_bytes("ada@example.org"))
        else:
            await client.send_raw(first)
        response = await client.read_response("POST")
        assert response.status == 201
        with contextlib.suppress(ConnectionError):  # ending the connection would be an answer to this, too
            if not is_pipelined:
                await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).slug == "missing-identity"
    assert len(upstream.requests) == 1


async def test_the_trailers_of_an_answer_are_not_taken_for_headers(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    head = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    last = b"0\r\nX-T: 1\r\nSet-Cookie: a=forged\r\nLocation: /forged\r\n\r\n"

    async def in_pieces(call: Call) -> None:
        await call.send(head)
        await call.send(b"2\r\nok\r\n")
        await call.send(last)

    upstream.script(behaviours.raw(head + b"2\r\nok\r\n" + last), in_pieces, behaviours.raw(head + last))
    async with Client(program.port) as client:
        for number, body in enumerate([b"ok", b"ok", b""]):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            response = await client.read_response("POST")
            assert (response.headers, response.body) == ([("Transfer-Encoding", "chunked")], body)
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            assert "existingResourceLink" not in (await client.read_response("POST")).json()
        assert (await client.request("GET", "/")).header("Set-Cookie") is None


async def test_an_answer_that_ends_with_its_connection_arrives_whole_over_a_kept_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.until_close(b"the rest"),
        behaviours.raw(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nold", "close"),
        behaviours.until_close(b"created", 201),
        behaviours.answer(200, [("Connection", "close")], b"said so"),
    )
    async with Client(program.port) as client:
        assert (await client.request("GET", "/1")).body == b"the rest"
        old = await client.request("GET", "/2")
        assert (old.raw_head[:9], old.header("X-Old"), old.body) == (b"HTTP/1.1 ", "1", b"old")
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).body == b"created"
        closed = await client.request("GET", "/3")
        assert (closed.body, closed.header("Connection")) == (b"said so", None)
        assert (await client.request("GET", "/4")).status == 200
    assert upstream.connections == [0, 1, 2, 3, 4]


async def test_a_client_of_http_1_0_gets_what_it_can_read(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    upstream.script(behaviours.chunked([b"ab", b"c"]), behaviours.answer(200, (), b"four"))
    async with Client(program.port) as client:
        await client.send_raw(b"GET /1 HTTP/1.0\r\n\r\n")
        response = await client.read_response()
        assert (response.body, response.header("Transfer-Encoding")) == (b"abc", None)
        assert response.header("Connection") == "close"
        assert await client.wait_for_end() == "closed"
    async with Client(program.port) as client:
        await client.send_raw(b"GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await client.read_response()
        assert (response.body, response.header("Connection")) == (b"four", "keep-alive")
        await client.send_raw(create_bytes("ada@example.org").replace(b"HTTP/1.1", b"HTTP/1.0"))
        response = await client.read_response("POST")
        assert (response.status, response.header("Connection")) == (201, "close")
        assert await client.wait_for_end() == "closed"
    first, second, third = upstream.requests
    assert first.headers == [("Host", f"127.0.0.1:{upstream.port}")]
    assert (first.version, second.version, third.header("Host")) == ("HTTP/1.1", "HTTP/1.1", "api.example")


async def test_a_client_that_asks_for_the_end_of_the_connection_gets_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in (
        request_bytes("GET", "/", [("Connection", "close")]),
        create_bytes("a", headers=[("connection", "Close")]),
    ):
        async with Client(program.port) as client:
            await client.send_raw(sent)
            assert (await client.read_response()).header("Connection") == "close"
            assert await client.wait_for_end() == "closed"
    assert all(request.header("Connection") is None for request in upstream.requests)


async def test_pipelined_requests_are_answered_one_by_one_in_their_order(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201, (), b"first"))
    upstream.script(held)
    ada, bob = create_bytes("ada@example.org"), create_bytes("bob@example.org")
    async with Client(program.port) as client:
        await client.send_raw(ada + ada + request_bytes("GET", "/x") + bob)
        await held.waiting.reach(1)
        await client.send_raw(b"not HTTP\r\n\r\n")
        assert len(upstream.started) == 1
        held.release()
        answers = [await client.read_response(method) for method in ("POST", "POST", "GET", "POST", "GET")]
        assert [answer.slug or answer.status for answer in answers] == [201, "duplicate", 200, 201, "bad-request"]
        assert answers[0].body == b"first"
        assert await client.wait_for_end() == "closed"
    assert [request.target for request in upstream.requests] == ["/users", "/x", "/users"]


async def test_a_request_that_comes_byte_by_byte_is_a_request(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for byte in create_bytes("ada@example.org"):
            await client.send_raw(bytes([byte]))
        assert (await client.read_response("POST")).status == 201
    assert (await create(program.port)).slug == "duplicate"


async def test_an_answer_that_comes_byte_by_byte_is_an_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    async def trickle(call: Call) -> None:
        call.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 2\r\n\r\nok":
            await call.send(bytes([byte]))
            await asyncio.sleep(0)

    program = await gateway()
    upstream.script(trickle, trickle)
    for sent in (create_bytes("ada@example.org"), request_bytes("PUT", "/x", (), b"")):
        response = await exchange(program.port, sent, "POST")
        assert (response.status, response.reason, response.body) == (201, "Created", b"ok")
        assert response.headers == [("A", "b"), ("Content-Length", "2")]
    assert upstream.connections == [0]


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


# What must not slip by a guard


async def test_connection_cannot_hide_from_the_api_what_a_rule_has_read(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    entry = {"name": "ref", "fields": ["header.X-Ref", "body.email"]}
    program = await gateway(rules=[create_user_rule(scope=["header.X-Tenant"], unique=[entry])])
    read = [("X-Tenant", "a"), ("X-Ref", "b")]
    for connection in ("X-Tenant", "close, x-tenant", "keep-alive,X-REF", " x-ref "):
        seen = await create(program.port, headers=[*read, ("Connection", connection)])
        assert (seen.status, seen.slug) == (400, "hidden-field"), connection
    assert not upstream.connections
    seen = await create(program.port, headers=[*read, ("Connection", "X-Other"), ("X-Other", "c")])
    assert seen.status == 201
    assert upstream.requests[0].header("X-Other") is None


AMBIGUOUS = [
    *["//users", "/users//", "/./users", "/users/.", "/x/../users", "/../users", "/x/..//users", "/users/x/.."],
    *["/users;", "/users;a=b", "/x;/../users", "/users%3Ba", "/users%2f", "/%2Fusers", "/x%2f..%2fusers"],
    *["/%2e/users", "/%2E%2e/users", "/.%2e/users", "/%252e/users", "/%75%2573ers", "/users%2500", "/users%00"],
    *["/users\\", "/\\users", "/x\\..\\users", "/users%5c", "/users#", "/users#x", "/users%23", "/users%0a"],
    *["/users%09", "http://api.example//users", "http://api.example/./users", "http://api.example/users/."],
]


async def test_a_path_that_could_be_read_as_a_guarded_one_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for path in AMBIGUOUS:
        async with Client(program.port) as client:
            await client.send_raw(create_bytes("ada@example.org", path=path))
            seen = await client.read_response("POST")
            assert (seen.status, seen.slug) == (400, "ambiguous-path"), path
    for path in ("\\users", ";/users", "users", "?/users"):
        seen = await exchange(program.port, create_bytes("ada@example.org", path=path), "POST")
        assert (seen.status, seen.slug) == (400, "bad-request"), path
    assert not upstream.connections


async def test_odd_paths_pass_where_nothing_is_guarded(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    targets = ["//other", "/x/../other", "/users;a=b", "/users/../other", "/users%2f1"]
    async with Client(program.port) as client:
        for target in targets:
            method = "GET" if "users" in target else "POST"
            assert (await client.request(method, target)).status in {200, 201}, target
    assert [request.target for request in upstream.requests] == targets


async def test_every_plain_spelling_of_a_guarded_path_is_guarded(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    assert (await create(program.port)).status == 201
    for target in ("/users/", "/USERS", "/%75sers", "/us%65rs/", "/users?x=1", "/users?", "http://x.example/users?a"):
        seen = await exchange(program.port, create_bytes("ada@example.org", path=target), "POST")
        assert seen.slug == "duplicate", target
    assert len(upstream.requests) == 1


async def test_a_method_override_on_a_guarded_path_is_refused_unless_the_rule_lists_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    names = ["X-HTTP-Method-Override", "x-http-method", "X-METHOD-OVERRIDE"]
    for name in names:
        for method, override in (("PUT", "POST"), ("POST", "PUT"), ("GET", "post"), ("POST", "POST")):
            seen = await exchange(program.port, request_bytes(method, "/users", [(name, override)], b"{}"), method)
            assert (seen.status, seen.slug) == (400, "method-override"), (name, method)
    assert not upstream.connections
    for name in names:
        assert (await exchange(program.port, request_bytes("PUT", "/other", [(name, "POST")], b"{}"))).status == 200


async def test_a_listed_method_override_decides_whether_a_request_is_a_create(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(method_override=["X-HTTP-Method-Override", "X-Verb"])])

    async def send(method: str, *headers: tuple[str, str]) -> str | int:
        body = b'{"email": "ada@example.org"}'
        seen = await exchange(program.port, request_bytes(method, "/users", headers, body), method)
        return seen.slug or seen.status

    override, verb = "X-HTTP-Method-Override", "x-verb"
    assert await send("PUT", (override, "post")) == 200
    assert upstream.requests[0].header(override) == "post"
    assert await send("PUT", (override, " POST ")) == "duplicate"
    assert await send("PATCH", (verb, "POST")) == "duplicate"
    assert await send("POST") == "duplicate"
    assert await send("POST", (override, "PUT")) == 201, "this one is no create to the API"
    assert await send("PUT", ("X-HTTP-Method", "POST")) == "method-override", "not listed"
    assert await send("PUT", (override, "PUT"), (verb, "POST")) == "method-override", "which one counts?"
    assert await send("PUT", (override, "PUT"), (override, "POST")) == "method-override"


# What is refused


async def test_connect_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    for target in ("api.example:443", "/users"):
        async with Client(program.port) as client:
            await client.send_raw(f"CONNECT {target} HTTP/1.1\r\nHost: api.example:443\r\n\r\n".encode())
            response = await client.read_response("POST")
            assert response.status in {400, 501}
            assert response.header("Connection") == "close"
            assert await client.wait_for_end() == "closed"
            if target != "/users":
                assert response.slug == "not-supported"
    assert not upstream.connections


POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"
MALFORMED = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    b"GET / HTTX/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX(Y): z\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    POST + b"Content-Length: -5\r\n\r\nabcde",
    POST + b"Content-Length: +5\r\n\r\nabcde",
    POST + b"Content-Length: 0x5\r\n\r\nabcde",
    POST + b"Content-Length: \r\n\r\nabcde",
    POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
]
TOO_LARGE = [
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
]


async def expect_refused(port: int, sent: bytes, status: int, slug: str) -> None:
    async with Client(port) as client:
        await client.send_raw(sent)
        response = await client.read_response()
        assert (response.status, response.slug) == (status, slug), sent[:100]
        assert response.header("Content-Type") == "application/problem+json"
        assert response.header("Connection") == "close"
        assert response.header("Proxy-Status") == f'idempotency-gateway; error=http_request_error; details="{slug}"'
        assert await client.wait_for_end() in {"closed", "reset"}


async def test_what_is_no_request_is_refused_as_a_problem_and_ends_the_connection(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in MALFORMED:
        await expect_refused(program.port, sent, 400, "bad-request")
    assert not upstream.connections
    assert (await create(program.port)).status == 201


async def test_a_head_beyond_all_bounds_is_refused_as_a_problem_and_ends_the_connection(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for sent in TOO_LARGE:
        await expect_refused(program.port, sent, 431, "head-too-large")
    await expect_refused(
        program.port, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 400, "bad-request"
    )
    assert not upstream.connections


@pytest.mark.parametrize("version", [b"", b" HTTP/0.9", b" HTTP/2.0"])
async def test_other_versions_of_http_are_refused(version: bytes, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    seen = await exchange(program.port, b"GET /x" + version + b"\r\nHost: x\r\n\r\n")
    assert seen.status in {400, 505}
    assert not upstream.connections


BAD_CHUNKS = [
    b"5\r\nabcdefgh\r\n0\r\n\r\n",
    b"x\r\n",
    b"-1\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5 5\r\nabcde\r\n",
    b"5\r\nabcde0\r\n\r\n",
    b"fffffffffffffffff\r\na",
    b"5\nabcde\n0\n\n",
    b"0\r\nbad trailer\r\n\r\n",
]


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_malformed_chunk_ends_the_request_and_never_looks_whole_to_the_api(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(missing="forward")])
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    for chunks in BAD_CHUNKS:
        await expect_refused(program.port, head + chunks, 400, "bad-request")
    assert not upstream.requests
    assert (await create(program.port)).status == 201


@pytest.mark.parametrize("target", ["/users", "/any"])
async def test_a_malformed_chunk_that_comes_late_ends_the_request_at_once(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """At once: before a few hundred other requests have come and gone."""
    program = await gateway(rules=[create_user_rule(missing="forward")])
    head = wire.render_head(f"POST {target} HTTP/1.1", [HOST, ("Transfer-Encoding", "chunked")])
    async with Client(program.port) as client, Client(program.port) as bystander:
        await client.send_raw(head + wire.render_chunk(b'{"email": "ada@example.org"}'))
        assert (await bystander.request("GET", "/bystander")).status == 200
        await client.send_raw(b"x\r\n")
        answer = asyncio.create_task(client.read_response("POST"))
        for _ in range(300):
            assert (await bystander.request("GET", "/bystander")).status == 200
        assert answer.done(), "it still waits for the rest of a body that cannot come"
        assert (await answer).status in {400, 502}
    assert not any(request.target == target for request in upstream.requests)


@pytest.mark.parametrize("target", ["/any", "/users"])
async def test_an_answer_that_is_no_http_never_reaches_the_client(
    target: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    answers = [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
    ]
    for number, answer in enumerate(answers):
        upstream.script(behaviours.raw(answer, "close"))
        sent = create_bytes(f"user-{number}@example.org", path=target)
        response = await exchange(program.port, sent, "POST")
        assert (response.status, response.slug) == (502, "outcome-unknown"), answer[:50]


async def test_bytes_after_an_answer_are_never_taken_for_the_answer_to_another_request(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    forged = b"HTTP/1.1 200 OK\r\nX-Forged: 1\r\nContent-Length: 0\r\n\r\n"
    honest = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
    upstream.script(
        behaviours.raw(honest + forged),
        behaviours.raw(honest + b"x"),
        behaviours.raw(b"HTTP/1.1 204 No Content\r\n\r\nx" + forged),
    )
    async with Client(program.port) as client:
        for number in range(6):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            response = await client.read_response("POST")
            assert response.status in {201, 204}
            assert response.header("X-Forged") is None
    assert len(upstream.requests) == 6
    assert len(upstream.connections) == 4


# An API out of reach


async def test_what_no_rule_guards_is_told_whether_it_was_sent(upstream: RawUpstream, gateway: StartGateway) -> None:
    with refused_port() as port:
        nobody = await gateway(rules(port))
        response = await exchange(nobody.port, request_bytes("PUT", "/any", (), b"x"))
        assert (response.status, response.slug, response.json().get("rule")) == (502, "upstream-unreachable", None)
        proxy_status = 'idempotency-gateway; error=connection_refused; details="upstream-unreachable"'
        assert response.header("Proxy-Status") == proxy_status
    program = await gateway(upstream={"response_timeout": "300ms"})
    for behaviour, status in ((behaviours.close_without_answer(), 502), (behaviours.never, 504)):
        upstream.script(behaviour)
        response = await exchange(program.port, request_bytes("PUT", "/any", (), b"x"))
        assert (response.status, response.slug) == (status, "outcome-unknown")
    assert len(upstream.requests) == 2, "a PUT was sent again"


# Kept connections that die


def closes_after(status: int) -> Behaviour:
    """Answer as if the connection were kept, and close it."""
    return behaviours.raw(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status, "close")


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_connection_that_was_seen_to_close_carries_no_create(
    end: behaviours.End, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = behaviours.raw(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", end)
    program = await gateway()
    async with Client(program.port) as client:
        for number in range(50):
            await client.send_raw(create_bytes(f"user-{number}@example.org"))
            try:
                response = await client.read_response("POST")
            except ConnectionError:
                assert end == "reset", "the answer was complete"
                continue
            assert response.status == 201, f"create {number} met a connection that had been closed"
            await upstream.ended.reach(number + 1)
    assert len(upstream.requests) == 50


async def test_no_get_is_lost_to_an_api_that_closes_idle_connections_at_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = closes_after(200)
    program = await gateway()
    async with Client(program.port) as client:
        for _ in range(200):
            assert (await client.request("GET", "/any")).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_safe_request_is_sent_again_when_its_kept_connection_dies_under_it(
    method: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for end in (Call.close, Call.reset):
        upstream.started.clear()
        async with Client(program.port) as client:
            assert (await client.request("GET", "/warm-up")).status == 200
            upstream.script(At(Stage.HEAD, end))
            assert (await client.request(method, "/any")).status == 200
            assert len(upstream.started) == 3
            upstream.script(At(Stage.HEAD, end), At(Stage.HEAD, end))
            response = await client.request(method, "/any")
            assert response.status == 502, "once is enough"
            assert len(upstream.started) == 5


async def test_an_unsafe_request_is_never_sent_twice(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    methods = ["POST", "PUT", "DELETE", "PATCH", "PURGE"]
    async with Client(program.port) as client:
        for method in methods:
            assert (await client.request("GET", "/warm-up")).status == 200
            upstream.script(At(Stage.HEAD, Call.close))
            response = await client.request(method, "/any")
            assert (response.status, response.slug) == (502, "outcome-unknown")
    assert [request.method for request in upstream.started] == [name for method in methods for name in ("GET", method)]


async def test_a_create_whose_kept_connection_dies_under_it_is_unknown_and_not_sent_again(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port, "warm-up@example.org")).status == 201
    upstream.script(At(Stage.HEAD, Call.close))
    assert (await create(program.port)).slug == "outcome-unknown"
    assert (await create(program.port)).slug == "outcome-unknown"
    assert len(upstream.started) == 2


async def test_what_an_api_says_on_an_idle_connection_answers_nobody(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """As servers do that say 408 before they close: the next create must neither get it nor go there."""

    async def then_408(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        go_on.set()
        await told.wait()
        await call.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        call.close()

    program = await gateway()
    for number in range(10):
        go_on, told = asyncio.Event(), asyncio.Event()
        upstream.script(then_408)
        assert (await create(program.port, f"first-{number}@example.org")).status == 201
        await go_on.wait()
        told.set()
        await upstream.ended.reach(number + 1)
        assert (await create(program.port, f"second-{number}@example.org")).status == 201
        async with Client(program.port) as client:  # takes the second one's connection out of the pool
            upstream.script(closes_after(200))
            assert (await client.request("GET", "/")).status == 200
        await upstream.ended.reach(number + 1)


# Unix sockets


async def test_unix_sockets_serve_on_both_sides(gateway: StartGateway, tmp_path: Path) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as upstream:
        program = await gateway(rules(upstream.url, server={"listen": f"unix:{tmp_path}/gateway.sock"}))
        async with Client(tmp_path / "gateway.sock") as client:
            for expected in (201, 409):
                await client.send_raw(create_bytes("ada@example.org"))
                assert (await client.read_response("POST")).status == expected
            await client.send_raw(b"GET /old HTTP/1.0\r\n\r\n")
            assert (await client.read_response()).status == 200
        assert len(upstream.requests) == 2
        assert upstream.requests[1].header("Host") is not None
        upstream.script(behaviours.close_without_answer())
        async with Client(tmp_path / "gateway.sock") as client:
            await client.send_raw(create_bytes("bob@example.org"))
            assert (await client.read_response("POST")).slug == "outcome-unknown"
        assert await program.stop() == 0
        assert not (tmp_path / "gateway.sock").exists()


async def test_a_unix_socket_left_behind_by_a_kill_does_not_keep_the_gateway_from_starting(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    program = await gateway(server={"listen": f"unix:{tmp_path}/gateway.sock"})
    await program.kill()
    assert (tmp_path / "gateway.sock").exists()
    await program.start()
    async with Client(tmp_path / "gateway.sock") as client:
        assert (await client.request("GET", "/")).status == 200
