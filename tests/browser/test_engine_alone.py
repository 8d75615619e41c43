"""The engine over a browser that does what the test says: paths that Chromium rarely takes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectError,
    EngineUnavailableError,
    Frame,
    HttpClient,
    HttpMethod,
    HttpRequest,
    InvalidUrlError,
    UnsupportedCapabilityError,
    Url,
    WebSocketCapability,
    install,
)
from ktor_client.engine import WebSocketUpgrade
from ktor_client.engines import BrowserEngine, WebSocketOptions
from ktor_client.engines._browser import link as link_module
from ktor_client.engines._browser.link import BrowserLink
from ktor_client.frames import CloseFrame
from ktor_client.link import LinkOptions
from ktor_client.plugins import WebSockets
from tests.support.receiver import Receiver, get, handshake

from .fake_browser import CLOSED, OPEN, Browser, JsException, Response, Socket, no_proxy_left

URL = "ws://example.org/chat"
WEB = "http://example.org/"


async def streamed() -> AsyncIterator[bytes]:
    yield b"x"


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


# --- where it runs


def test_outside_of_a_browser() -> None:
    with pytest.raises(EngineUnavailableError, match=f"Python on {sys.platform}; use Aiohttp"):
        BrowserEngine()


def test_modules_that_only_look_like_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("js", "pyodide", "pyodide.ffi"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(EngineUnavailableError, match="runs in a browser tab"):
        HttpClient("browser")


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
        request = handshake(f"ws://example.org/{path}")
        with pytest.raises(kind) as caught:
            await BrowserEngine().open_web_socket(request, WebSocketOptions())
        assert isinstance(caught.value.__cause__, JsException)


async def test_an_error_without_a_close_event(browser: Browser) -> None:
    task = await opening(browser, BrowserEngine())
    browser.socket.fire_error()
    with pytest.raises(ConnectError, match="Content-Security-Policy"):
        await task


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
    with pytest.raises(ConnectError, match="engine was closed"):
        await task


# --- before the session has started


async def test_what_came_before_start_is_delivered_first(browser: Browser) -> None:
    link, socket = await opened(browser)
    socket.fire_message("early")
    socket.fire_message(b"bird")
    socket.fire_close(4001, "bye")
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert list(receiver.messages) == [Frame.Text("early"), Frame.Binary(b"bird")]
    assert receiver.controls == [Frame.Close(CloseReason(4001, "bye"))]
    assert await receiver.end is None


async def test_lost_before_start(browser: Browser) -> None:
    link, socket = await opened(browser)
    socket.fire_close(1006)
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert not receiver.end.done()
    assert isinstance(await receiver.end, ConnectionError)
    link.close()
    link.abort()
    link.send(CloseFrame())
    link.send_text("nobody hears this")
    link.send_binary(b"nor this")
    assert link.frames_sent == 0


# --- delivering


async def test_what_discard_leaves_out(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.pause()
    browser.socket.fire_message("before")
    link.resume()
    link.discard()
    browser.socket.fire_message("after")
    browser.socket.fire_close(1000)
    assert list(receiver.messages) == [Frame.Text("before")]
    assert receiver.controls == []
    assert await receiver.end is None


async def test_the_limit_can_be_changed(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.set_max_frame_size(4)
    browser.socket.fire_message("éé")
    browser.socket.fire_message("éé!")
    assert list(receiver.messages) == [Frame.Text("éé")]
    assert receiver.violation is not None
    assert receiver.violation.code == 1009


@pytest.mark.parametrize("how", ["message", "close"])
async def test_a_receiver_that_raises(
    browser: Browser, pair: Pair, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, receiver = pair
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def fail(_: object) -> None:
        raise KeyError("on purpose")

    if how == "message":
        monkeypatch.setattr(receiver, "arrived", fail)
        browser.socket.fire_message("x")
        assert browser.socket.closed_with == [()]
        assert isinstance(await receiver.end, KeyError)
    else:
        monkeypatch.setattr(receiver, "control", fail)
        browser.socket.fire_close(1000)
        assert await receiver.end is None
    assert [type(context["exception"]) for context in told] == [KeyError]


async def test_a_message_that_breaks_before_start(browser: Browser) -> None:
    link, socket = await opened(browser)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    socket.onmessage(object())
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert isinstance(await receiver.end, AttributeError)


async def test_aborting_tells_the_receiver_later_and_once(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.abort()
    link.abort()
    assert not receiver.end.done()
    assert await receiver.end is None
    assert browser.socket.onmessage is None


async def test_close_lets_the_browser_finish(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.send(CloseFrame(CloseReason(1000)))
    link.close()
    assert browser.socket.closed_with == [(1000, "")]
    browser.socket.fire_close(1005)
    assert receiver.controls == [Frame.Close()]
    assert await receiver.end is None


# --- sending


async def test_senders_wait_until_the_buffer_has_drained(
    browser: Browser, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "POLL", 0)
    link, receiver = pair
    link.send_text("a" * link_module.BURST)
    assert not link.writable
    link.send_text("b")
    await receiver.room.wait()
    assert link.writable
    receiver.room.clear()
    browser.socket.bufferedAmount = link_module.HIGH_WATER + 1
    link.send_text("c" * link_module.BURST)
    for _ in range(5):
        await asyncio.sleep(0)
        assert not link.writable
    browser.socket.bufferedAmount = link_module.LOW_WATER + 1
    await asyncio.sleep(0)
    assert not link.writable
    browser.socket.bufferedAmount = link_module.LOW_WATER
    await receiver.room.wait()
    assert link.writable


async def test_many_small_messages_give_way_too(pair: Pair) -> None:
    link, receiver = pair
    sent = 0
    while link.writable:
        link.send_text("")
        sent += 1
    assert sent == link_module.BURST // link_module.MESSAGE_WEIGHT
    await receiver.room.wait()


async def test_losing_the_connection_while_draining(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    browser.socket.bufferedAmount = link_module.HIGH_WATER + 1
    link.send_text("a" * link_module.BURST)
    await asyncio.sleep(0)
    browser.socket.fire_close(1006)
    assert isinstance(await receiver.end, ConnectionError)
    assert not link.writable


async def test_writable_before_start(browser: Browser) -> None:
    link, _ = await opened(browser)
    link.send_text("a" * link_module.BURST)
    assert not link.writable
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert link.writable
    link.abort()


async def test_frames_that_a_browser_sends(browser: Browser, pair: Pair) -> None:
    link, _ = pair
    large = bytes(link_module.LARGE)
    frames = [Frame.Text("é"), Frame.Binary(b"ab"), Frame.Binary(large)]
    for frame in frames:
        link.send(frame)
    link.send_binary(bytearray(b"cd"))
    link.send_binary(memoryview(large)[::2])
    assert browser.socket.sent == ["é", b"ab", large, b"cd", large[::2]]
    assert (link.frames_sent, link.bytes_sent) == (5, 2 + 2 + len(large) + 2 + len(large) // 2)
    with pytest.raises(UnicodeEncodeError):
        link.send_text("\ud83d")
    assert link.frames_sent == 5


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (Frame.Ping(), "PingCapability"),
        (Frame.Pong(), "PingCapability"),
        (Frame.Text("a", fin=False), "FragmentationCapability"),
        (Frame.Binary(b"a", rsv2=True), "FragmentationCapability"),
    ],
)
async def test_frames_that_it_does_not_send(pair: Pair, frame: Frame, named: str) -> None:
    with pytest.raises(UnsupportedCapabilityError, match=named):
        pair[0].send(frame)


@pytest.mark.parametrize(
    ("code", "left"),
    [(1000, 1000), (1001, 1000), (1002, 4002), (1014, 4014), (3000, 3000), (4999, 4999)],
)
async def test_codes_that_leave(browser: Browser, pair: Pair, code: int, left: int) -> None:
    link, _ = pair
    link.send(CloseFrame(CloseReason(code, "why")))
    assert browser.socket.closed_with == [(left, "why")]
    assert link.map_close(CloseReason(code, "why")) == CloseReason(left, "why")


async def test_a_close_without_a_code(browser: Browser, pair: Pair) -> None:
    pair[0].send(CloseFrame())
    assert browser.socket.closed_with == [()]


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
        await BrowserEngine().execute(get("http://example.org/"))
    assert caught.value.__cause__ is browser.answer


async def test_a_request_that_is_cancelled(browser: Browser) -> None:
    task = asyncio.create_task(BrowserEngine().execute(get("http://example.org/")))
    await browser.opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert browser.aborted == 1


async def test_closing_the_engine_aborts_responses(browser: Browser) -> None:
    browser.answer = Response([b"a"])
    engine = BrowserEngine()
    await engine.execute(get("http://example.org/"))
    await engine.close()
    assert browser.aborted == 1


def test_states_are_the_standards() -> None:
    assert link_module.CLOSED == CLOSED
