"""A scripted browser in the place of `js` and `pyodide.ffi`, and an open link over it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType

import pytest

from ktor_client.engine import WebSocketUpgrade
from ktor_client.engines import BrowserEngine, WebSocketOptions
from ktor_client.engines._browser.link import BrowserLink
from ktor_client.link import LinkOptions
from tests.support.receiver import Receiver, handshake

from .fake_browser import Browser, Socket, no_proxy_left

URL = "ws://example.org/chat"


@pytest.fixture(autouse=True)
def proxies() -> Iterator[None]:
    yield from no_proxy_left()


def put_in_place(browser: Browser, patch: pytest.MonkeyPatch) -> None:
    package = ModuleType("pyodide")
    for module in (browser.js, browser.ffi, package):
        patch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
async def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    browser = Browser()
    put_in_place(browser, monkeypatch)
    return browser


async def opening(browser: Browser, engine: BrowserEngine) -> asyncio.Task[WebSocketUpgrade]:
    """Begin a handshake; the socket is there when this returns."""
    task = asyncio.create_task(engine.open_web_socket(handshake(URL), WebSocketOptions()))
    await browser.opened.wait()
    return task


async def opened(browser: Browser) -> tuple[BrowserLink, Socket]:
    task = await opening(browser, BrowserEngine())
    browser.socket.fire_open()
    link = (await task).link
    assert isinstance(link, BrowserLink)
    return link, browser.socket


@pytest.fixture
async def pair(browser: Browser) -> AsyncIterator[tuple[BrowserLink, Receiver]]:
    """An open link, started."""
    link, _ = await opened(browser)
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    yield link, receiver
    link.abort()
    await receiver.end


Pair = tuple[BrowserLink, Receiver]
