"""The demo page as people use it; and a picture of it, for the documentation.

`KTOR_CLIENT_SCREENSHOT=docs/assets/browser-demo.png` says where the picture goes.
"""

import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from ktor_client.cli.browser_demo import demo_server

from .harness import Harness
from .lane import CACHE, PYODIDE

START_MS = 60_000.0


@asynccontextmanager
async def demo_page(harness: Harness) -> AsyncGenerator[Page]:
    """The page with its Python started; leaving it fails when the page had an error."""
    errors: list[str] = []
    server = demo_server(PYODIDE)
    await server.start()
    try:
        page = await harness.context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.goto(f"{server.http_url}/demo/")
        await expect(page.locator("#connect")).to_be_enabled(timeout=START_MS)
        yield page
        assert errors == []
        await page.close()
    finally:
        await server.close()


async def connect(page: Page) -> None:
    await page.click("#connect")
    await expect(page.locator("#status")).to_have_text("connected")


async def say(page: Page, text: str, *, heard: str | None = None) -> None:
    await page.fill("#message", text)
    await page.click("#send")
    await expect(page.locator("#frames .received").last).to_contain_text(heard or text)


@pytest.mark.timeout(180)
def test_chat(harness: Harness) -> None:
    async def use() -> None:
        async with demo_page(harness) as page:
            await connect(page)
            await say(page, "Grüße from Python in your browser")
            await say(page, "The same code runs on aiohttp, on httpx and in tests.")
            await page.check("#binary")
            await say(page, "bytes too", heard="62 79 74 65 73 20 74 6f 6f")
            await expect(page.locator("#frames .sent")).to_have_count(3)
            CACHE.mkdir(exist_ok=True)
            picture = Path(os.environ.get("KTOR_CLIENT_SCREENSHOT", CACHE / "browser-demo.png"))
            await page.screenshot(path=picture)
            assert picture.stat().st_size > 20_000
            await page.click("#connect")
            await expect(page.locator("#status")).to_have_text("not connected")

    harness.call(use())


@pytest.mark.timeout(180)
def test_programs_are_edited_and_run(harness: Harness) -> None:
    async def use() -> None:
        async with demo_page(harness) as page:
            await page.select_option("#program", "typed.py")
            await expect(page.locator("#code")).to_have_value(re.compile("class Order"))
            await page.click("#run")
            await expect(page.locator("#console")).to_contain_text("the same: True")
            await page.select_option("#program", "hello.py")
            await expect(page.locator("#code")).to_have_value(re.compile('"/hello"'))
            await page.click("#run")
            await expect(page.locator("#frames .received").last).to_contain_text("hello from")
            await page.fill("#code", "async def main():\n    print(6 * 7)")
            await page.press("#code", "Control+Enter")
            await expect(page.locator("#console")).to_contain_text("42")
            await page.fill("#code", "async def main():\n    1 / 0")
            await page.click("#run")
            await expect(page.locator("#console .error").last).to_contain_text("ZeroDivisionError")
            await expect(page.locator("#status")).to_have_text("failed")

    harness.call(use())


@pytest.mark.timeout(180)
def test_a_server_that_is_not_there(harness: Harness) -> None:
    async def use() -> None:
        async with demo_page(harness) as page:
            await page.fill("#url", "ws://127.0.0.1:9/")
            await page.click("#connect")
            await expect(page.locator("#frames .failed")).to_contain_text("ConnectError")
            await expect(page.locator("#connect")).to_have_text("Connect")

    harness.call(use())
