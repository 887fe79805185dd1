# The operator's page in a real browser: Debian's Chromium, driven by Playwright.

import contextlib
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.support.program import GatewayProgram

CHROMIUM = shutil.which("chromium")
LACKS = (
    "no chromium"
    if CHROMIUM is None
    else "no playwright (the extra `browser`)"
    if importlib.util.find_spec("playwright") is None
    else None
)
"""Why no page can be opened here; None where one can."""
OpenPage = Callable[..., Awaitable[Any]]


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[OpenPage]:
    """What opens the page of a gateway. At the end no page may have had an error, or broken its own policy."""
    from playwright.async_api import async_playwright

    complaints: list[str] = []
    expected: list[str] = []

    async def opened(program: GatewayProgram, *, errors: tuple[str, ...] = (), **how: Any) -> Any:
        page = await chromium.new_page(**{"viewport": {"width": 1280, "height": 900}, **how})
        expected.extend(errors)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
        )
        await page.goto(f"http://127.0.0.1:{program.admin_port}/")
        return page

    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-proxy-server"])
        yield opened
        await chromium.close()
    assert [text for text in complaints if not any(each in text for each in expected)] == []


async def is_shown(page: Any, selector: str, text: str) -> None:
    """Wait until an element has a text, in this case of letters."""
    await page.locator(selector, has_text=re.compile(re.escape(text))).first.wait_for()
