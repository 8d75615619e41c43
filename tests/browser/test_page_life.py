"""What only the outside of a page can do: policies, mixed content, leaving, ending a worker."""

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from playwright.async_api import Page

from .harness import Harness

pytestmark = pytest.mark.timeout(180)

OPEN = """
from ktor_client import HttpClient, install
from ktor_client.plugins import WebSockets

client = HttpClient(None, install(WebSockets, open_timeout=100))


async def attempt(url):
    try:
        await client.web_socket_session(url)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "opened"
"""


@contextmanager
def page_at(harness: Harness, url: str) -> Generator[Page]:
    page = harness.call(harness.open(url))
    try:
        yield page
    finally:
        harness.call(page.close())


def test_a_policy_that_blocks_the_socket(harness: Harness) -> None:
    """Chromium then sends an error event and never a close event."""
    policy = quote("script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'")
    with page_at(harness, f"{harness.base}/page/boot.html?csp={policy}") as page:
        harness.call(harness.run_python(page, OPEN))
        elsewhere = harness.base.replace("http://127.0.0.1", "ws://localhost")
        told = harness.call(harness.run_python(page, f"await attempt('{elsewhere}/ws/echo')"))
        assert told.startswith("ConnectError")
        assert "Content-Security-Policy" in told
        here = harness.base.replace("http", "ws", 1)
        assert (
            harness.call(harness.run_python(page, f"await attempt('{here}/ws/echo')")) == "opened"
        )


def test_mixed_content(harness: Harness) -> None:
    with page_at(harness, f"{harness.secure_base}/page/boot.html") as page:
        harness.call(harness.run_python(page, OPEN))
        told = harness.call(harness.run_python(page, "await attempt('ws://example.org/')"))
        assert told.startswith("ConnectError: the browser forbids ws://example.org/;")
        own = harness.secure_base.replace("https", "wss", 1)
        assert harness.call(harness.run_python(page, f"await attempt('{own}/ws/echo')")) == "opened"


def test_leaving_the_page_and_ending_the_worker(harness: Harness) -> None:
    with page_at(harness, f"{harness.base}/page/boot.html") as page:
        url = harness.base.replace("http", "ws", 1)
        for lane in ("page", "worker"):
            harness.call(harness.run_python(page, OPEN, lane))
            opening = f"await attempt('{url}/ws/echo?id=left-{lane}')"
            assert harness.call(harness.run_python(page, opening, lane)) == "opened"
        harness.call(page.evaluate("() => terminateWorker()"))
        assert harness.seen("left-worker")["code"] == 1001
        harness.call(page.goto("about:blank"))
        assert harness.seen("left-page")["code"] == 1001
