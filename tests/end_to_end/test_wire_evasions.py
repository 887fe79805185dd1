# What a request may say to slip by a guard, and how it is met.


from tests.conftest import StartGateway
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, exchange
from tests.support.upstream import RawUpstream


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
    *["/users\\", "/\\users", "/x\\..\\users", "/users%5c", "/users%23", "/users%0a"],
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
    for target in (
        "/users/",
        "/USERS",
        "/%75sers",
        "/us%65rs/",
        "/u%C5%BFers",
        "/users?x=1",
        "/users?",
        "http://x.example/users?a",
    ):
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
        seen = await exchange(program.port, request_bytes(method, "/users", [JSON, *headers], body), method)
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
