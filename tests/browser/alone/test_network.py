"""What the page tells of its network wakes a wait, and nothing is left behind."""

from types import SimpleNamespace
from typing import Any

import pytest

from ktor_client import Backoff, HttpClient, RetryPolicy, Waiting, install
from ktor_client.engines import BrowserEngine
from ktor_client.plugins import WebSockets

from .fake_browser import Browser


class Target:
    """A JavaScript object that fires events."""

    def __init__(self) -> None:
        self.listeners: list[tuple[str, Any]] = []
        self.visibilityState = "visible"

    def addEventListener(self, event: str, listener: Any) -> None:
        self.listeners.append((event, listener))

    def removeEventListener(self, event: str, listener: Any) -> None:
        self.listeners.remove((event, listener))

    def fire(self, event: str) -> None:
        for name, listener in list(self.listeners):
            if name == event:
                listener(SimpleNamespace(type=event))


def listening(browser: Browser, *, page: bool) -> tuple[Target, Target]:
    window, document = Target(), Target()
    js: Any = browser.js
    js.addEventListener = window.addEventListener
    js.removeEventListener = window.removeEventListener
    if page:
        js.document = document
    return window, document


async def test_a_page(browser: Browser) -> None:
    window, document = listening(browser, page=True)
    heard: list[int] = []
    end = BrowserEngine().on_network_back(lambda: heard.append(1))
    window.fire("online")
    document.fire("visibilitychange")
    document.visibilityState = "hidden"
    document.fire("visibilitychange")
    assert heard == [1, 1]
    end()
    end()
    assert (window.listeners, document.listeners) == ([], [])


async def test_a_worker(browser: Browser) -> None:
    window, _ = listening(browser, page=False)
    heard: list[int] = []
    end = BrowserEngine().on_network_back(lambda: heard.append(1))
    window.fire("online")
    assert heard == [1]
    end()
    assert window.listeners == []


@pytest.mark.parametrize("event", ["online", "visibilitychange"])
async def test_a_feed_that_waits_tries_at_once(browser: Browser, event: str) -> None:
    window, document = listening(browser, page=True)
    target = window if event == "online" else document
    policy = RetryPolicy(Backoff(first=600, longest=600, jitter="none"))
    async with HttpClient(BrowserEngine, install(WebSockets, close_timeout=0.01)) as client:
        async with client.web_socket_reconnecting("ws://h.test/", policy=policy) as feed:
            await browser.opened.wait()
            browser.socket.fire_error()
            browser.socket.fire_close(1006)
            async for told in feed.events:
                if isinstance(told, Waiting):
                    break
            browser.opened.clear()
            target.fire(event)
            await browser.opened.wait()
            assert len(browser.sockets) == 2
            browser.socket.fire_open()
            await feed.opened()
            assert (window.listeners, document.listeners) == ([], [])
            await feed.send("hello")
            assert browser.socket.sent == ["hello"]
            feed.cancel()
            await browser.come_out_of_the_event()
