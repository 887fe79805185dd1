# One create written in two ways that some API takes for the same: the gateway stops it, or refuses to guess.

import json
from typing import Any

from tests.conftest import StartGateway
from tests.support.client import Client, request_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, entry, exchange, post, rule
from tests.support.upstream import RawUpstream


async def test_a_key_in_two_cases_does_not_slip_past_a_rule(upstream: RawUpstream, gateway: StartGateway) -> None:
    """An API in Go or ASP.NET takes the last of the two for the email, and would create it a second time."""
    program = await gateway(rules=[rule("user", "/users", entry("body.email"))])
    assert (await post(program, "/users", {"email": "a@x"})).status == 201
    odd: list[Any] = [{"email": "b@x", "Email": "a@x"}, {"EMAIL": "a@x", "email": "b@x"}, {"Email": "a@x"}]
    odd += [{"filler": "x" * 20_000, **body} for body in odd]
    for body in odd:
        seen = await post(program, "/users", body)
        assert (seen.status, seen.slug) == (422, "missing-identity"), body
        assert "body.email has a key that differs only in case" in seen.json()["detail"]
    assert (await post(program, "/users", {"email": "b@x", "Name": "B", "name": "b"})).status == 201
    assert len(upstream.requests) == 2


async def test_a_key_in_two_cases_is_forwarded_unguarded_only_where_the_rule_says_so(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It is a missing identity like any other, and marked as one."""
    program = await gateway(rules=[create_user_rule(missing="forward")])
    seen = await post(program, "/users", {"email": "b@x", "Email": "a@x"})
    assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")


async def test_a_tenant_by_host_name_is_one_identity_however_the_host_is_written(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The field `host` and header.Host read the host as match.host does."""
    fields = ["host", "header.Host"]
    program = await gateway(
        rules=[rule(field, f"/{at}", entry(field, "body.n")) for at, field in enumerate(fields)],
    )
    body = json.dumps({"n": 1}).encode()
    for at in range(len(fields)):
        hosts = ("a.example", "A.example", "a.example:80", "a.example.", "b.example")
        seen = [await exchange(program.port, sent(f"/{at}", host, body), "POST") for host in hosts]
        assert [answer.status for answer in seen] == [201, 409, 409, 409, 201]
    assert len(upstream.requests) == 4


def sent(target: str, host: str, body: bytes) -> bytes:
    return request_bytes("POST", target, [("Host", host), JSON], body)


async def test_the_host_of_an_absolute_target_is_the_one_that_counts(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """RFC 9112 3.2.2: it wins over the Host field, here and for the API, which gets it as Host."""
    program = await gateway(rules=[rule("order", "/o", entry("host", "body.n"))])
    body = json.dumps({"n": 1}).encode()
    first = await exchange(program.port, sent("http://A.example:80/o", "b.example", body), "POST")
    assert first.status == 201
    assert (await exchange(program.port, sent("/o", "a.example", body), "POST")).slug == "duplicate"
    assert (await exchange(program.port, sent("/o", "b.example", body), "POST")).status == 201


async def test_connection_cannot_hide_the_host_that_decides(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The API would get a create without the tenant that the gateway read."""
    program = await gateway(rules=[rule("order", "/o", entry("host"))])
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("POST", "/o", [("Host", "a.example"), ("Connection", "Host")], b""))
        assert (await client.read_response("POST")).slug == "hidden-field"
    assert not upstream.requests
