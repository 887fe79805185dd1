# The gateway's own answers in the language of the API, as the sender of a duplicate gets them.

import asyncio
import json
import tomllib
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from gateway.guard.answer_shapes import MEMBERS
from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, expect_proxy_status, post, rule
from tests.support.upstream import RawUpstream, refused_port

SCIM = ("Content-Type", "application/scim+json")
ADA, BOB = ("Authorization", "Bearer ada"), ("Authorization", "Bearer bob")
TESS = {"userName": "tess@example.org"}
SAMPLE = tomllib.loads((ROOT / "config" / "answers.toml").read_text(encoding="utf-8"))
ERROR = {"content_type": "application/json", "body": '{"error": {"code": "{slug}", "status": {status}}}'}


def orders(answers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return rule("order", "/orders", entry("body.number", name="number"), answers=answers, **changes)


async def send(program: GatewayProgram, number: Any = 7, *headers: tuple[str, str]) -> Response:
    return await post(program, "/orders", {"number": number}, *headers)


async def test_a_scim_client_is_told_of_a_duplicate_as_rfc_7644_says(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=SAMPLE["rules"])
    async with Client(program.port) as client:
        for name in ("tess@example.org", "Tess@example.org "):
            body = json.dumps({"userName": name}).encode()
            seen = await client.request("POST", "/scim/v2/Users", [SCIM, ADA], body)
        assert seen.status == 409
        assert seen.header("Content-Type") == "application/scim+json"
        assert seen.json() == {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "scimType": "uniqueness",
            "status": "409",
            "detail": 'A resource with the same "userName" was created before.',
        }
        missing = await client.request("POST", "/scim/v2/Users", [SCIM, ADA], b"{}")
        assert (missing.status, missing.json()["scimType"]) == (400, "invalidValue")
    assert len(upstream.requests) == 1


async def test_a_sender_of_webhooks_gets_the_text_that_it_waits_for(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Adyen marked a hook as failed unless it read [accepted]."""
    item = "body.notificationItems[0].NotificationRequestItem"
    hook = rule("adyen", "/webhooks/adyen", entry(f"{item}.pspReference", f"{item}.eventCode", name="event"))
    accepted = {"content_type": "text/plain", "body": "[accepted]"}
    program = await gateway(rules=[{**hook, "duplicate": "accept", "answers": {"accepted": accepted}}])
    upstream.script(behaviours.answer(200, [("Content-Type", "text/plain")], b"[accepted]"))
    sent = {
        "notificationItems": [{"NotificationRequestItem": {"pspReference": "PSP777", "eventCode": "AUTHORISATION"}}]
    }
    answers = [await post(program, "/webhooks/adyen", sent) for _ in range(2)]
    assert [(seen.status, seen.body) for seen in answers] == [(200, b"[accepted]")] * 2
    assert answers[1].header("Content-Type") == "text/plain"
    assert answers[1].header("Idempotency-Status") == "accepted"
    assert answers[1].header("Proxy-Status") is None
    assert (await program.wait_for_log(outcome="accepted"))["status"] == 200
    assert len(upstream.requests) == 1


async def test_an_accepted_duplicate_says_in_its_shape_what_a_duplicate_would(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    body = '{"at": "{existingResourceLink}", "code": "{slug}", "text": "{title}. {detail}", "status": {status}}'
    shape = {"content_type": "application/vnd.x+json", "headers": {"X-Code": "again"}, "body": body}
    program = await gateway(
        rules=[orders({"accepted": shape}, duplicate="accept", accept_status=202, resource="header.Location")]
    )
    upstream.script(behaviours.answer(201, [("Location", "/orders/7")]))
    await send(program, 7, ADA)
    for caller, link in ((ADA, "/orders/7"), (BOB, "")):
        seen = await send(program, 7, caller, ("Accept", "text/html"))
        assert (seen.status, seen.header("Idempotency-Status"), seen.header("X-Code")) == (202, "accepted", "again")
        assert seen.header("Link") == (f'<{link}>; rel="related"' if link else None)
        assert seen.header("Content-Type") == "application/vnd.x+json"
        assert seen.header("Vary") is None
        assert seen.json() == {
            "at": link,
            "code": "accepted",
            "text": 'Already created. A resource with the same "number" was created before.',
            "status": 202,
        }
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_accepted_duplicate_with_header_fields_alone_stays_what_it_is(
    upstream: RawUpstream, gateway: StartGateway, status: int
) -> None:
    shape = {"accepted": {"headers": {"X-Code": "again"}}}
    program = await gateway(rules=[orders(shape, duplicate="accept", accept_status=status)])
    await send(program)
    seen = await send(program)
    assert (seen.status, seen.header("X-Code")) == (status, "again")
    if status == 204:
        assert (seen.body, seen.header("Content-Type"), seen.header("Vary")) == (b"", None, None)
    else:
        assert (seen.header("Content-Type"), seen.header("Vary")) == ("application/json", "Accept")
        assert seen.json()["conflictField"] == "number"


async def test_where_nobody_can_say_who_may_know_a_duplicate_is_no_success_but_has_its_shape(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    answers = {"duplicate": ERROR, "accepted": {"content_type": "text/plain", "body": "ok"}}
    program = await gateway(rules=[orders(answers, duplicate="accept", authorize={"path": "/me", "cache": "0s"})])
    upstream.script(behaviours.answer(201), behaviours.answer(500), behaviours.answer(200))
    await send(program, 7, ADA)
    unclear = await send(program, 7, ADA)
    assert (unclear.status, unclear.json()) == (409, {"error": {"code": "duplicate", "status": 409}})
    assert (await send(program, 7, ADA)).body == b"ok"


async def test_the_refusal_of_the_api_to_a_caller_who_may_not_know_keeps_its_own_form(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders({"duplicate": ERROR}, authorize={"path": "/me"})])
    upstream.script(behaviours.answer(201), behaviours.answer(403, [("X-Of", "api")], b"no"))
    await send(program, 7, ADA)
    seen = await send(program, 7, BOB, ("Accept", "text/html"))
    assert (seen.status, seen.header("X-Of"), seen.body) == (403, "api", b"no")


async def test_a_message_that_is_delivered_again_is_acknowledged_in_xml(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Twilio delivers again what it gets no 2xx for, with the same token."""
    token = entry("header.I-Twilio-Idempotency-Token", name="message")
    accepted = {"status": 200, "content_type": "text/xml", "body": "<Response/>"}
    program = await gateway(rules=[rule("sms", "/sms", token, answers={"duplicate": accepted})])
    upstream.script(behaviours.answer(200, [("Content-Type", "text/xml")], b"<Response/>"))
    fields = [("Content-Type", "application/x-www-form-urlencoded"), ("I-Twilio-Idempotency-Token", "t-1")]
    async with Client(program.port) as client:
        for _ in range(2):
            seen = await client.request("POST", "/sms", fields, b"MessageSid=SM00aa11&From=%2B1555")
            assert (seen.status, seen.header("Content-Type"), seen.body) == (200, "text/xml", b"<Response/>")
    assert len(upstream.requests) == 1


async def test_what_belongs_to_the_answer_stays_on_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    answers = {"in-progress": {**ERROR, "status": 423, "headers": {"X-Code": "busy"}}}
    program = await gateway(rules=[orders(answers, reject_after="0s")])
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(send(program))
    await held.waiting.reach(1)
    seen = await send(program, 7, ("X-Request-Id", "id-1"), ("Accept", "text/html"))
    held.release()
    await first
    assert (seen.status, seen.json()) == (423, {"error": {"code": "in-progress", "status": 423}})
    assert seen.header("Retry-After") == "1"
    assert seen.header("Cache-Control") == "no-store"
    assert seen.header("Idempotency-Status") == "in-progress"
    assert seen.header("X-Request-Id") == "id-1"
    assert seen.header("X-Code") == "busy"
    assert seen.header("Content-Type") == "application/json"
    assert seen.header("Vary") is None
    assert seen.header("Proxy-Status") == 'idempotency-gateway; error=http_request_denied; details="in-progress"'
    line = await program.wait_for_log(outcome="in-progress")
    assert line["status"] == 423


async def test_each_answer_of_a_create_has_the_shape_that_its_rule_gives_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    slugs = ("duplicate", "outcome-unknown", "key-reused", "key-malformed", "missing-identity", "body-too-large")
    program = await gateway(rules=[orders(dict.fromkeys(slugs, ERROR), key={}, body_limit="1000B")])
    upstream.script(behaviours.close_without_answer())
    key = ("Idempotency-Key", "k-1")
    told = [
        await send(program, 7, key),
        await send(program, 7, key),
        await send(program, 8, key),
        await send(program, 9, ("Idempotency-Key", "")),
        await send(program, None),
        await send(program, "x" * 1000),
        await send(program, None),
    ]
    seen = [(answer.status, answer.json()["error"]["code"], answer.json()["error"]["status"]) for answer in told[:-3]]
    assert seen == [
        (502, "outcome-unknown", 502),
        (409, "outcome-unknown", 409),
        (422, "key-reused", 422),
        (400, "key-malformed", 400),
    ]
    large = told[-2]
    assert (large.status, large.json()["error"]["code"], large.header("Connection")) == (413, "body-too-large", "close")
    assert len(upstream.requests) == 2, "null is an identity of its own"


async def test_an_api_that_is_not_there_is_told_of_in_its_language_too(gateway: StartGateway) -> None:
    with refused_port() as port:
        program = await gateway(
            rules=[orders({"upstream-unreachable": ERROR})], upstream={"url": f"http://127.0.0.1:{port}"}
        )
        seen = await send(program)
    assert (seen.status, seen.json()) == (502, {"error": {"code": "upstream-unreachable", "status": 502}})
    assert seen.header("Retry-After") == "1"


async def test_other_answers_and_other_rules_stay_problems(upstream: RawUpstream, gateway: StartGateway) -> None:
    plain = rule("user", "/users", entry("body.number", name="number"))
    program = await gateway(rules=[orders({"duplicate": ERROR}), plain])
    for path in ("/orders", "/users"):
        await post(program, path, {"number": 7})
    again = await post(program, "/users", {"number": 7})
    assert (again.status, again.slug) == (409, "duplicate")
    expect_proxy_status(again, "http_request_denied")
    assert (await post(program, "/orders", {})).slug == "missing-identity"
    assert (await send(program)).slug is None


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_a_body_leaves_the_connection_in_order(
    upstream: RawUpstream, gateway: StartGateway, status: int
) -> None:
    program = await gateway(rules=[orders({"duplicate": {"status": status}})])
    await send(program)
    async with Client(program.port) as client:
        for _ in range(3):
            body = json.dumps({"number": 7}).encode()
            seen = await client.request("POST", "/orders", [("Content-Type", "application/json")], body)
            assert (seen.status, seen.body, seen.header("Content-Type")) == (status, b"", None)
        assert (await client.request("GET", "/orders")).status == 200
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("link", ["caller", "anyone", "nobody"])
async def test_the_link_stands_only_where_this_caller_may_see_it(
    upstream: RawUpstream, gateway: StartGateway, link: str
) -> None:
    shape = {"content_type": "text/xml", "body": '<error at="{existingResourceLink}">{detail}</error>'}
    program = await gateway(rules=[orders({"duplicate": shape}, resource="header.Location", link=link)])
    upstream.script(behaviours.answer(201, [("Location", '/orders/7?a=1&b="2"')]))
    await send(program, 7, ADA)
    for caller, sees in ((ADA, link != "nobody"), (BOB, link == "anyone"), (ADA, link != "nobody")):
        told = ET.fromstring((await send(program, 7, caller)).body)
        assert told.get("at") == ('/orders/7?a=1&b="2"' if sees else "")
        assert told.text == 'A resource with the same "number" was created before.'


async def test_a_reload_changes_the_shape(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders({"duplicate": {"status": 200}})])
    await send(program)
    assert (await send(program)).status == 200
    text = program.file.read_text(encoding="utf-8").replace("status = 200", "status = 202")
    program.file.write_text(text, encoding="utf-8")
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    seen = await send(program)
    assert (seen.status, seen.json()["status"], seen.slug) == (202, 202, "duplicate")


async def test_a_create_whose_body_is_held_back_gets_the_shape_too(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    by_header = rule("order", "/orders", entry("header.X-Number"), answers={"duplicate": ERROR})
    program = await gateway(rules=[by_header])
    fields = [("X-Number", "7"), ("Content-Length", "3"), ("Expect", "100-continue")]
    await post(program, "/orders", {}, ("X-Number", "7"))
    async with Client(program.port) as client:
        seen = await client.request("POST", "/orders", fields)
    assert (seen.status, seen.json()["error"]["code"], seen.interim) == (409, "duplicate", [])


async def test_no_value_of_an_identity_is_in_a_shaped_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    every = {"content_type": "text/plain", "body": " ".join([f"{{{member}}}" for member in MEMBERS])}
    shapes = {slug: every for slug in ("duplicate", "missing-identity", "key-reused")}  # noqa: C420
    program = await gateway(rules=[orders(shapes, key={})])
    canary = "canary-7c1e"
    key = ("Idempotency-Key", canary)
    answers = [await send(program, value, key) for value in (canary, canary, f"{canary}-2", canary * 200)]
    answers.append(await post(program, "/orders", {"Number": canary}, ("Authorization", canary)))
    assert [seen.status for seen in answers] == [201, 409, 422, 422, 422]
    assert [seen for seen in answers[1:] if canary.encode() in seen.body or canary.encode() in seen.raw_head] == []
