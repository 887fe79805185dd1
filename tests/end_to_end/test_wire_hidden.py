# Ways to have the rules see one request and the API another, or the client one answer more than it asked for.

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import exchange
from tests.support.upstream import Call, RawUpstream

OVERRIDE = "X-HTTP-Method-Override"
BY_TENANT = create_user_rule(unique=[{"name": "tenant", "fields": ["header.X-Tenant"]}])


async def test_connection_cannot_hide_a_method_override(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(method_override=[OVERRIDE])])
    seen = await create(program.port, headers=[(OVERRIDE, "GET"), ("Connection", OVERRIDE)])
    assert (seen.status, seen.slug) == (400, "hidden-field")
    assert not upstream.connections


async def test_an_override_of_another_method_than_post_frees_nothing(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Many frameworks do not look at it there, and do what the method says."""
    program = await gateway(
        rules=[create_user_rule(match={"methods": ["PUT"], "path": "/users"}, method_override=[OVERRIDE])]
    )
    body = b'{"email": "ada@example.org"}'
    sent = request_bytes("PUT", "/users", [(OVERRIDE, "GET"), ("Content-Type", "application/json")], body)
    assert (await exchange(program.port, sent, "PUT")).status == 200
    assert (await exchange(program.port, sent, "PUT")).slug == "duplicate"


async def test_a_field_that_could_be_read_as_one_that_decides_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_TENANT])
    for name in ("X_Tenant", "x.tenant", "X_HTTP_Method_Override"):
        seen = await create(program.port, headers=[("X-Tenant", "1"), (name, "2")])
        assert (seen.status, seen.slug) == (400, "hidden-field"), name
    assert (await create(program.port, headers=[("X-Tenant", "1"), ("X_Other", "2")])).status == 201


async def test_no_field_of_a_client_makes_another_path_of_the_one_that_was_looked_at(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """On a route that no rule guards: gunicorn reads POST /x/users with SCRIPT_NAME: /x as /users."""
    program = await gateway()
    names = [
        *("SCRIPT_NAME", "script_name", "PATH_INFO", "Path_Info", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING"),
        *("REMOTE_USER", "REMOTE_ADDR", "SERVER_NAME", "HTTP_HOST", "HTTP_X_HTTP_METHOD_OVERRIDE", "CONTENT_LENGTH"),
        *("CONTENT_TYPE", "wsgi.url_scheme", "X-Original-URL", "X_Original_URL", "x-rewrite-url", "X-Script-Name"),
    ]
    kept = [("X_Other", "1"), ("Script-Name", "2"), ("api_key", "3"), ("Http-Version", "4")]
    sent = request_bytes("POST", "/x/users", [*[(name, "/x") for name in names], *kept], b"{}")
    assert (await exchange(program.port, sent, "POST")).status == 201
    (request,) = upstream.requests
    arrived = {name.lower() for name, _ in request.headers}
    assert arrived.isdisjoint({name.lower() for name in names})
    assert {name.lower() for name, _ in kept} <= arrived


@pytest.mark.parametrize(
    ("method", "target", "content_type"),
    [
        ("post", "/users", "application/json"),
        ("Post", "/users", "application/json"),
        ("POST", "/users", "application/json; q*=x'y'%ff"),
        ("POST", "/users", "application/x-www-form-urlencoded,x/y+json"),
        ("POST", "/users", "application/x-www-form-urlencoded+json"),
        ("POST", "/users", "application/json; charset=utf-8; charset=utf-16"),
        ("POST", "/users?" + "&" * 6000, "application/json"),
        ("POST", "/users?x" + "[a]" * 200 + "=1", "application/json"),
    ],
)
async def test_what_no_ordinary_client_sends_is_refused_where_a_rule_guards_and_passes_elsewhere(
    upstream: RawUpstream, gateway: StartGateway, method: str, target: str, content_type: str
) -> None:
    """Frameworks answer 500 to it before the API sees it; the identity would be blocked."""
    program = await gateway()
    body = b'{"email": "ada@example.org"}'
    async with Client(program.port) as client:
        seen = await client.request(method, target, [("Content-Type", content_type)], body)
        assert (seen.status, seen.slug) == (400, "unusual-request")
        assert not upstream.requests
        passed = await client.request(method, target.replace("users", "other"), [("Content-Type", content_type)], body)
        assert passed.status in {200, 201}
        assert (await client.request("POST", "/users", [("Content-Type", "application/json;")], body)).status == 201


@pytest.mark.parametrize("line", [b"Accept: x", b"Accept: a/b\r\nAccept: *", b"X:\ty", b"Cookie: draft=1 \t"])
async def test_a_field_at_which_frameworks_stumble_is_refused_where_a_rule_guards(
    upstream: RawUpstream, gateway: StartGateway, line: bytes
) -> None:
    """Rails answers 406 before it asks who sends; Puma takes a tab for a part of a value."""
    program = await gateway()
    requests = [request_bytes("POST", path, (), b'{"email": "ada@example.org"}') for path in ("/users", "/other")]
    guarded, other = [each.replace(b"\r\n", b"\r\n%b\r\n" % line, 1) for each in requests]
    seen = await exchange(program.port, guarded, "POST")
    assert (seen.status, seen.slug) == (400, "unusual-request")
    assert (await exchange(program.port, other, "POST")).status == 201
    assert [request.target for request in upstream.requests] == ["/other"]


async def test_a_fragment_reaches_no_api(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    for target in ("/users#x", "/#/../users", "/other#"):
        seen = await exchange(program.port, request_bytes("POST", target, (), b"{}"), "POST")
        assert (seen.status, seen.slug) == (400, "bad-request")
    assert not upstream.requests


async def test_a_conflict_in_answer_to_head_has_no_body(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(
        rules=[
            create_user_rule(
                match={"methods": ["HEAD"], "path": "/users"}, unique=[{"name": "ref", "fields": ["query.ref"]}]
            )
        ]
    )
    async with Client(program.port) as client:
        for status in (200, 409):
            await client.send_raw(request_bytes("HEAD", "/users?ref=1") + request_bytes("GET", "/after"))
            assert (await client.read_response("HEAD")).status == status
            assert (await client.read_response("GET")).status == 200


async def test_a_create_goes_over_no_connection_whose_last_answer_may_go_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that sends a body to HEAD sends it about now: it could be read as the answer to the create."""
    program = await gateway()

    async def headed(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    upstream.script(headed, behaviours.answer(201))
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("HEAD", "/x") + create_bytes("ada@example.org"))
        assert (await client.read_response("HEAD")).status == 200
        assert (await client.read_response("POST")).status == 201
    assert len(upstream.connections) == 2
