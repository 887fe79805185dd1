# Requests that are made to be slow to read: each is answered at once, and an ordinary create right behind it is served.

from pathlib import Path

import pytest

from campaigns.loop_holds.__main__ import run, table
from campaigns.loop_holds.answers import all_answers
from campaigns.loop_holds.shapes import all_shapes
from tests.conftest import StartGateway
from tests.support.client import Client, create
from tests.support.program import Table, create_user_rule
from tests.support.shorthands import JSON
from tests.support.upstream import RawUpstream

MARKS = f'{{"email": "a{chr(0x301) * 15_000}{chr(0x323) * 15_000}"}}'.encode()
SHORT_MARKS = f'{{"email": "a{chr(0x301) * 16}{chr(0x323) * 15}"}}'.encode()
MIB = 2**20


def rule(normaliser: str, **changes: object) -> Table:
    return create_user_rule(
        unique=[{"name": "email", "fields": ["body.email"], "normalize": [normaliser]}],
        caller=["header.Authorization"],
        **changes,
    )


@pytest.mark.parametrize("normaliser", ["email", "nfc", "nfkc"])
async def test_combining_marks_that_take_long_to_normalise_are_refused(
    normaliser: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    assert len(MARKS) > 60_000
    program = await gateway(rules=[rule(normaliser)])
    async with Client(program.port) as client:
        for body, reason in ((MARKS, "is longer than 1024 bytes"), (SHORT_MARKS, "has more than 30 combining marks")):
            seen = await client.request("POST", "/users", [("Content-Type", "application/json")], body)
            assert (seen.status, seen.slug) == (422, "missing-identity")
            assert f"body.email {reason}" in seen.json()["detail"]
            assert "\u0301" not in seen.json()["detail"]
            assert (await create(program.port, f"behind-{len(body)}@example.org")).status == 201
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "domain", ["ü." * 300 + "de", "ｘ" * 300, "xn--" + "a" * 900, "xn--bcher-kva." * 60, "\u0e33" * 300]
)
async def test_domains_that_are_long_hold_up_nobody(domain: str, upstream: RawUpstream, gateway: StartGateway) -> None:
    """A name of the DNS has at most 253 characters (RFC 1035 2.3.4); a longer one is not decoded."""
    program = await gateway(rules=[rule("email")])
    seen = await create(program.port, f"ada@{domain}")
    assert (seen.status, seen.slug) == (422, "missing-identity")
    assert (await create(program.port, "ada@bücher.de")).status == 201
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("part", ["/a%252f%5c;b//%2e%25253b", "/%252f;a%00//\\..%253b%3f"])
async def test_a_long_path_that_can_be_read_in_very_many_ways_is_refused(
    part: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    target = "/" + part * (8000 // len(part))
    async with Client(program.port) as client:
        seen = await client.request("POST", target, (), b"")
        assert (seen.status, seen.slug) == (400, "ambiguous-path")
        assert "longer than 1 KiB" in seen.json()["detail"]
    assert (await create(program.port)).status == 201
    async with Client(program.port) as client:
        assert (await client.request("GET", target)).status == 200, "no rule guards a GET"
        assert (await client.request("POST", "/q" + "/segment" * 900, (), b"")).status == 201


def members(size: int, part: str, tail: str) -> bytes:
    return ("{" + part * ((size - len(tail)) // len(part)) + tail + "}").encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (members(MIB - 2, '"a":1,', '"email":"x@example.org"'), "an object with more than 10000 keys"),
        (members(MIB - 2, '"email":1,', '"z":1'), "an object with more than 10000 keys"),
        (b"{" + b",".join([b'"%d":1' % at for at in range(80_000)]) + b"}", "an object with more than 10000 keys"),
        (b'{"email":' + b"[[]," * 200_000 + b"0" + b"]" * 50_000, "brackets"),
        (b'{"email":[' + b"[]," * 100_000 + b"0]}", "body.email is longer than 1024 bytes"),
        (b'{"email":[' + b'"a",' * 250_000 + b"0]}", "body.email is longer than 1024 bytes"),
        (b'{"email":"' + b"\\n" * 500_000 + b'"}', "body.email is longer than 1024 bytes"),
    ],
    ids=["one-key-again", "the-field-again", "different-keys", "deep", "lists", "strings", "escapes"],
)
@pytest.mark.parametrize("key", [False, True], ids=["plain", "keyed"])
async def test_a_body_that_takes_long_to_read_is_refused(
    body: bytes, reason: str, upstream: RawUpstream, gateway: StartGateway, *, key: bool
) -> None:
    program = await gateway(rules=[rule("email", **({"key": {"ignore": ["body.z"]}} if key else {}))])
    headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")]
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", headers, body)
        assert (seen.status, seen.slug) == (422, "missing-identity")
        assert reason in seen.json()["detail"]
    assert (await create(program.port)).status == 201
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("part", ['"a",', "[],", "1.5,", "2.2250738585072011e-308,", '{"a":1,"a":1},', '"\\n",'])
async def test_a_large_body_may_have_any_shape_beside_what_a_rule_reads(
    part: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("email", key={}, retry="replay")])
    body = f'{{"email":"ada@example.org","list":[{part * (350_000 // len(part))}0]}}'.encode()
    headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")]
    async with Client(program.port) as client:
        first = await client.request("POST", "/users", headers, body)
        again = await client.request("POST", "/users", headers, body)
        other = await client.request("POST", "/users", headers, body + b" ")
        assert (first.status, again.status) == (201, 201)
        assert again.header("Idempotent-Replayed") == "true"
        assert (other.status, other.slug) == (422, "key-reused"), "it is compared by its bytes"
    assert len(upstream.requests) == 1


async def test_a_caller_s_token_may_be_long(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("email", key={})])
    headers = [JSON, ("Authorization", f"Bearer {'a' * 7000}"), ("Idempotency-Key", "k")]
    async with Client(program.port) as client:
        assert (await client.request("POST", "/users", headers, b'{"email":"ada@example.org"}')).status == 201


async def test_every_shape_of_the_campaign_is_answered(tmp_path: Path) -> None:
    """A slice of `make loop-holds`, which judges times; here none is."""
    campaign = await run(tmp_path, (*all_shapes(sizes=(20_000,)), *all_answers()), rounds=1)
    assert [each.shape.name for each in campaign.seen if each.status not in {200, 201, 400, 409, 413, 422, 431}] == []
    assert {each.status for each in campaign.seen if each.shape.answer} == {200}
    assert len(campaign.seen) > 500
    assert campaign.delays
    assert len(table(campaign, 5)) == 7
