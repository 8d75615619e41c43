"""One thread whose event loop runs the site and Chromium; tests call into it from outside."""

import asyncio
import json
import ssl
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import trustme
from aiohttp import web
from playwright.async_api import BrowserContext, Page, async_playwright

from .lane import chromium
from .site import Site

T = TypeVar("T")

CALL_SECONDS = 170.0
CHROMIUM_OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--ignore-certificate-errors",
    "--no-first-run",
    "--no-proxy-server",
)


class PythonError(Exception):
    """Python in the browser raised; the message is its traceback, and what it printed."""


class Harness:
    """Chromium with one page at the site, whose Python and whose worker's Python tests use."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._main, name="browser harness")
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.base = ""
        """Origin of the site, by HTTP."""
        self.secure_base = ""
        """The same, by HTTPS."""
        self.site = Site()
        self.context: BrowserContext
        self.page: Page
        self._page_of_echo: Page | None = None
        self._cleanup = AsyncExitStack()

    def start(self) -> None:
        self._thread.start()
        self.call(self._wait_ready())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = CALL_SECONDS) -> T:
        """Run a coroutine on the harness's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(work, seconds), self._loop
        ).result()

    def python(self, code: str, lane: str = "page") -> Any:
        """Run Python in the browser, with top-level await; return the value of its last line."""
        return self.call(self.run_python(self.page, code, lane))

    async def run_python(self, page: Page, code: str, lane: str = "page") -> Any:
        result = await page.evaluate("([lane, code]) => run(lane, code)", [lane, code])
        if "error" in result:
            raise PythonError(f"{result['error']}\n{result['printed']}")
        return result.get("value")

    def seen(self, name: str) -> dict[str, Any]:
        """What the peer saw of the conversation with that id, once it is over."""

        async def wait() -> dict[str, Any]:
            return await self.site.seen(name)

        return self.call(wait())

    def run_tests(
        self, file: str, names: Sequence[str], lane: str, *, at_echo_server: bool = False
    ) -> dict[str, Any]:
        """Run tests of one file of `in_page/` in a lane; see `browser_lane.run_tests`.

        Args:
            file: its name.
            names: of the tests.
            lane: "page" or "worker".
            at_echo_server: on a page that comes from the package's own echo server.
        """
        code = (
            "import site, browser_lane\n"
            f"path = site.getsitepackages()[0] + '/in_page/{file}'\n"
            f"await browser_lane.run_tests(path, {list(names)!r})"
        )

        async def run() -> dict[str, Any]:
            page = await self._echo_page() if at_echo_server else self.page
            answer: dict[str, Any] = json.loads(await self.run_python(page, code, lane))
            answer["page_errors"] = await page.evaluate("() => takeErrors()")
            return answer

        return self.call(run())

    async def _echo_page(self) -> Page:
        if self._page_of_echo is None:
            server = self.site.echo_server()
            await server.start()
            self._cleanup.push_async_callback(server.close)
            self._page_of_echo = await self.open(f"{server.http_url}/page/boot.html")
        return self._page_of_echo

    async def open(self, url: str) -> Page:
        """Open another page of the same browser; the caller closes it."""
        page = await self.context.new_page()
        await page.goto(url)
        return page

    # --- on the thread ---

    def _main(self) -> None:
        # Without debug mode, which `-X dev` would turn on: this loop is not what is tested.
        with asyncio.Runner(debug=False, loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _wait_ready(self) -> None:
        await self._ready

    async def _serve(self) -> None:
        try:
            runner = web.AppRunner(self.site.app, handler_cancellation=True, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await self._listen(runner)
                await self._browse()
            finally:
                await runner.cleanup()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _listen(self, runner: web.AppRunner) -> None:
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(tls)
        for context in (None, tls):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
        plain, secure = (address[1] for address in runner.addresses)
        self.base = f"http://127.0.0.1:{plain}"
        self.secure_base = f"https://127.0.0.1:{secure}"

    async def _browse(self) -> None:
        with tempfile.TemporaryDirectory() as profile:
            async with async_playwright() as playwright:
                self.context = await playwright.chromium.launch_persistent_context(
                    profile,
                    executable_path=chromium(),
                    headless=True,
                    chromium_sandbox=False,
                    ignore_https_errors=True,
                    args=list(CHROMIUM_OPTIONS),
                )
                try:
                    self.page = await self.open(f"{self.base}/page/boot.html")
                    self._ready.set_result(None)
                    await self._stop.wait()
                finally:
                    await self.context.close()
                    await self._cleanup.aclose()
