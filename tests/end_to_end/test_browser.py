# What people and pages in a real browser get of the gateway's own answers: Debian's Chromium, driven by Playwright.

import asyncio
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, rule
from tests.support.upstream import Behaviour, Call, RawUpstream, perform

playwright = pytest.importorskip("playwright.async_api", reason="no playwright (the extra `browser`)")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium")]
HTML = [("Content-Type", "text/html; charset=utf-8")]
FORM = """<!doctype html><title>Cart</title>
<form method="post" action="/checkout/cart7/place"><button>Place order</button></form>"""
THANKS = "<!doctype html><title>Thank you</title><h1>Thank you</h1>"
CREATE = """async ([url, key]) => {
  const headers = { "Content-Type": "application/json", Authorization: "Bearer ada", "Idempotency-Key": key };
  try {
    const answer = await fetch(url, { method: "POST", headers, body: '{"externalId": "z"}', credentials: "include" });
    const names = ["Idempotency-Status", "Idempotent-Replayed", "Retry-After"];
    return { status: answer.status, text: await answer.text(), told: names.map((name) => answer.headers.get(name)) };
  } catch (error) {
    return { failed: String(error) };
  }
}"""


@pytest.fixture
async def browser(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("NO_PROXY", "*")
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-proxy-server"])
        yield chromium
        await chromium.close()


@pytest.fixture
async def site() -> AsyncIterator[RawUpstream]:
    """Where pages come from: another origin than that of the gateway."""
    async with RawUpstream(behaviours.answer(200, HTML, b"<!doctype html><title>App</title>")) as server:
        yield server


def open_to(*origins: str) -> Behaviour:
    """An API that lets pages of these origins read its answers, as such APIs do."""

    async def act(call: Call) -> None:
        asking = call.request.header("Origin")
        assert asking in origins
        allows = [("Access-Control-Allow-Origin", asking), ("Access-Control-Allow-Credentials", "true")]
        if call.request.method == "OPTIONS":
            names = call.request.header("Access-Control-Request-Headers") or ""
            await perform(behaviours.answer(204, [*allows, ("Access-Control-Allow-Headers", names)]), call)
        else:
            await perform(behaviours.answer(201, allows, b"made"), call)

    return act


async def create(browser: Any, origin: str, program: GatewayProgram, key: str) -> dict[str, Any]:
    """Send a create from a page of `origin`; what the page could read."""
    page = await browser.new_page()
    await page.goto(origin)
    seen: dict[str, Any] = await page.evaluate(CREATE, [f"http://127.0.0.1:{program.port}/contacts", key])
    await page.close()
    return seen


CONTACTS = rule("contact", "/contacts", entry("body.externalId"), key={}, retry="replay")


async def test_a_page_on_another_origin_reads_status_and_body_of_a_409_and_of_a_replay(
    browser: Any, site: RawUpstream, upstream: RawUpstream, gateway: StartGateway
) -> None:
    async with RawUpstream(site.default) as second_site:
        origins = [f"http://localhost:{server.port}" for server in (site, second_site)]
        upstream.default = open_to(*origins)
        program = await gateway(rules=[CONTACTS], cors={"origins": origins})
        first = await create(browser, origins[0], program, "k-1")
        assert (first["status"], first["text"]) == (201, "made")
        duplicate = await create(browser, origins[0], program, "k-2")
        assert (duplicate["status"], duplicate["told"]) == (409, ["duplicate", None, None])
        assert '"type":"urn:problem-type:gateway:duplicate"' in duplicate["text"]
        replay = await create(browser, origins[1], program, "k-1")
        assert (replay["status"], replay["text"], replay["told"]) == (201, "made", ["replayed", "true", None])
    assert sum(request.method == "POST" for request in upstream.requests) == 1


async def test_a_page_that_is_not_listed_reads_nothing(
    browser: Any, site: RawUpstream, upstream: RawUpstream, gateway: StartGateway
) -> None:
    origin = f"http://localhost:{site.port}"
    upstream.default = open_to(origin)
    program = await gateway(rules=[CONTACTS], cors={"origins": ["https://app.example"]})
    assert (await create(browser, origin, program, "k-1"))["status"] == 201
    assert await create(browser, origin, program, "k-2") == {"failed": "TypeError: Failed to fetch"}


async def shop(call: Call) -> None:
    """A shop with one form, whose create takes until the test says so."""
    body = {"/cart": FORM, "/thanks": THANKS}.get(call.request.target, "")
    if call.request.method == "POST":
        await perform(behaviours.answer(303, [("Location", "/thanks")]), call)
    else:
        await perform(behaviours.answer(200 if body else 404, HTML, body.encode()), call)


CART = rule("place-order", "/checkout/{cart}/place", entry("path.cart", name="cart"), resource="header.Location")


async def test_a_form_posted_twice_shows_a_page_that_leads_on(
    browser: Any, upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.default = shop
    program = await gateway(rules=[CART])
    page = await browser.new_page(viewport={"width": 360, "height": 640}, color_scheme="dark")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    cart = f"http://127.0.0.1:{program.port}/cart"
    for heading in ("Thank you", "Already created"):
        await page.goto(cart)
        await page.click("button")
        await page.wait_for_selector(f"h1:has-text('{heading}')")
    assert await page.locator("small").inner_text() == "409 duplicate"
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 24)", (
        "its style is on"
    )
    assert [text for text in complaints if "Content Security Policy" in text] == []
    await page.click("a")
    await page.wait_for_selector("h1:has-text('Thank you')")
    assert sum(request.method == "POST" for request in upstream.requests) == 1


async def test_a_second_click_while_the_first_is_under_way_shows_a_page(
    browser: Any, upstream: RawUpstream, gateway: StartGateway
) -> None:
    held = behaviours.Held(behaviours.answer(303, [("Location", "/thanks")]))
    upstream.default = shop
    program = await gateway(rules=[{**CART, "reject_after": "0s"}])
    pages = [await browser.new_page() for _ in range(2)]
    for page in pages:
        await page.goto(f"http://127.0.0.1:{program.port}/cart")
    upstream.script(held)
    first = asyncio.create_task(pages[0].click("button"))
    await held.waiting.reach(1)
    await pages[1].click("button")
    await pages[1].wait_for_selector("h1:has-text('The same create is in progress')")
    held.release()
    await first
    await pages[0].wait_for_selector("h1:has-text('Thank you')")
    assert sum(request.method == "POST" for request in upstream.requests) == 1
