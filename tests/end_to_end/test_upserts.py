# Duplicates that are sent to what exists, as a change of it: what goes to the API, and what comes back.

import gzip
import json
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, request_bytes
from tests.support.shorthands import entry, post, rule
from tests.support.upserts import ADA, BOB, CHANGED, CREATED, EMAIL, UPDATED, USER, lines, told, upserted, users
from tests.support.upstream import RawUpstream


@pytest.mark.parametrize(("written", "method"), [({}, "PUT"), ({"upsert": {"method": "PATCH"}}, "PATCH")])
async def test_a_duplicate_is_sent_to_the_link_as_its_caller_sent_it(
    upstream: RawUpstream, gateway: StartGateway, written: dict[str, Any], method: str
) -> None:
    program = await gateway(rules=[users(**written)])
    mine = (
        BOB,
        ("X-Tenant", "acme"),
        ("Cookie", "a=b"),
        ("Idempotency-Key", "k-2"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
    )
    seen = await upserted(program, upstream, UPDATED, *mine)
    assert (told(seen), seen.body, seen.header("ETag")) == ((200, "upserted", None), b"changed", '"2"')
    assert lines(upstream) == ["POST /users", f"{method} /users/7"]
    created, sent = upstream.requests
    assert json.loads(sent.body) == CHANGED
    assert {
        ("Authorization", "Bearer bob"),
        ("X-Tenant", "acme"),
        ("Cookie", "a=b"),
        ("Idempotency-Key", "k-2"),
    } <= set(sent.headers)
    assert "X-Hop" not in dict(sent.headers)
    names = [{name for name, _ in request.headers} for request in (created, sent)]
    assert names[1] - names[0] == {"X-Tenant", "Cookie", "Idempotency-Key"}, "what forwarding adds is added once"
    assert sent.value("header.Host") == created.value("header.Host")
    line = await program.wait_for_log(event="request", outcome="upserted")
    assert (line["method"], line["status"], line["upstream_status"]) == ("POST", 200, 200)


async def test_it_settles_nothing_and_may_be_done_again_and_again(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users()])
    await upserted(program, upstream, UPDATED)
    for status in (204, 400, 409, 500, 503):
        upstream.script(behaviours.answer(status))
        assert told(await post(program, "/users", CHANGED, ADA)) == (status, "upserted", None)
    assert lines(upstream) == ["POST /users", *["PUT /users/7"] * 6]


async def test_the_answer_is_passed_on_as_it_comes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users()])
    fields = [("Set-Cookie", "a=1"), ("Idempotency-Status", "of the API")]
    streamed = behaviours.chunked([b"one", b"two"], 200, fields)
    seen = await upserted(program, upstream, behaviours.interim(streamed, 103, [("Link", "</style.css>")]))
    assert [(interim.status, interim.header("Link")) for interim in seen.interim] == [(103, "</style.css>")]
    assert (told(seen), seen.body) == ((200, "upserted", None), b"onetwo")
    assert seen.header("Set-Cookie") == "a=1"
    assert [value for name, value in seen.headers if name == "Idempotency-Status"] == ["upserted"]


async def test_a_compressed_body_is_sent_as_it_came(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users(content_encodings=["gzip"])])
    upstream.script(CREATED, UPDATED)
    body = gzip.compress(json.dumps(USER).encode())
    fields = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    for expected in ("created", "upserted"):
        async with Client(program.port) as client:
            seen = await client.request("POST", "/users", fields, [body[:9], body[9:]])
        assert seen.header("Idempotency-Status") == expected
    assert [request.body for request in upstream.requests] == [body, body]
    assert upstream.requests[1].value("header.Content-Encoding") == "gzip"


async def test_fields_that_name_another_method_are_left_out(upstream: RawUpstream, gateway: StartGateway) -> None:
    guarded = users(method_override=["X-Verb", "X-HTTP-Method"])
    program = await gateway(rules=[guarded])
    upstream.script(CREATED, UPDATED)
    await post(program, "/users", USER, ADA)
    seen = await post(program, "/users", CHANGED, ADA, ("X-Verb", "POST"), method="PUT")
    assert told(seen) == (200, "upserted", None)
    assert lines(upstream) == ["POST /users", "PUT /users/7"]
    assert "X-Verb" not in dict(upstream.requests[1].headers)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/users/7?v=1#top", "/users/7?v=1"),
        ("http://api.example/users/7", "/users/7"),
        ("https://API.example:8443/users/7", "/users/7"),
        ("7", "/7"),
        ("users/7", "/users/7"),
        ("/users/a b", "/users/a%20b"),
    ],
)
async def test_a_link_to_the_api_itself_is_a_path_there(
    upstream: RawUpstream, gateway: StartGateway, location: str, target: str
) -> None:
    program = await gateway(rules=[users()])
    upstream.script(behaviours.answer(201, [("Location", location)]), UPDATED)
    await post(program, "/users", USER, ADA)
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
    assert lines(upstream) == ["POST /users", f"PUT {target}"]


async def test_the_upstreams_own_host_is_the_api_too(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users()])
    upstream.script(behaviours.answer(201, [("Location", f"{upstream.url}/users/7")]), UPDATED)
    await post(program, "/users", USER, ADA)
    assert told(await post(program, "/users", USER, ADA)) == (200, "upserted", None)
    assert lines(upstream)[1:] == ["PUT /users/7"]


@pytest.mark.parametrize(
    "location", [None, "http://other.example/users/7", "//other.example/users/7", "urn:user:7", "/users/../admin"]
)
async def test_without_a_link_or_with_one_elsewhere_it_is_a_duplicate_like_any_other(
    upstream: RawUpstream, gateway: StartGateway, location: str | None
) -> None:
    """No credentials go to another host, and a path of another host means another thing here."""
    program = await gateway(rules=[users()])
    upstream.script(behaviours.answer(201, [("Location", location)] if location else ()))
    await post(program, "/users", USER, ADA)
    assert told(await post(program, "/users", USER, ADA)) == (409, "duplicate", "duplicate")
    assert lines(upstream) == ["POST /users"]


async def test_who_may_not_see_the_link_is_for_the_api_to_judge(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users(link="nobody")])
    seen = await upserted(program, upstream, behaviours.answer(403, (), b"not yours"), BOB)
    assert (told(seen), seen.body) == ((403, "upserted", None), b"not yours")


async def test_a_request_without_a_body_changes_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    guarded = rule(
        "ticket", "/tickets", entry("query.n", name="n"), resource="header.Location", duplicate="upsert",
        match={"path": "/tickets", "methods": ["POST", "HEAD"]},
    )  # fmt: skip
    program = await gateway(rules=[guarded])
    upstream.script(behaviours.answer(201, [("Location", "/tickets/7")]))
    assert told(await post(program, "/tickets?n=7")) == (201, "created", None)
    assert told(await post(program, "/tickets?n=7")) == (409, "duplicate", "duplicate")
    async with Client(program.port) as client:
        seen = await client.request("HEAD", "/tickets?n=7", (), b"{}")
    assert (seen.status, seen.header("Idempotency-Status"), seen.body) == (409, "duplicate", b"")
    assert lines(upstream) == ["POST /tickets?n=7"]


async def test_a_client_of_http_1_0_gets_it_without_chunks_and_interim_answers(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[users()])
    await upserted(program, upstream, UPDATED)
    upstream.script(behaviours.interim(behaviours.chunked([b"one", b"two"])))
    body = json.dumps(USER).encode()
    async with Client(program.port) as client:
        sent = request_bytes("POST", "/users", [("Content-Type", "application/json"), ADA], body)
        await client.send_raw(sent.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        seen = await client.read_response("POST")
    assert (told(seen), seen.body, seen.interim) == ((200, "upserted", None), b"onetwo", [])
    assert upstream.requests[-1].version == "HTTP/1.1"


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    guarded = rule(
        "user", "/users", entry("header.X-Email", name="email"), resource="header.Location", duplicate="upsert"
    )
    program = await gateway(rules=[guarded])
    upstream.script(CREATED, behaviours.interim(UPDATED, 100))
    for expected in (201, 200):
        async with Client(program.port) as client:
            fields = [("X-Email", "ada"), ("Expect", "100-continue"), ("Content-Length", "4")]
            await client.send_raw(request_bytes("POST", "/users", fields))
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await client.send_raw(b"body")
            seen = await client.read_response("POST")
        assert (seen.status, seen.interim) == (expected, [])
    assert upstream.requests[1].body == b"body"


async def test_of_a_retry_with_a_stored_answer_nothing_is_sent(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[users(key={}, retry="replay")])
    upstream.script(CREATED, UPDATED)
    key = ("Idempotency-Key", "k-1")
    assert told(await post(program, "/users", USER, ADA, key)) == (201, "created", None)
    assert told(await post(program, "/users", USER, ADA, key)) == (201, "replayed", None)
    assert told(await post(program, "/users", CHANGED, ADA, key)) == (422, "key-reused", "key-reused")
    assert told(await post(program, "/users", CHANGED, ADA)) == (200, "upserted", None)
    assert lines(upstream) == ["POST /users", "PUT /users/7"]


async def test_a_path_that_a_rule_guards_for_clients_is_open_to_the_gateway_itself(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    replaced = rule("replaced", "/users/{id}", EMAIL, match={"path": "/users/{id}", "methods": ["PUT"]}, namespace="p")
    program = await gateway(rules=[users(), replaced])
    assert told(await upserted(program, upstream, UPDATED)) == (200, "upserted", None)
    upstream.script(UPDATED)
    assert told(await post(program, "/users/9", USER, ADA, method="PUT")) == (200, "created", None)
