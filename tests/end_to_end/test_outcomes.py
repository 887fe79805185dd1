# What an answer means by what is in it: GraphQL, {"success": false}, SOAP, a form that comes back, an API that knows.

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response, create
from tests.support.program import GatewayProgram, Table, create_user_rule
from tests.support.shorthands import AGAIN, JSON, expect_next, post
from tests.support.upstream import RawUpstream

HTML = ("Content-Type", "text/html; charset=utf-8")
SOAP = ("Content-Type", "text/xml; charset=utf-8")
BECAME = {"created": "created", "refused": "free", "unknown": "unknown"}
"""What a claim becomes by what Idempotency-Status says."""


def entry(verdict: str, *when: Table) -> Table:
    return {"when": list(when), "is": verdict}


def field(name: str, **test: Any) -> Table:
    return {"field": f"answer.{name}", **test}


def guarded(*entries: Table, **changes: Any) -> Table:
    return create_user_rule(outcome=list(entries), **changes)


async def expect(
    program: GatewayProgram,
    upstream: RawUpstream,
    answer: tuple[int, tuple[str, str], bytes],
    said: str,
    *more: tuple[str, str],
) -> Response:
    """Let the API answer a create: its client gets that byte for byte and what it means, and the claim becomes it."""
    status, content_type, body = answer
    upstream.script(behaviours.answer(status, [content_type, *more], body))
    email = f"{len(upstream.requests)}@example.org"
    seen = await create(program.port, email)
    assert (seen.status, seen.body, seen.header("Content-Type")) == (status, body, content_type[1])
    assert seen.header("Idempotency-Status") == said
    await expect_next(program.port, upstream, email, BECAME[said])
    return seen


def graphql(**members: Any) -> tuple[int, tuple[str, str], bytes]:
    return 200, JSON, json.dumps(members).encode()


async def test_graphql_says_with_200_that_it_did_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(
        rules=[
            guarded(
                entry("unknown", field("body.errors", exists=True), field("body.data.createUser", exists=True)),
                entry("refused", field("body.errors", exists=True)),
            )
        ]
    )
    later = {"message": "try later", "extensions": {"code": "TRY_LATER"}}
    await expect(program, upstream, graphql(data=None, errors=[later]), "refused")
    await expect(program, upstream, graphql(data={"createUser": None}, errors=[later]), "refused")
    await expect(program, upstream, graphql(errors=[{"message": "no such field"}]), "refused")
    await expect(program, upstream, graphql(data={"createUser": {"id": 7}}, errors=[later]), "unknown")
    await expect(program, upstream, graphql(data={"createUser": {"id": 7}}), "created")
    await expect(program, upstream, graphql(data={"createUser": {"id": 7}}, errors=None), "created")
    outcomes = [line["outcome"] for line in program.log if line.get("event") == "request"]
    assert {"refused", "unknown", "created"} <= set(outcomes)


async def test_success_false_is_refused_and_only_false_is(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[guarded(entry("refused", field("body.success", equals=False)))])
    for body, said in (
        (b'{"success": false}', "refused"),
        (b'{"success": true}', "created"),
        (b'{"success": 0}', "created"),
        (b'{"success": "false"}', "created"),
        (b'{"success": null}', "created"),
        (b'{"data": {"success": false}}', "created"),
        (b"[false]", "created"),
    ):
        await expect(program, upstream, (200, JSON, body), said)


ENVELOPE = """<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>"""
CODE = "xml.Envelope.Body.Fault.faultcode"
DETAIL = "xml.Envelope.Body.Fault.detail.UserFault.code"


def soap(content: str, status: int = 500) -> tuple[int, tuple[str, str], bytes]:
    return status, SOAP, (ENVELOPE % content).encode()


def fault(code: str, detail: str = "") -> str:
    return f"<s:Fault><faultcode>{code}</faultcode><faultstring>no</faultstring>{detail}</s:Fault>"


async def test_soap_says_with_500_whose_fault_it_was(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(
        rules=[
            guarded(
                entry("created", field(DETAIL, one_of=["EXISTS", "TAKEN"])),
                entry("refused", field(CODE, matches="*:Client")),
                entry("unknown", field("xml.Envelope.Body.Fault", exists=True)),
                failed="free",
            )
        ]
    )
    exists = '<detail><u:UserFault xmlns:u="urn:users"><u:code> TAKEN </u:code></u:UserFault></detail>'
    await expect(program, upstream, soap(fault("s:Client")), "refused")
    await expect(program, upstream, soap(fault("s:Server")), "unknown")
    await expect(program, upstream, soap(fault("s:Client", exists)), "created")
    await expect(program, upstream, soap("<CreateUserResponse/>", 200), "created")
    await expect(program, upstream, soap(fault("s:Server"), 200), "unknown")
    bomb = b'<!DOCTYPE s [<!ENTITY a "%b">]><s>%b</s>' % (b"ha" * 1000, b"&a;" * 10_000)
    await expect(program, upstream, (500, SOAP, bomb), "unknown")
    await expect(program, upstream, (400, SOAP, b"<html><br></html>"), "unknown")
    await expect(program, upstream, (500, HTML, b"<html>"), "unknown")
    assert (await create(program.port)).status == 201, "the API answers no XML, and the status says enough"


async def test_a_form_that_comes_back_with_200_is_refused_by_its_type(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    entries = entry("refused", field("status", equals=200), field("header.Content-Type", matches="text/html*"))
    program = await gateway(rules=[guarded(entries, success=["2xx", "302"])])
    await expect(program, upstream, (200, HTML, b"<form>taken</form>"), "refused")
    await expect(program, upstream, (302, HTML, b""), "created", ("Location", "/welcome"))
    await expect(program, upstream, (201, HTML, b"<p>welcome</p>"), "created")
    await expect(program, upstream, (200, JSON, b"{}"), "created")


@pytest.mark.parametrize("status", [400, 409, 422, 500])
async def test_an_error_by_which_the_api_says_that_it_is_there_is_created(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[guarded(entry("created", field("body.code", equals="DUPLICATE")), resource="/users/{body.id}")]
    )
    upstream.script(behaviours.answer(status, [JSON], b'{"code": "DUPLICATE", "id": 7}'))
    seen = await create(program.port, AGAIN)
    assert (seen.status, seen.header("Idempotency-Status")) == (status, "created")
    again = await create(program.port, AGAIN)
    assert (again.slug, again.json()["existingResourceLink"]) == ("duplicate", "/users/7")
    assert len(upstream.requests) == 1
    await expect(program, upstream, (422, JSON, b'{"code": "INVALID"}'), "refused")


async def test_retries_get_again_what_was_created_and_not_what_was_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[
            guarded(
                entry("refused", field("body.errors[0]", exists=True)),
                entry("created", field("body.code", equals="DUPLICATE")),
                key={},
                retry="replay",
                resource="/users/{body.id}",
            )
        ]
    )

    async def send(email: str, key: str) -> Response:
        return await post(program, "/users", {"email": email}, ("Authorization", "ada"), ("Idempotency-Key", key))

    upstream.script(behaviours.answer(200, [JSON], b'{"errors": [1], "id": 7}'))
    assert (await send(AGAIN, "k-1")).header("Idempotency-Status") == "refused"
    upstream.script(behaviours.answer(200, [JSON], b'{"id": 8}'))
    assert (await send(AGAIN, "k-1")).json() == {"id": 8}, "nothing was stored: it is forwarded again"
    replayed = await send(AGAIN, "k-1")
    assert (replayed.json(), replayed.header("Idempotency-Status")) == ({"id": 8}, "replayed")
    assert (await send(AGAIN, "k-2")).json()["existingResourceLink"] == "/users/8"

    upstream.script(behaviours.answer(400, [JSON], b'{"code": "DUPLICATE"}'))
    assert (await send("other@example.org", "k-3")).header("Idempotency-Status") == "created"
    replayed = await send("other@example.org", "k-3")
    assert (replayed.status, replayed.header("Idempotency-Status")) == (400, "replayed")
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
async def test_a_compressed_answer_is_read_and_passed_on_as_it_came(
    coding: str, compress: Any, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[guarded(entry("refused", field("body.errors", exists=True)))])
    for body, said in ((b'{"errors": []}', "refused"), (b'{"data": {}}', "created")):
        answer = (200, JSON, compress(body))
        await expect(program, upstream, answer, said, ("Content-Encoding", coding))


async def test_no_coding_is_asked_for_that_hides_what_decides(upstream: RawUpstream, gateway: StartGateway) -> None:
    other = create_user_rule(
        name="other",
        match={"path": "/other"},
        outcome=[
            entry("refused", field("header.X", exists=True)),
        ],
    )
    program = await gateway(rules=[guarded(entry("refused", field("body.errors", exists=True))), other])
    asked = ("Accept-Encoding", "gzip, deflate, br, zstd")
    for path in ("/users", "/other", "/unguarded"):
        await post(program, path, {"email": AGAIN}, asked)
    await create(program.port)
    told = [wire.values(request.headers, "Accept-Encoding") for request in upstream.requests]
    assert told == [["gzip, deflate"], [asked[1]], [asked[1]], []]


async def test_an_answer_without_a_body_has_nothing_in_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(
        rules=[
            guarded(
                entry("created", field("body.code", equals="DUPLICATE")),
                entry("refused", field("body.errors", exists=True)),
            )
        ]
    )
    await expect(program, upstream, (200, JSON, b""), "created")
    await expect(program, upstream, (400, JSON, b""), "refused")
    await expect(program, upstream, (500, JSON, b""), "unknown")
    for answer, status, said in (
        (behaviours.answer(204), 204, "created"),
        (behaviours.chunked([], 400, [JSON]), 400, "refused"),
        (behaviours.until_close(b"", 400, [JSON]), 400, "unknown"),  # it may have been cut off
    ):
        upstream.script(answer)
        email = f"{status}-{said}@example.org"
        seen = await create(program.port, email)
        assert (seen.status, seen.body, seen.header("Idempotency-Status")) == (status, b"", said)
        await expect_next(program.port, upstream, email, BECAME[said])


async def test_an_answer_to_head_shows_no_body_to_judge_by(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(
        rules=[
            guarded(
                entry("created", field("body.code", equals="DUPLICATE")),
                match={"methods": ["HEAD"], "path": "/users"},
                unique=[{"name": "ref", "fields": ["query.ref"]}],
            )
        ]
    )
    upstream.script(behaviours.answer(400, [JSON], b'{"code": "DUPLICATE"}'))
    async with Client(program.port) as client:
        seen = await client.request("HEAD", "/users?ref=1")
        assert (seen.status, seen.header("Idempotency-Status")) == (400, "unknown")
        assert (await client.request("HEAD", "/users?ref=1")).status == 409
    assert len(upstream.requests) == 1
