"""The engine: where it runs, handshakes, requests."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ktor_client import (
    ClientClosedError,
    ConnectError,
    EngineUnavailableError,
    Frame,
    HttpClient,
    HttpMethod,
    HttpRequest,
    InvalidUrlError,
    SocketTimeoutError,
    UnsupportedCapabilityError,
    Url,
    WebSocketCapability,
    install,
    timeout,
)
from ktor_client.engine import registry
from ktor_client.engines import BrowserEngine, WebSocketOptions
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.plugins import WebSockets
from tests.support.receiver import get, handshake

from .conftest import URL, Pair, opening, put_in_place
from .fake_browser import OPEN, Browser, JsException, Response

WEB = "http://example.org/"
LONG = 1_000_000
"""Bytes of an upload."""


async def streamed() -> AsyncIterator[bytes]:
    yield b"x"


# --- where it runs


def test_outside_of_a_browser() -> None:
    with pytest.raises(EngineUnavailableError, match=f"Python on {sys.platform}; use Aiohttp"):
        BrowserEngine()


def test_modules_that_only_look_like_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("js", "pyodide", "pyodide.ffi"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(EngineUnavailableError, match="runs in a browser tab"):
        HttpClient("browser")


def test_the_default_in_a_browser(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "sys", SimpleNamespace(platform="emscripten"))
    assert isinstance(HttpClient().engine, BrowserEngine)


async def test_without_web_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(Browser(web_sockets=False), monkeypatch)
    async with HttpClient(BrowserEngine, install(WebSockets)) as client:
        assert not client.is_supported(WebSocketCapability)
        with pytest.raises(UnsupportedCapabilityError, match="WebSocketCapability"):
            client.web_socket(URL)


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("proxy", "ProxyCapability"),
        ("trust_env", "ProxyCapability"),
        ("ssl_context", "TlsOptionsCapability"),
        ("server_hostname", "TlsOptionsCapability"),
        ("unix_socket", "UnixSocketCapability"),
        ("connect_timeout", "TimeoutCapability"),
        ("limit", "a limit of connections"),
    ],
)
def test_socket_options_are_refused_by_name(option: str, named: str) -> None:
    make: Any = BrowserEngine
    assert isinstance(make(**{option: None}), BrowserEngine)
    with pytest.raises(UnsupportedCapabilityError, match=named):
        make(**{option: "something"})


@pytest.mark.usefixtures("browser")
def test_other_options_are_unknown() -> None:
    with pytest.raises(TypeError, match="no option 'credential'; it has 'credentials'"):
        BrowserEngine(credential=None)
    with pytest.raises(ValueError, match="'omit', 'same-origin' or 'include'"):
        BrowserEngine(credentials="all")  # type: ignore[arg-type]  # the point


async def test_a_url_without_a_host(browser: Browser) -> None:
    assert BrowserEngine().default_url == "http://localhost"
    for origin, expected in (
        ("https://example.org:8443", "https://example.org:8443"),
        ("null", "http://localhost"),
    ):
        vars(browser.js)["location"] = SimpleNamespace(origin=origin)
        assert BrowserEngine().default_url == expected


# --- the handshake


async def test_what_was_negotiated_is_shown(browser: Browser) -> None:
    options = WebSocketOptions(subprotocols=("chat", "other"))
    task = asyncio.create_task(BrowserEngine().open_web_socket(handshake(URL), options))
    await browser.opened.wait()
    socket = browser.socket
    assert (socket.protocols, socket.binaryType) == (["chat", "other"], "arraybuffer")
    socket.extensions = "permessage-deflate"
    socket.fire_open()
    upgrade = await task
    assert upgrade.verified
    assert upgrade.response.status == 101
    assert upgrade.response.headers.fields() == [
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ]
    assert upgrade.link is not None
    upgrade.link.abort()


@pytest.mark.usefixtures("browser")
async def test_urls_that_the_browser_refuses() -> None:
    for path, kind in (
        ("refused-by-syntax", InvalidUrlError),
        ("refused-by-security", ConnectError),
    ):
        request = handshake(f"ws://example.org/{path}?token=s3cret")
        with pytest.raises(kind) as caught:
            await BrowserEngine().open_web_socket(request, WebSocketOptions())
        assert isinstance(caught.value.__cause__, JsException)
        assert f" ws://example.org/{path}?..." in str(caught.value)
        assert "s3cret" not in str(caught.value)


async def test_a_header_that_a_plugin_added_late(browser: Browser) -> None:
    request = handshake(URL, ("User-Agent", "demo/1"), ("Authorization", "Bearer secret"))
    with pytest.raises(UnsupportedCapabilityError, match="header Authorization needs"):
        await BrowserEngine().open_web_socket(request, WebSocketOptions())
    assert browser.sockets == []


async def test_an_error_without_a_close_event(browser: Browser) -> None:
    task = await opening(browser, BrowserEngine())
    browser.socket.url = "ws://example.org/a?token=s3cret"
    browser.socket.fire_error()
    with pytest.raises(ConnectError, match="Content-Security-Policy") as caught:
        await task
    assert "could not open 'ws://example.org/a?...'. " in str(caught.value)


async def test_an_error_before_its_close_event(browser: Browser) -> None:
    task = await opening(browser, BrowserEngine())
    browser.socket.fire_error()
    browser.socket.fire_close(1006)
    with pytest.raises(ConnectError):
        await task


async def test_an_error_that_ends_nothing(browser: Browser, pair: Pair) -> None:
    _, receiver = pair
    browser.socket.fire_error(OPEN)
    browser.socket.fire_message("still here")
    assert await receiver.next() == Frame.Text("still here")


async def test_open_after_the_task_was_cancelled(browser: Browser) -> None:
    task = await opening(browser, BrowserEngine())
    task.cancel()
    browser.socket.fire_open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert browser.socket.closed_with == [()]


async def test_closing_the_engine_while_opening(browser: Browser) -> None:
    engine = BrowserEngine()
    task = await opening(browser, engine)
    await engine.close()
    await engine.close()
    with pytest.raises(ClientClosedError, match="BrowserEngine was closed during the handshake"):
        await task


async def test_a_closed_engine(browser: Browser) -> None:
    engine = BrowserEngine()
    async with HttpClient(engine, install(WebSockets)) as client:
        await engine.close()
        with pytest.raises(ClientClosedError, match="BrowserEngine is closed; make a new one"):
            await client.get(WEB)
        with pytest.raises(ClientClosedError, match="BrowserEngine is closed; make a new one"):
            await client.web_socket_session(URL)
    assert browser.requests == []
    assert browser.sockets == []


# --- requests


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (get(WEB, ("Cookie", "a=b")), "'Cookie': browsers set it themselves; cookies are the"),
        (get(WEB, ("sec-fetch-mode", "cors")), "'sec-fetch-mode'"),
        (HttpRequest(HttpMethod("TRACE"), Url.parse(WEB)), "method TRACE"),
        (HttpRequest(HttpMethod.Head, Url.parse(WEB), body=b"x"), "a body with HEAD"),
        (HttpRequest(HttpMethod.Put, Url.parse(WEB), body=streamed()), "StreamingUpload"),
    ],
)
async def test_requests_that_are_refused(
    browser: Browser, request_: HttpRequest, named: str
) -> None:
    with pytest.raises(UnsupportedCapabilityError, match=named):
        await BrowserEngine().execute(request_)
    assert browser.requests == []


async def test_an_upload(browser: Browser) -> None:
    browser.answer = Response([])
    await BrowserEngine().execute(HttpRequest(HttpMethod.Post, Url.parse(WEB), body=b"data"))
    assert browser.requests[0][1]["body"] == b"data"


async def test_a_request(browser: Browser) -> None:
    browser.answer = Response([b"a", b"b"], redirected_to="http://example.org/there#part")
    engine = BrowserEngine(credentials="include")
    request = get("http://example.org/here", ("X-Id", "1"), ("User-Agent", "demo/1"))
    response = await engine.execute(request)
    url, options = browser.requests[0]
    assert url == "http://example.org/here"
    assert options["headers"] == [["X-Id", "1"]]
    assert (options["method"], options["credentials"]) == ("GET", "include")
    assert str(response.request.url) == "http://example.org/there"
    assert response.headers["x-id"] == "1, 2"
    assert await response.body_as_bytes() == b"ab"
    assert browser.aborted  # without effect: the body was complete


async def test_a_body_that_is_not_there(browser: Browser) -> None:
    browser.answer = Response(None)
    response = await BrowserEngine().execute(get("http://example.org/"))
    assert await response.body_as_bytes() == b""


async def test_a_body_that_breaks(browser: Browser) -> None:
    browser.answer = Response([b"a"], JsException("TypeError", "network error"))
    response = await BrowserEngine().execute(get("http://example.org/"))
    with pytest.raises(ConnectError, match="network error"):
        await response.body_as_bytes()


async def test_a_request_that_fails(browser: Browser) -> None:
    browser.answer = JsException("TypeError", "Failed to fetch")
    with pytest.raises(ConnectError, match="Failed to fetch") as caught:
        await BrowserEngine().execute(get("http://example.org/?token=s3cret"))
    assert "from http://example.org/?...: " in str(caught.value)
    assert caught.value.__cause__ is browser.answer


async def test_a_request_that_is_cancelled(browser: Browser) -> None:
    task = asyncio.create_task(BrowserEngine().execute(get("http://example.org/")))
    await browser.opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert browser.aborted == 1


async def test_closing_the_engine_ends_a_request(browser: Browser) -> None:
    engine = BrowserEngine()
    task = asyncio.create_task(engine.execute(get(WEB)))
    await browser.opened.wait()
    await engine.close()
    with pytest.raises(ClientClosedError, match="BrowserEngine was closed during the request"):
        await task


@pytest.mark.parametrize("is_read", [False, True])
async def test_closing_the_engine_ends_a_body(browser: Browser, is_read: bool) -> None:
    """What came of it is not taken for the whole."""
    browser.answer = Response([b"a"], is_stalled=True)
    engine = BrowserEngine()
    response = await engine.execute(get(WEB))
    reading = asyncio.ensure_future(response.body_as_bytes())
    if is_read:
        await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(ConnectError, match=r"whole body from example.org:80: the response was clo"):
        await reading


async def test_characters_beyond_ascii_in_headers(browser: Browser) -> None:
    """They leave as the bytes of UTF-8, and come as UTF-8 or Latin-1, as on every engine."""
    browser.answer = Response([])
    browser.answer.headers = [["x-utf8", "é☃".encode().decode("latin-1")], ["x-latin", "caf\xe9"]]
    response = await BrowserEngine().execute(get(WEB, ("X-Name", "é☃")))
    assert browser.requests[0][1]["headers"] == [["X-Name", "Ã©â\x98\x83"]]
    assert (response.headers["x-utf8"], response.headers["x-latin"]) == ("é☃", "café")


async def test_closing_the_engine_aborts_responses(browser: Browser) -> None:
    browser.answer = Response([b"a"])
    engine = BrowserEngine()
    await engine.execute(get("http://example.org/"))
    await engine.close()
    assert browser.aborted == 1


# --- a limit for silence


class TimedEngine(BrowserEngine):
    """Time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.time = VirtualClock()

    @property
    def clock(self) -> VirtualClock:
        return self.time


async def test_a_server_that_does_not_answer(browser: Browser) -> None:
    told = (
        r"TimedEngine: .* from example.org:80 .* for 60 s \(socket_timeout\); it was still waiting"
    )
    with pytest.raises(SocketTimeoutError, match=told):
        await TimedEngine().execute(get("http://example.org/"))
    assert browser.aborted == 1


async def test_a_limit_of_the_requests_own(browser: Browser) -> None:
    async with HttpClient(TimedEngine, install(WebSockets)) as client:
        with pytest.raises(SocketTimeoutError, match="for 3 s"):
            await client.get("http://example.org/", timeout(socket=3))
        with pytest.raises(SocketTimeoutError, match="for 3 s"):
            await client.web_socket_session(URL, timeout(socket=3))
        with pytest.raises(UnsupportedCapabilityError, match=r"TimeoutCapability.*connect_timeout"):
            await client.get("http://example.org/", timeout(connect=3))
    assert browser.socket.closed_with


async def test_a_body_that_stalls(browser: Browser) -> None:
    browser.answer = Response([b"a"], is_stalled=True)
    for request in (
        get("http://example.org/"),
        HttpRequest(HttpMethod("POST"), Url.parse(WEB), body=bytes(LONG)),
    ):
        response = await TimedEngine().execute(request)
        with pytest.raises(SocketTimeoutError, match=r"60 s .*; it was still reading the body"):
            await response.body_as_bytes()


async def test_a_long_upload_may_take_its_time(browser: Browser) -> None:
    """A page hears nothing of it, and so knows of no silence."""
    engine = TimedEngine()
    long = HttpRequest(HttpMethod("POST"), Url.parse(WEB), body=bytes(LONG))
    sending = asyncio.create_task(engine.execute(long))
    await browser.opened.wait()
    await engine.time.sleep(3600)
    assert not sending.done()
    sending.cancel()
    await asyncio.wait({sending})
    async with HttpClient(TimedEngine) as client:
        with pytest.raises(SocketTimeoutError, match="for 5 s"):
            await client.post(WEB, timeout(socket=5), body=bytes(LONG))
