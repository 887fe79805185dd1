# The gateway's own answers to people: who posts a form twice, or follows a link to nowhere, gets a page.

from urllib.parse import urlencode

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, rule
from tests.support.upstream import RawUpstream

NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
CART = rule("place-order", "/checkout/{cart}/place", entry("path.cart", name="cart"), resource="header.Location")
PLACED = behaviours.answer(303, [("Location", "/orders/7?a=1&b=<2>")])


async def submit(program: GatewayProgram, accept: str | None = NAVIGATION, cart: str = "cart7") -> Response:
    fields = [FORM] if accept is None else [FORM, ("Accept", accept)]
    async with Client(program.port) as client:
        return await client.request("POST", f"/checkout/{cart}/place", fields, urlencode({"pay": "card"}).encode())


async def test_a_form_that_is_posted_twice_shows_a_page_that_links_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(PLACED)
    program = await gateway(rules=[CART])
    assert (await submit(program)).status == 303
    seen = await submit(program)
    assert (seen.status, seen.header("Content-Type")) == (409, "text/html; charset=utf-8")
    text = seen.body.decode()
    assert text.startswith("<!doctype html>")
    assert "<h1>Already created</h1>" in text
    assert "A resource with the same &quot;cart&quot; was created before." in text
    assert "Do not send it again. Use the existing resource." in text
    assert '<a href="/orders/7?a=1&amp;b=&lt;2&gt;">' in text
    assert "409 duplicate" in text
    assert "script" not in text
    assert (seen.header("Content-Security-Policy") or "").startswith("default-src 'none'; style-src 'sha256-")
    assert seen.header("Vary") == "Accept"
    assert seen.header("Idempotency-Status") == "duplicate"
    assert seen.header("Cache-Control") == "no-store"
    assert seen.header("Proxy-Status") == 'idempotency-gateway; error=http_request_denied; details="duplicate"'
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json, text/html", "text/html;q=0"])
async def test_a_program_gets_the_problem(upstream: RawUpstream, gateway: StartGateway, accept: str | None) -> None:
    program = await gateway(rules=[CART])
    await submit(program)
    seen = await submit(program, accept)
    assert (seen.slug, seen.header("Content-Type")) == ("duplicate", "application/problem+json")
    assert seen.header("Vary") == "Accept"


async def test_the_page_links_to_nothing_that_this_caller_may_not_see(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(PLACED)
    program = await gateway(rules=[{**CART, "link": "nobody"}])
    await submit(program)
    assert "<a" not in (await submit(program)).body.decode()


async def test_the_body_of_a_rule_s_own_wins_over_the_page_and_a_status_of_its_own_does_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[
            {
                **CART,
                "answers": {
                    "duplicate": {"content_type": "text/plain", "body": "{slug}"},
                    "outcome-unknown": {"status": 410, "headers": {"X-Code": "gone"}},
                },
            }
        ]
    )
    await submit(program)
    seen = await submit(program)
    assert (seen.body, seen.header("Content-Type"), seen.header("Vary")) == (b"duplicate", "text/plain", None)
    upstream.script(behaviours.close_without_answer())
    seen = await submit(program, cart="cart8")
    assert (seen.status, seen.header("X-Code")) == (410, "gone")
    assert b"<small>410 outcome-unknown</small>" in seen.body


async def test_every_problem_has_a_page_and_its_head_goes_without_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[CART])
    fields = [("Accept", NAVIGATION)]
    async with Client(program.port) as client:
        odd = await client.request("POST", "//checkout/cart7/place", fields, b"")
        assert (odd.status, b"ambiguous-path" in odd.body) == (400, True)
    guarded = {**CART, "match": {"path": "/checkout/{cart}/place", "methods": ["HEAD"]}}
    program = await gateway(rules=[guarded])
    async with Client(program.port) as client:
        await client.request("HEAD", "/checkout/cart7/place", fields)
        seen = await client.request("HEAD", "/checkout/cart7/place", fields)
        assert (seen.status, seen.header("Content-Type"), seen.body) == (409, "text/html; charset=utf-8", b"")
        assert int(seen.header("Content-Length") or 0) > 1000
        assert (await client.request("GET", "/")).status == 200
