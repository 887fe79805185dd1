# `json` and `body`: a whole body is the identity, by its value or by its bytes.

import gzip
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.shorthands import JSON, entry, rule
from tests.support.upstream import RawUpstream

SAME = [
    b'{"a":1,"b":[1,2],"c":{"x":null,"y":"\xc3\xa9"}}',
    b' {"c": {"y":"\\u00e9", "x" :null}, "b":[1.0,2e0],\n"a":1 }',
    b'\xef\xbb\xbf{"a":1,"b":[1,2],"c":{"x":null,"y":"\xc3\xa9"}}',
]
OTHER = [
    *(b'{"a":1,"b":[2,1],"c":{"x":null,"y":"\xc3\xa9"}}', b'{"a":"1","b":[1,2],"c":{"x":null,"y":"\xc3\xa9"}}'),
    *(b'{"a":1,"b":[1,2],"c":{"y":"\xc3\xa9"}}', b"{}", b"[]", b"null", b"0", b'""', b"9007199254740993"),
    *(b"9007199254740992", b"123456789012345678901234567890", b"123456789012345678901234567891"),
]
UNREADABLE = [
    *(b"", b"{", b'{"a":1,"a":1}', b'{"a":1,"A":1}', b'{"a":{"b":1,"B":2}}', b'{"a":"\\ud800"}', b"\xff", b"NaN"),
    *(b"1e999", b"[" * 65 + b"]" * 65, b"[" + b"0," * 9000 + b'"%b"]' % (b"x" * 16_384)),
]


async def slugs(port: int, path: str, bodies: list[bytes], *headers: tuple[str, str]) -> list[Any]:
    async with Client(port) as client:
        answers = [await client.request("POST", path, headers or [JSON], body) for body in bodies]
    return [answer.slug or answer.status for answer in answers]


async def test_json_is_equal_by_value_in_whatever_order_and_with_whatever_blanks(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("event", "/events", entry("json", normalize=["digits"]))])
    assert await slugs(program.port, "/events", SAME) == [201, "duplicate", "duplicate"]
    assert await slugs(program.port, "/events", OTHER) == [201] * len(OTHER)
    assert await slugs(program.port, "/events", OTHER) == ["duplicate"] * len(OTHER)
    assert [bytes(request.body) for request in upstream.requests] == [SAME[0], *OTHER]
    large = [b'{"filler":"%b","a":%b}' % (b"x" * 100_000, value) for value in (b"1", b"1.0", b"2")]
    assert await slugs(program.port, "/events", large) == [201, "duplicate", 201]


async def test_json_that_may_be_read_in_two_ways_anywhere_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("event", "/events", entry("json"), entry("query.id", name="id"))])
    found = await slugs(program.port, "/events?id=1", UNREADABLE)
    assert found == ["missing-identity"] * len(UNREADABLE)
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert await slugs(program.port, "/events?id=1", [b"a=1"], form) == ["missing-identity"]
    async with Client(program.port) as client:
        coded = [JSON, ("Content-Encoding", "gzip")]
        assert (await client.request("POST", "/events?id=1", coded, gzip.compress(b"{}"))).status == 415
    assert not upstream.requests


async def test_a_body_is_equal_by_its_bytes_whatever_it_is(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("upload", "/uploads", entry("path.kind", "body"), match={"path": "/{kind}"})])
    bodies = [b"\xff\x00", b"\xff\x00", b"\xff\x01", b"", b"", b"{}", b"{ }", b"x" * 500_000, b"x" * 500_000]
    found = await slugs(program.port, "/uploads", bodies, ("Content-Type", "image/png"))
    assert found == [201, "duplicate", 201, 201, "duplicate", 201, 201, 201, "duplicate"]
    assert await slugs(program.port, "/others", bodies[:1]) == [201]


@pytest.mark.parametrize("field", ["json", "body"])
async def test_a_body_that_is_held_back_is_asked_for(upstream: RawUpstream, gateway: StartGateway, field: str) -> None:
    program = await gateway(rules=[rule("event", "/events", entry(field))])
    head = b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    for expected in (201, 409):
        async with Client(program.port) as client:
            await client.send_raw(head + b"Content-Length: 2\r\n\r\n")
            await client.send_raw(b"{}")
            assert (await client.read_response("POST")).status == expected
    assert len(upstream.requests) == 1


async def test_a_whole_body_may_be_what_is_left_where_a_name_is_absent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("event", "/events", entry("header.X-Event-Id | body"))])
    assert await slugs(program.port, "/events", [b"a", b"b", b"a"]) == [201, 201, "duplicate"]
    named = ("X-Event-Id", "1")
    assert await slugs(program.port, "/events", [b"a", b"c"], named) == [201, "duplicate"]
