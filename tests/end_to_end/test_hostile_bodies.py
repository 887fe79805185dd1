# Bodies that lie, that two parsers read in two ways, or that blow up: none passes a guarded route, none does harm.

import json
import struct
import zlib
from collections.abc import Iterable, Iterator

import pytest

from tests.conftest import StartGateway
from tests.support.client import Client, Response, create
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.upstream import RawUpstream

MIB = 2**20
GROWTH = 64 * MIB
"""Bytes by which no body here may make the gateway grow."""
LIMITS = {"the-default": {}, "16MiB": {"body_limit": "16MiB"}}

INVALID = [
    *[b"", b" ", b"\n", b"\x00", b"nul", b"nil", b"True", b"NULL", b"undefined", b"email"],
    *[b"'ada'", b'"ada', b'ada"', b'"\\x61"', b'"\\u00zz"', b'"\\u00"', b'"\\', b'"tab\there"', b'"line\nhere"'],
    *[b"01", b"+1", b".5", b"5.", b"1e", b"1e+", b"0x10", b"1_000", b"- 1", b"--1", b"1 2", b"NaN", b"Infinity"],
    *[b"-Infinity", b"-", b"1.2.3", b"\xef\xbc\x91"],
    *[b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"[1,,2]", b"[1}", b"[\x0b]", b"[1]]", b"[1", b"[\xc2\xa0]"],
    *[b"{", b"}", b"{,}", b'{"email"}', b'{"email":}', b'{"email" "x"}', b'{"email":"x",}', b"{email:1}"],
    *[b"{'email':'x'}", b'{"email":"x"', b'{"email":"x"]', b'{"email":"x"}}', b'{"email":"x"}{}', b'{1:"x"}'],
    *[b'{"email":"x"} //', b'/**/{"email":"x"}', b'{"email":"x"}\x00', b'\x00{"email":"x"}', b'{"email"="x"}'],
    *[b'{"email":"x";}', b"{\"email\":'x'}", b'{"email":x}', b'{"email":"x"}#', b'{"email":"x","b":[}', b"#!json"],
    b'{"email":"x","b":' + b"9" * 5000 + b"}",
    # not UTF-8, or not to be told from something else
    *[
        b'\xef\xbb\xbf\xef\xbb\xbf{"email":"x"}',
        b'\xfe\xff\x00{\x00"',
        '{"email":"x"}'.encode("utf-16"),
        b"\xef\xbb\xbf",
    ],
    *['{"email":"x"}'.encode("utf-16-le"), '{"email":"x"}'.encode("utf-32"), b'{"email":"\xff"}', b'{"email":"\xe9"}'],
    *[b'{"email":"\xc0\xaf"}', b'{"email":"\xed\xa0\x80"}', b'{"email":"\xf4\x90\x80\x80"}', b'{"email":"\xc3"}'],
    *[b'{"email":"x","\xff":1}', b'{"email":"\xf0\x28\x8c\xbc"}'],
    # deep
    *[b"[" * 65 + b"]" * 65, b'{"email":"x","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' * 100_000],
    *[b"[" * 65 + b'"' + b'\\"' * 200_000, b"[{" * 50_000, b"]" * 100_000, b'["' * 100_000],
]
"""No JSON texts at all, or none that every reader reads alike."""

UNREADABLE_EMAIL = [
    *[b'{"email":"a","email":"b"}', b'{"email":"a","email":"a"}', b'{"email":"a","\\u0065mail":"b"}'],
    *[b'{"email":{"a":1,"a":2}}', b'{"email":[{"a":1,"a":1}]}', b'{"email":"\\ud800"}', b'{"email":"\\udc00\\ud800"}'],
    *[b'{"email":1e400}', b'{"email":[-1e400]}', b'{"email":{"\\ud83d":1}}', b'{"Email":"a"}', b'{"email ":"a"}'],
    *[b'[{"email":"a"}]', b'"email"', b"null", b"0", b"[]", b"{}", b'{"a":{"email":"x"}}', b'{"e\\u0000mail":1}'],
]
"""JSON texts in which no one email can be read."""

ODD = [
    *[b'{"email":"\\u0000"}', b'{"email":"\\ud83d\\ude00"}', b'{"email":"\xf0\x9f\x98\x80"}', b'{"email":"\\/\\b\\f"}'],
    *[b'{"email":1e1}', b'{"email":-0}', b'{"email":-0.0}', b'{"email":1E+2}', b'{"email":123123e-100000}'],
    *[b'{"email":0.1e-999}', b'{"email":9007199254740993}', b'{"email":' + b"9" * 4000 + b"}", b'{"email":1.0e308}'],
    *[b' \t\r\n{ "email" : "x" }\r\n ', b'{"":1,"email":[]}', b'{"a":1,"a":2,"email":"twice-elsewhere"}'],
    *[b'{"email":"\xef\xbb\xbf"}', b'{"email":"\xe2\x80\xa8"}', b'{"email":"\x7f"}', b'{"email":"\xed\x9f\xbf"}'],
    *[b'{"email":"' + b"e" * 900_000 + b'"}', b'{"email":' + b"[" * 62 + b"]" * 62 + b"}"],
    *[b'{"email":[' + b"0," * 100_000 + b"0]}", b'{"email":{' + b'"a":{' * 60 + b"}" * 60 + b"}}"],
    b'{"__proto__":{"email":"y"},"constructor":1,"email":"z"}',
]
"""JSON texts that trip careless readers; what is made of them is free, as long as it is made twice alike."""


async def post(client: Client, body: bytes | Iterable[bytes], *headers: tuple[str, str]) -> Response:
    return await client.request("POST", "/users", [("Content-Type", "application/json"), *headers], body)


async def expect_unharmed(program: GatewayProgram) -> None:
    assert (await create(program.port, "still@example.org")).status == 201


@pytest.mark.parametrize("texts", [INVALID, UNREADABLE_EMAIL], ids=["invalid", "unreadable"])
async def test_what_cannot_be_read_in_one_way_is_refused_and_never_reaches_the_api(
    texts: list[bytes], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for text in texts:
            seen = await post(client, text)
            assert (seen.status, seen.slug) == (422, "missing-identity"), text[:100]
    assert not upstream.connections
    await expect_unharmed(program)


def test_the_invalid_texts_are_no_json_and_the_others_are() -> None:
    """Guards the lists above against a mistake of their own."""
    for text in [*UNREADABLE_EMAIL, *ODD]:
        json.loads(text)
    deep_or_not_plain_utf8 = 0
    for text in INVALID:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            continue
        deep_or_not_plain_utf8 += 1
    assert len(INVALID) >= 80
    assert deep_or_not_plain_utf8 <= 10, "json.loads guesses UTF-16 and -32, and takes NaN and Infinity"


async def test_odd_texts_do_no_harm_and_are_read_the_same_way_twice(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    async with Client(program.port) as client:
        for text in ODD:
            first, second = await post(client, text), await post(client, text)
            assert first.status in {201, 409, 422}, text[:100]
            assert second.slug == (first.slug or "duplicate"), text[:100]
    await expect_unharmed(program)


async def test_only_json_that_says_it_is_utf_8_is_read(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    read = ["application/json", "APPLICATION/JSON; charset=UTF-8", 'application/vnd.api+json;charset="utf-8"']
    unread = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jso"]
    unread += [
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/jsonx",
        "application/+json",
    ]
    async with Client(program.port) as client:
        for number, kind in enumerate(read):
            body = b'{"email":"%d"}' % number
            seen = await client.request("POST", "/users", [("Content-Type", kind)], body)
            assert seen.status == 201, kind
        untyped = await client.request("POST", "/users", (), b'{"email":"no type"}')
        assert (untyped.status, untyped.slug) == (422, "missing-identity")
        assert "no Content-Type" in untyped.json()["detail"]
        for kind in ("", "json"):
            seen = await client.request("POST", "/users", [("Content-Type", kind)], b'{"email":"x"}')
            assert (seen.status, seen.slug) == (400, "unusual-request"), kind
        for kind in unread:
            seen = await client.request("POST", "/users", [("Content-Type", kind)], b'{"email":"x"}')
            assert (seen.status, seen.slug) == (422, "missing-identity"), kind
    assert len(upstream.requests) == 3


# Compressed


def squeezed(text: bytes, window: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, window)
    return stream.compress(text) + stream.flush()


def bomb(blocks: int) -> bytes:
    """`blocks` times 64 MiB of spaces and then a create, as gzip: a JSON text that is valid, and enormous.

    A flush forgets all that came before, so that one squeezed block may stand there again and again.
    """
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = stream.compress(b" " * (64 * MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    text = b'{"email":"bomb@example.org"}'
    check = SPACES[blocks]
    trailer = struct.pack("<II", zlib.crc32(text, check), (blocks * 64 * MIB + len(text)) % 2**32)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + block * blocks + squeezed(text, -15) + trailer


SPACES = {1: zlib.crc32(b" " * (64 * MIB)), 14: 0xE0F06309, 160: 0x345583F2}
"""CRC-32 of so many times 64 MiB of spaces; of the two large ones, because it takes seconds to find out."""


def test_a_bomb_is_valid_gzip() -> None:
    assert zlib.decompress(bomb(1), 31) == b" " * (64 * MIB) + b'{"email":"bomb@example.org"}'


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("blocks", [14, 160], ids=["under-1MiB-on-the-wire", "10GiB-inflated"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_a_gzip_bomb_is_refused_within_bounded_memory(
    limit: str, blocks: int, upstream: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program = await gateway(rules=[create_user_rule(**LIMITS[limit], content_encodings=["gzip"])])
    body = bomb(blocks)
    assert len(body) < MIB if blocks == 14 else 8 * MIB < len(body) < 16 * MIB
    await refused(program, slices(body) if is_chunked else body, 413, "body-too-large", ("Content-Encoding", "gzip"))
    assert len(upstream.started) == 2, "the warm-up and the one afterwards"


@pytest.mark.parametrize(
    ("limit", "status", "slug"), [("the-default", 413, "body-too-large"), ("16MiB", 422, "missing-identity")]
)
@pytest.mark.parametrize("text", [b"[" * 10_000_000, b"[" * 5_000_000 + b"]" * 5_000_000, b"[{" * 5_000_000])
async def test_ten_million_brackets_are_refused_within_bounded_memory(
    text: bytes, limit: str, status: int, slug: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(**LIMITS[limit])])
    await refused(program, text, status, slug)
    assert len(upstream.started) == 2, "the warm-up and the one afterwards"


async def test_two_million_nested_objects_are_refused_within_bounded_memory(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(body_limit="16MiB")])
    await refused(program, b'{"a":' * 2_000_000, 422, "missing-identity")


async def test_a_body_beyond_the_limit_is_refused_by_its_length_before_it_is_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(body_limit="100B")])
    head = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with Client(program.port) as client:
        await client.send_raw(head + b"Content-Length: 101\r\n\r\n")
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug, seen.header("Connection")) == (413, "body-too-large", "close")
    async with Client(program.port) as client:
        await client.send_raw(head + b"Content-Length: 9999999999999999999\r\n\r\n")
        assert (await client.read_response("POST")).status in {400, 413}
    exact = b'{"email":"' + b"x" * 88 + b'"}'
    async with Client(program.port) as client:
        assert (await post(client, exact)).status == 201
        assert (await post(client, iter([exact]))).slug == "duplicate"
        assert (await post(client, iter([exact, b" "]))).slug == "body-too-large"
    assert len(upstream.requests) == 1


def slices(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 65536] for at in range(0, len(body), 65536))


async def refused(
    program: GatewayProgram, body: bytes | Iterable[bytes], status: int, slug: str, *headers: tuple[str, str]
) -> None:
    """Send a body that must be refused, and see that the gateway hardly grew and goes on."""
    await create(program.port, "warm-up@example.org", name="x" * 100_000)
    before = program.rss()
    async with Client(program.port) as client:
        seen = await post(client, body, *headers)
    assert (seen.status, seen.slug) == (status, slug)
    grown = program.peak_rss() - before
    assert grown < GROWTH, f"grew by {grown / MIB:.0f} MiB"
    await expect_unharmed(program)
