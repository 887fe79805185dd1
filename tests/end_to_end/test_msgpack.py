# Bodies of MessagePack in place of JSON: one identity in both, and what is refused.

import gzip
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, rule
from tests.support.upstream import RawUpstream

MSGPACK = ("Content-Type", "application/msgpack")
USER = {**rule("user", "/users", entry("body.email", normalize=["email"])), "msgpack": True}
pack = msgspec.msgpack.encode


async def answers(
    program: GatewayProgram, bodies: Iterable[bytes], *headers: tuple[str, str], path: str = "/users"
) -> list[int | str]:
    """The slug of each answer, or its status when it is the API's."""
    found: list[int | str] = []
    async with Client(program.port) as client:
        for body in bodies:
            seen = await client.request("POST", path, headers, body)
            found.append(seen.slug or seen.status)
    return found


async def test_a_value_is_one_identity_in_messagepack_and_in_json(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[USER])
    first = pack({"photo": bytes(range(256)), "email": " Ada@x.org", "at": [1, 2.5, None]})
    again = [
        pack({"email": "ada@x.org"}),
        b"\xde\x00\x01\xd9\x05email\xda\x00\x09ada@x.org",
        pack({"email": "eve@x.org"}),
    ]
    assert await answers(program, [first, *again], MSGPACK) == [201, "duplicate", "duplicate", 201]
    assert await answers(program, [b'{"email": "ada@x.org"}', b'{"email": "zoe@x.org"}'], JSON) == ["duplicate", 201]
    for kind in ("application/x-msgpack", "application/vnd.msgpack", "application/vnd.acme+msgpack; v=1"):
        assert await answers(program, [pack({"email": "zoe@x.org"})], ("Content-Type", kind)) == ["duplicate"], kind
    assert bytes(upstream.requests[0].body) == first, "it goes on as it came"


async def test_what_readers_read_in_two_ways_never_reaches_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[USER])
    good = pack({"email": "canary"})
    odd = [
        *(b"", good[:-1], good + b"\xc0", good + good, b'{"email": "a"}', pack([1]), pack({"Email": "a"})),
        *(b"\x82\xa5email\xa1a\xa5email\xa1b", b"\x82\xa5email\xa1a\xc4\x05email\xa1b", b"\x82\xa5email\xa1a\x01\x02"),
        *(pack({"email": b"a"}), pack({"email": 1.5}), pack({"email": 2**60}), pack({"email": ["a"]})),
        *(b"\x81\xa5email\xa1\xff", b"\x81\xa5email\xd4\x01a", b"\x82\xa5email\xa1a\xa1x" + b"\x91" * 70 + b"\xc0"),
        *(pack({"email": "a", "x": [0] * 70_000}), pack({"email": "a" * 2000})),
    ]
    assert await answers(program, odd, MSGPACK) == ["missing-identity"] * len(odd)
    assert await answers(program, [good], ("Content-Type", "text/plain")) == ["missing-identity"]
    assert await answers(program, [good], JSON) == ["missing-identity"]
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", [MSGPACK], pack({"email": b"canary"}))
        assert "body.email is binary data or an extension of MessagePack" in seen.json()["detail"]
        assert b"canary" not in seen.body
        seen = await client.request("POST", "/users", [MSGPACK, ("Content-Encoding", "gzip")], gzip.compress(good))
        assert (seen.status, seen.header("Accept-Encoding")) == (415, "identity")
    assert not upstream.connections


async def test_a_rule_that_does_not_name_it_takes_none(upstream: RawUpstream, gateway: StartGateway) -> None:
    """An API that reads JSON alone may answer it 500, so that anybody could make an identity unknown."""
    program = await gateway(rules=[{**USER, "msgpack": False}])
    assert await answers(program, [pack({"email": "a"})], MSGPACK) == ["missing-identity"]
    assert not upstream.connections


async def test_codings_are_those_of_the_rule(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**USER, "content_encodings": ["gzip"]}])
    zipped = [gzip.compress(pack({"email": email})) for email in ("a@x.org", "A@x.org")]
    assert await answers(program, zipped, MSGPACK, ("Content-Encoding", "gzip")) == [201, "duplicate"]
    assert len(upstream.requests) == 1


async def test_conditions_and_whole_bodies(upstream: RawUpstream, gateway: StartGateway) -> None:
    made: dict[str, Any] = {**rule("user", "/api", entry("body.ref")), "msgpack": True}
    made["match"]["when"] = [{"field": "body.type", "equals": "user"}]
    whole = {**rule("event", "/events", entry("body.id"), entry("json", name="all")), "msgpack": True}
    in_bytes = rule("blob", "/blobs", entry("body"))
    program = await gateway(rules=[made, whole, in_bytes])
    users = [pack({"type": kind, "ref": 7}) for kind in ("user", "user", "order", "order", b"user")]
    assert await answers(program, users, MSGPACK, path="/api") == [201, "duplicate", 201, 201, "missing-identity"]
    assert await answers(program, [pack({"id": 7})], MSGPACK, path="/events") == ["missing-identity"]
    assert await answers(program, [b"\x01", b"\x01", b"\xcc\x01"], MSGPACK, path="/blobs") == [201, "duplicate", 201]


async def test_a_keyed_create_is_compared_by_its_bytes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**USER, "key": {}}])
    key = ("Idempotency-Key", "k-1")
    bodies = [b"\x81\xa5email\xa1a", b"\x81\xa5email\xa1a", b"\x81\xa5email\xd9\x01a"]
    assert await answers(program, bodies, MSGPACK, key) == [201, "duplicate", "key-reused"]
    assert len(upstream.requests) == 1
