# Which bodies a rule reads: types and codings that it names, and what becomes of the others.

import gzip
import zlib

import pytest

from gateway.guard.content import JSON_TYPES
from tests.conftest import StartGateway
from tests.support import wire
from tests.support.client import Client, Response, create
from tests.support.program import create_user_rule
from tests.support.shorthands import HOST, JSON
from tests.support.upstream import RawUpstream

ADA = b'{"email":"ada@example.org"}'
CODINGS = ["gzip", "x-gzip", "deflate"]


async def post(client: Client, body: bytes | list[bytes], *headers: tuple[str, str]) -> Response:
    return await client.request("POST", "/users", headers, iter(body) if isinstance(body, list) else body)


# Types


async def test_a_rule_reads_json_of_the_types_that_it_names_and_of_none_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that reads JSON of any type must not get a create under a type that is not looked into."""
    program = await gateway(rules=[create_user_rule(json_types=["text/plain", ""])])
    named = ["text/plain", "Text/Plain; charset=utf-8", "application/json", "a/b+json", *sorted(JSON_TYPES)]
    async with Client(program.port) as client:
        assert (await post(client, ADA)).status == 201, "without a type"
        for kind in named:
            assert (await post(client, ADA, ("Content-Type", kind))).slug == "duplicate", kind
        for kind in ("text/html", "application/x-amz-json-2.0", "text/plain; charset=latin-1"):
            seen = await post(client, ADA, ("Content-Type", kind))
            assert (seen.status, seen.slug) == (422, "missing-identity"), kind
    assert len(upstream.requests) == 1


async def test_a_body_without_a_type_is_unreadable_and_forwarded_only_where_the_rule_forwards_such(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It is like one of another type: refused by default, and else marked."""
    program = await gateway(rules=[create_user_rule(missing="forward")])
    async with Client(program.port) as client:
        for headers in ([], [("Content-Type", "text/plain")]):
            seen = await post(client, ADA, *headers)
            assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")
    assert len(upstream.requests) == 2


async def test_a_charset_that_is_not_utf_8_or_extended_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Django answers an extended parameter (RFC 8187) with 500, and decodes the body by the charset that is named."""
    program = await gateway()
    refused = {
        "application/json; charset=utf-16": (422, "missing-identity"),
        'application/json; charset="iso-8859-1"': (422, "missing-identity"),
        "application/json; charset=utf-7; x=y": (422, "missing-identity"),
        "application/json; charset=us-ascii": (422, "missing-identity"),
        "application/json; charset*=utf-8": (400, "unusual-request"),
        "application/json; charset*=utf-8''utf-16": (400, "unusual-request"),
        "application/json; charset*0=utf-16": (400, "unusual-request"),
        "application/json; q*=x'y'%ff": (400, "unusual-request"),
        "application/json; charset=utf-8; Charset=utf-16": (400, "unusual-request"),
    }
    async with Client(program.port) as client:
        for kind, expected in refused.items():
            seen = await post(client, '{"email":"\u00e4"}'.encode(), ("Content-Type", kind))
            assert (seen.status, seen.slug) == expected, kind
        assert not upstream.connections
        assert (await post(client, ADA, ("Content-Type", "application/json; charset=us-ascii"))).status == 201


# Codings


def squeezed(text: bytes, coding: str) -> bytes:
    return zlib.compress(text) if coding == "deflate" else gzip.compress(text)


@pytest.mark.parametrize("coding", [*CODINGS, "br", "zstd", "gzip, gzip", "none"])
async def test_a_coded_body_is_refused_by_default_because_many_apis_fail_on_it(
    coding: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Their 500 would make the identity unknown, whoever it belongs to."""
    program = await gateway()
    async with Client(program.port) as client:
        seen = await post(client, squeezed(ADA, coding), JSON, ("Content-Encoding", coding))
        assert (seen.status, seen.slug, seen.header("Accept-Encoding")) == (415, "missing-identity", "identity")
        assert seen.json()["status"] == 415
        assert "Content-Encoding" in seen.json()["detail"]
        assert (await post(client, ADA, JSON, ("Content-Encoding", "identity"))).status == 201
    assert len(upstream.requests) == 1


async def test_a_coding_by_transfer_is_refused_alike(upstream: RawUpstream, gateway: StartGateway) -> None:
    """RFC 9112 7: it would reach the API as Content-Encoding."""
    program = await gateway()
    chunks = wire.render_chunk(gzip.compress(ADA)) + wire.render_chunk(b"")
    head = wire.render_head("POST /users HTTP/1.1", [HOST, JSON, ("Transfer-Encoding", "gzip, chunked")])
    async with Client(program.port) as client:
        await client.send_raw(head + chunks)
        seen = await client.read_response("POST")
        assert (seen.status, seen.slug, seen.header("Accept-Encoding")) == (415, "missing-identity", "identity")
        assert (await post(client, ADA, JSON)).status == 201, "the connection goes on"
    assert len(upstream.requests) == 1


async def test_only_the_codings_that_a_rule_names_are_accepted_and_a_refusal_says_which(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """An API that knows gzip may not know x-gzip."""
    program = await gateway(rules=[create_user_rule(content_encodings=["gzip", "deflate"])])
    async with Client(program.port) as client:
        for coding in ("x-gzip", "br", "deflate, gzip"):
            seen = await post(client, squeezed(ADA, coding), JSON, ("Content-Encoding", coding))
            assert (seen.status, seen.header("Accept-Encoding")) == (415, "gzip, deflate"), coding
        assert not upstream.connections
        seen = await post(client, gzip.compress(ADA), JSON, ("Content-Encoding", "gzip"))
        assert (seen.status, seen.header("Accept-Encoding")) == (201, None)


async def test_a_coded_body_passes_where_no_field_is_read_from_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A key is compared with the body as it came."""
    by_header = create_user_rule(unique=[{"name": "ref", "fields": ["header.X-Ref"]}])
    keyed = create_user_rule(name="keyed", match={"path": "/keyed"}, unique=[], key={})
    program = await gateway(rules=[by_header, keyed])
    coded = [JSON, ("Content-Encoding", "br")]
    async with Client(program.port) as client:
        assert (await post(client, b"\x0b", *coded, ("X-Ref", "1"))).status == 201
        statuses = []
        for body in (b"\x0b", b"\x0b", b"\x0c"):
            seen = await client.request("POST", "/keyed", [*coded, ("Idempotency-Key", "k")], body)
            statuses.append(seen.slug or seen.status)
    assert statuses == [201, "duplicate", "key-reused"]


async def test_a_rule_that_forwards_what_it_cannot_read_forwards_other_codings_too(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It holds no claim then, so nothing can become unknown."""
    program = await gateway(rules=[create_user_rule(missing="forward")])
    async with Client(program.port) as client:
        seen = await post(client, gzip.compress(ADA), JSON, ("Content-Encoding", "gzip"))
    assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compressed_body_is_read_inflated_and_forwarded_as_it_was(
    coding: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(content_encodings=CODINGS)])
    body = squeezed(ADA, coding)
    encoded = ("Content-Encoding", coding)
    async with Client(program.port) as client:
        assert (await post(client, body, JSON, encoded)).status == 201
        assert (await post(client, [body[:5], body[5:]], JSON, encoded)).slug == "duplicate"
        for damaged in (body[:-1], body + b"x", body + body, body[:12] + b"\x00" + body[13:], b"", b"{}"):
            seen = await post(client, damaged, JSON, encoded)
            assert (seen.status, seen.slug) == (422, "missing-identity")
    assert (await create(program.port)).slug == "duplicate", "compressed and plain are one identity"
    (request,) = upstream.requests
    assert bytes(request.body) == body
    assert request.header("Content-Encoding") == coding
