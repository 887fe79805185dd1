# config/webhooks.toml, run: each sender's delivery reaches the endpoint once, and is a success each time.

import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
import tomli_w

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import post
from tests.support.upstream import RawUpstream

FILE = ROOT / "config" / "webhooks.toml"


@dataclass(frozen=True)
class Delivery:
    """What a sender delivers, and another delivery of it that differs only in what tells the two apart."""

    path: str
    fields: tuple[tuple[str, str], ...] = ()
    body: dict[str, Any] = field(default_factory=dict)
    others_fields: tuple[tuple[str, str], ...] = ()
    others_body: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    """What the delivery gets when it comes again."""
    text: str | None = None
    """The text that the sender waits for, if any."""


def adyen(event: str) -> dict[str, Any]:
    item = {"pspReference": "8535296650153317", "eventCode": event, "success": "true", "merchantReference": "o-1"}
    return {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}


DELIVERIES = {
    "standard": Delivery(
        "/webhooks/standard",
        (("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330")),
        {"type": "invoice.paid"},
        (("webhook-id", "msg_2b"), ("webhook-timestamp", "1614265330")),
        {"type": "invoice.paid"},
    ),
    "github": Delivery(
        "/webhooks/github",
        (("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"), ("X-GitHub-Event", "push")),
        {"ref": "refs/heads/main"},
        (("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0959"), ("X-GitHub-Event", "push")),
        {"ref": "refs/heads/main"},
        status=202,
    ),
    "stripe": Delivery(
        "/webhooks/stripe/billing", (), {"id": "evt_1", "object": "event"}, (), {"id": "evt_2", "object": "event"}
    ),
    "shopify": Delivery(
        "/webhooks/shopify",
        (("X-Shopify-Webhook-Id", "b54557e4"), ("X-Shopify-Shop-Domain", "one.myshopify.com")),
        {"id": 820982911946154508},
        (("X-Shopify-Webhook-Id", "b54557e4"), ("X-Shopify-Shop-Domain", "two.myshopify.com")),
        {"id": 820982911946154508},
    ),
    "slack": Delivery(
        "/webhooks/slack",
        (("X-Slack-Retry-Num", "1"),),
        {"type": "event_callback", "event_id": "Ev9UQ52YNA"},
        (),
        {"type": "event_callback", "event_id": "Ev9UQ52YNB"},
    ),
    "adyen": Delivery("/webhooks/adyen", (), adyen("AUTHORISATION"), (), adyen("CAPTURE"), text="[accepted]"),
}


async def run(gateway: StartGateway, api: RawUpstream) -> GatewayProgram:
    """Run the file, but for the addresses in it."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    tables["server"]["listen"] = "127.0.0.1:0"
    tables["admin"] = {"listen": "127.0.0.1:0"}
    tables["upstream"]["url"] = api.url
    return await gateway(tomli_w.dumps(tables))


def told(seen: Response) -> tuple[int, str | None]:
    return seen.status, seen.header("Idempotency-Status")


def test_there_is_a_delivery_for_each_rule() -> None:
    assert [rule["name"] for rule in tomllib.loads(FILE.read_text(encoding="utf-8"))["rules"]] == list(DELIVERIES)


@pytest.mark.parametrize("sender", DELIVERIES)
async def test_a_delivery_is_worked_on_once_and_is_a_success_each_time(
    upstream: RawUpstream, gateway: StartGateway, sender: str
) -> None:
    upstream.default = behaviours.answer(200, (), b"[accepted]")
    program = await run(gateway, upstream)
    sent = DELIVERIES[sender]
    assert told(await post(program, sent.path, sent.body, *sent.fields)) == (200, "created")
    for _ in range(2):
        seen = await post(program, sent.path, sent.body, *sent.fields)
        assert told(seen) == (sent.status, "accepted")
        if sent.text is not None:
            assert (seen.header("Content-Type"), seen.body.decode()) == ("text/plain", sent.text)
        else:
            assert seen.json()["rule"] == sender
    assert len(upstream.requests) == 1
    assert told(await post(program, sent.path, sent.others_body, *sent.others_fields)) == (200, "created")
    assert len(upstream.requests) == 2
    line = await program.wait_for_log(event="request", outcome="accepted")
    assert line["rule"] == sender


@pytest.mark.parametrize("sender", DELIVERIES)
async def test_a_forged_delivery_uses_up_no_id_and_one_that_failed_is_no_success(
    upstream: RawUpstream, gateway: StartGateway, sender: str
) -> None:
    program = await run(gateway, upstream)
    sent = DELIVERIES[sender]
    upstream.script(behaviours.answer(401), behaviours.answer(500))
    assert told(await post(program, sent.path, sent.body, *sent.fields)) == (401, "refused")
    assert told(await post(program, sent.path, sent.body, *sent.fields)) == (500, "unknown")
    assert told(await post(program, sent.path, sent.body, *sent.fields)) == (409, "unknown")
    assert len(upstream.requests) == 2


async def test_the_handshake_of_slack_passes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await run(gateway, upstream)
    challenge = {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    for _ in range(2):
        seen = await post(program, "/webhooks/slack", challenge)
        assert told(seen) == (201, "unguarded; reason=missing-identity")
