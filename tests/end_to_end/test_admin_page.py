# The operator's page in a real browser: Debian's Chromium, driven by Playwright. And axe, which finds what a screen
# reader, a keyboard or a weak eye would stumble over.

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import create
from tests.support.page import LACKS, OpenPage, browser, is_shown
from tests.support.program import create_user_rule, rules
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import RawUpstream

axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="no axe (the extra `browser`)")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(LACKS is not None, reason=str(LACKS))]
HOSTILE = "<img src=x onerror=window.harmed=1>"
TOKEN = "a-token-of-more-than-thirty-two-characters"


@pytest.fixture
async def open_page(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenPage]:
    """Open the page of a gateway. At the end no page may have had an error, or broken its own policy."""
    monkeypatch.setenv("NO_PROXY", "*")
    async with browser() as opened:
        yield opened


async def stumbles(page: Any) -> list[str]:
    """What axe finds."""
    found = (await axe.Axe().run(page)).response["violations"]
    return [f"{each['impact']} {each['id']}: {each['nodes'][0]['html']}" for each in found]


async def test_a_create_whose_answer_got_lost_is_found_and_settled_on_the_page(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    """It shows at once, is found by its body, and is settled with a link and a reason."""
    program = await gateway()
    page = await open_page(program)
    await is_shown(page, "#live", "Live")
    await is_shown(page, "#claims .nothing", "No create is blocked")
    upstream.script(behaviours.reset_after_request())
    assert (await create(program.port, "ada@example.org")).status == 502
    await is_shown(page, "#claims tbody tr", "create-user")
    await is_shown(page, "#unknown-count", "1")
    await is_shown(page, ".tile.unknown", "1 in the last hour")
    assert await page.title() == "(1) Idempotency gateway"
    assert (await create(program.port, "ada@example.org")).status == 409
    await is_shown(page, "#conflicts tbody tr", "email")

    await page.get_by_label("Path and query").fill("/users")
    await page.get_by_label("Body").fill('{"email": " Ada@Example.org"}')
    await page.get_by_role("button", name="Find").click()
    await is_shown(page, "#found tbody tr", "Unknown")
    await page.locator("#found").get_by_role("button", name="Settle").click()
    dialog = page.get_by_role("dialog", name="Settle as created")
    await dialog.get_by_label("Link").fill("/users/42")
    await dialog.get_by_role("button", name="Settle as created").click()
    assert await dialog.is_visible(), "a reason is asked for"
    await dialog.get_by_label("Reason").fill("it is in the table")
    await dialog.get_by_role("button", name="Settle as created").click()
    await dialog.wait_for(state="hidden")
    await is_shown(page, "#claims .nothing", "No create is blocked")
    await is_shown(page, "#found tbody tr", "Created")
    await is_shown(page, "#audit li", "it is in the table")
    assert (await create(program.port, "ada@example.org")).json()["existingResourceLink"] == "/users/42"
    (line,) = [line for line in program.log if line.get("event") == "audit"]
    assert (line["action"], line["reason"]) == ("settle", "it is in the table")
    assert "ada@example.org" not in program.whole_output.lower()


async def test_release_by_keyboard_frees_all_that_the_create_held(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    """And nothing that another one holds."""
    unique = [entry("body.email", name="email"), entry("body.username", name="username")]
    program = await gateway(rules=[create_user_rule(unique=unique)])
    users = [{"email": f"{name}@example.org", "username": name} for name in ("ada", "bob")]
    upstream.script(behaviours.reset_after_request(), behaviours.reset_after_request())
    assert [(await post(program, "/users", user)).status for user in users] == [502, 502]
    page = await open_page(program)
    await is_shown(page, "#unknown-count", "4")
    of_email = page.locator("#claims tbody tr", has_text="· email").first
    await of_email.get_by_role("button", name="Release").focus()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "act-reason"
    await page.keyboard.type("the API has no such user")
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.textContent.startsWith('Release')"), "focus goes back"
    assert [(await post(program, "/users", user)).status for user in users] == [409, 409], "nothing was done"
    await page.keyboard.press("Enter")
    await is_shown(page, "#act-others-text", "Also the other claim of the same create: username")
    await page.keyboard.type("the API has no such user")
    for key in ("Tab", "Tab", "Tab", "Enter"):
        await page.keyboard.press(key)
    await is_shown(page, "#said", "Released ")
    await is_shown(page, "#unknown-count", "2")
    assert sorted([(await post(program, "/users", user)).status for user in users]) == [201, 409]
    assert sum(line.get("event") == "audit" for line in program.log) == 2


async def test_nothing_that_others_wrote_is_taken_for_markup(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    """Names in the rules file, reasons, and links; and no link leads to a script."""
    links = [
        "javascript:window.harmed=1",
        "https://api.example/users/1",
        "/users/2",
        "//evil.example",
        "<i>/users/3</i>",
    ]
    hostile = create_user_rule(name=HOSTILE, unique=[entry("body.email", name=HOSTILE)], resource="header.Location")
    program = await gateway(rules=[hostile])
    page = await open_page(program)
    for number, link in enumerate(links):
        upstream.script(behaviours.answer(201, [("Location", link)]))
        assert (await create(program.port, f"user{number}")).status == 201
    upstream.script(behaviours.reset_after_request())
    assert (await create(program.port, "lost")).status == 502
    assert (await create(program.port, "lost")).status == 409
    await is_shown(page, "#claims tbody tr", HOSTILE)
    await is_shown(page, "#conflicts tbody tr", HOSTILE)
    await is_shown(page, "#rules summary", HOSTILE)
    await page.get_by_label("Path and query").fill("/users")
    followed = []
    for number, link in enumerate(links):
        await page.get_by_label("Body").fill(f'{{"email": "user{number}"}}')
        await page.get_by_role("button", name="Find").click()
        await page.locator("#found").get_by_text(link, exact=True).wait_for()
        followed += await page.locator("#found a").evaluate_all("(all) => all.map((each) => each.href)")
    assert followed == ["https://api.example/users/1"]
    await page.locator("#claims-list").get_by_role("button", name="Release").click()
    await page.get_by_label("Reason").fill(f"{HOSTILE} <script>window.harmed=1</script>")
    await page.locator("#act-do").click()
    await is_shown(page, "#audit li .reason", HOSTILE)
    assert await page.evaluate("window.harmed") is None
    assert await page.locator("main img, main script").count() == 0


async def test_the_token_is_asked_for_and_stays_in_the_tab(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    program = await gateway(admin={"listen": "127.0.0.1:0", "token": TOKEN})
    page = await open_page(program, errors=("401",))
    dialog = page.get_by_role("dialog", name="This gateway asks for a token")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for token, problem in (("not-the-one-that-is-in-the-rules-file", "It is not the right one."), (TOKEN, None)):
        await dialog.get_by_label("Token").fill(token)
        await dialog.get_by_role("button", name="Go on").click()
        if problem:
            await is_shown(page, "#ask-error", problem)
    await dialog.wait_for(state="hidden")
    await is_shown(page, "#live", "Live")
    await is_shown(page, "#health", "sqlite")
    assert not any("token" in url for url in asked)
    await page.reload()
    await is_shown(page, "#live", "Live")
    assert not await dialog.is_visible()
    assert await page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    await page.get_by_role("button", name="Forget token").click()
    await dialog.wait_for()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_it_can_be_read_by_all_on_any_screen(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    program = await gateway()
    upstream.script(behaviours.reset_after_request())
    assert (await create(program.port, "lost")).status == 502
    assert (await create(program.port, "lost")).status == 409
    grounds = {"light": "rgb(243, 244, 246)", "dark": "rgb(16, 18, 21)"}
    for width, scheme in itertools.product((360, 1280), grounds):
        page = await open_page(program, viewport={"width": width, "height": 740}, color_scheme=scheme)
        await is_shown(page, "#live", "Live")
        await is_shown(page, "#claims tbody tr", "create-user")
        await is_shown(page, "#conflicts tbody tr", "email")
        await page.locator("#rules summary").click()
        assert await page.evaluate("document.documentElement.scrollWidth") == width, "nothing is cut off"
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[scheme]
        assert await stumbles(page) == []
        await page.locator("#claims-list").get_by_role("button", name="Settle").click()
        box = await page.get_by_role("dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert await stumbles(page) == []
        await page.close()


async def test_it_says_when_the_gateway_drains_and_comes_back_with_it(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    """And a create in flight is shown, and nothing can be done about it."""
    program = await gateway()
    page = await open_page(program, errors=("ERR_",))
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    await is_shown(page, "#in_flight-count", "1")
    await page.locator("#claims .switch").get_by_text("In flight").click()
    await is_shown(page, "#claims tbody tr", "under way")
    assert await page.locator("#claims-list button").count() == 0
    stopping = asyncio.create_task(program.stop())
    await is_shown(page, "#ready", "Not ready: starting or draining")
    held.release()
    assert (await creating).status == 201
    assert await stopping == 0
    await is_shown(page, "#live", "Not live")
    admin = {"listen": f"127.0.0.1:{program.admin_port}"}
    await program.restart(rules(upstream.url, admin=admin))
    await is_shown(page, "#live", "Live")
    await is_shown(page, "#ready", "Ready")
    await is_shown(page, "#claims .nothing", "No create is in flight")


async def test_a_batch_of_more_items_than_may_be_changed_at_once_is_freed(
    upstream: RawUpstream, gateway: StartGateway, open_page: OpenPage
) -> None:
    """The listener takes 20 changes a second; the page waits, and goes on."""
    program = await gateway(
        rules=[rule("create-users", "/users", entry("item.email", name="email"), each="body.items")]
    )
    batch = {"items": [{"email": f"user{number}"} for number in range(25)]}
    upstream.script(behaviours.reset_after_request())
    assert (await post(program, "/users", batch)).status == 502
    page = await open_page(program, errors=("429",))
    await page.locator("#claims-list").get_by_role("button", name="Release").first.click()
    await is_shown(page, "#act-others-text", "the 24 other claims of the same create: email")
    await page.get_by_label("Reason").fill("the API rolled it back")
    await page.locator("#act-do").click()
    await is_shown(page, "#claims .nothing", "No create is blocked")
    assert (await post(program, "/users", batch)).status == 201
