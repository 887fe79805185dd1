# What is decided before the body comes: the client need not send it.

from tests.conftest import StartGateway
from tests.support.client import Client, request_bytes
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream

BY_HEADER = create_user_rule(unique=[{"name": "ref", "fields": ["header.X-Ref"]}])
EXPECTING = [("X-Ref", "7"), ("Expect", "100-continue"), ("Content-Length", "1000000")]


async def test_a_duplicate_whose_identity_stands_in_its_head_is_told_before_its_body(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_HEADER])
    async with Client(program.port) as first, Client(program.port) as second:
        await first.send_raw(request_bytes("POST", "/users", [("X-Ref", "7")], b"{}"))
        assert (await first.read_response("POST")).status == 201
        await second.send_raw(request_bytes("POST", "/users", EXPECTING))
        seen = await second.read_response("POST")
        assert (seen.status, seen.slug, seen.header("Connection")) == (409, "duplicate", "close")
        assert await second.wait_for_end() == "closed"
    assert len(upstream.requests) == 1


async def test_one_whose_identity_cannot_be_read_is_told_so_all_the_same(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_HEADER])
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("POST", "/users", [("Expect", "100-continue"), ("Content-Length", "2")]))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_raw(b"{}")
        assert (await client.read_response("POST")).slug == "missing-identity"
    assert not upstream.requests
