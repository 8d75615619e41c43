"""What must not reach the wire, or the wrong server: secrets in clear, smuggled headers.

The bytes that a server or a proxy gets are captured and judged.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
import httpx
import pytest

from ktor_client import (
    ConnectError,
    Headers,
    HttpClient,
    HttpClientConfig,
    HttpRequest,
    HttpResponse,
    InvalidUrlError,
    KtorClientError,
    RedirectError,
    ResponseError,
    TlsError,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    bearer_auth,
    header,
    install,
)
from ktor_client.engine import HttpClientEngine, WebSocketOptions
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine
from ktor_client.plugin import Send
from ktor_client.plugins import PluginScope, WebSockets, client_plugin
from tests.support.certificates import client_context, server_context
from tests.support.proxy_server import ProxyLog, http_proxy, socks_proxy
from tests.support.raw_server import Peer, Script, close_frame, raw_server
from tests.support.receiver import handshake

CLIENT_HELLO = b"\x16\x03"
SECRET = "t0p-s3cret"


class Wiretap:
    """A TCP server that keeps the bytes of each connection and says nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[bytearray] = []
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        heard += await reader.read(65536)
        self.news.set()
        writer.close()


@asynccontextmanager
async def wiretap() -> AsyncGenerator[Wiretap]:
    tap = Wiretap()
    server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    async with server:
        yield tap


async def _closing(peer: Peer) -> None:
    await peer.upgrade()
    await peer.read_close()
    await peer.send(close_frame(1000))


# --- wss is never in clear


async def test_the_first_bytes_of_wss_are_tls(engine: EngineFactory) -> None:
    async with wiretap() as tap, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ConnectError):
            await client.web_socket_session(
                f"wss://127.0.0.1:{tap.port}/private", bearer_auth(SECRET)
            )
        await tap.news.wait()
    assert tap.heard
    for heard in tap.heard:
        assert heard.startswith(CLIENT_HELLO)
        assert b"private" not in heard
        assert SECRET.encode() not in heard


@pytest.mark.parametrize("proxy", [http_proxy, socks_proxy], ids=["http", "socks5"])
async def test_the_first_bytes_of_wss_through_a_proxy_are_tls(
    engine: EngineFactory, proxy: Callable[[], AbstractAsyncContextManager[ProxyLog]]
) -> None:
    async with raw_server(_closing, tls=server_context()) as server, proxy() as log:
        through = partial(engine, proxy=log.url, ssl_context=client_context())
        async with HttpClient(through, install(WebSockets)) as client:
            async with client.web_socket(server.url + "private", bearer_auth(SECRET)):
                pass
    assert len(log.tunnelled) == 1
    assert log.tunnelled[0].startswith(CLIENT_HELLO)
    for seen in (*log.heads, *map(bytes, log.tunnelled)):
        assert b"private" not in seen
        assert SECRET.encode() not in seen


async def test_the_forced_wss_of_a_ws_url_is_tls(engine: EngineFactory) -> None:
    async with wiretap() as tap, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ConnectError):
            async with client.wss(f"ws://127.0.0.1:{tap.port}/"):
                pass
        await tap.news.wait()
    assert tap.heard[0].startswith(CLIENT_HELLO)


async def test_an_untrusted_server_gets_no_request(engine: EngineFactory) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        requests.append(await peer.read_eof())

    async with raw_server(script, tls=server_context()) as server:
        async with HttpClient(engine, install(WebSockets)) as client:
            with pytest.raises(TlsError):
                await client.web_socket_session(server.url, bearer_auth(SECRET))
    assert not any(requests)


async def test_a_ws_url_through_a_proxy_is_a_tunnel(engine: EngineFactory) -> None:
    async with raw_server(_closing) as server, http_proxy() as log:
        through = partial(engine, proxy=log.url)
        async with HttpClient(through, install(WebSockets)) as client:
            async with client.web_socket(server.url, bearer_auth(SECRET)):
                pass
    assert [head.split(b" ")[0] for head in log.heads] == [b"CONNECT"]
    assert SECRET.encode() not in log.heads[0]


# --- nothing can be smuggled


EVIL = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "\r\n\r\nGET /evil HTTP/1.1"]


@pytest.mark.parametrize("text", EVIL)
async def test_header_injection_is_refused_before_any_byte(
    engine: EngineFactory, text: str
) -> None:
    async with wiretap() as tap, HttpClient(engine, install(WebSockets)) as client:
        url = f"ws://127.0.0.1:{tap.port}/"
        with pytest.raises(UnsafeHeaderError):
            client.web_socket(url, headers={"X-Id": text})
        with pytest.raises(UnsafeHeaderError):
            client.web_socket(url, header("X-Id", text))
        with pytest.raises(UnsafeHeaderError):
            client.web_socket(url, headers={text: "1"})
        with pytest.raises(UnsafeHeaderError):
            client.web_socket(url, bearer_auth(text))
        with pytest.raises(ValueError, match="subprotocol"):
            client.web_socket(url, subprotocols=[text])
        with pytest.raises((InvalidUrlError, UnsafeHeaderError)):
            client.web_socket(url + text)
        with pytest.raises((InvalidUrlError, UnsafeHeaderError)):
            client.web_socket(host="127.0.0.1" + text, port=tap.port)
    assert not tap.heard


@pytest.mark.parametrize("text", EVIL)
async def test_a_plugin_cannot_smuggle(engine: EngineFactory, text: str) -> None:
    @client_plugin
    def signed(scope: PluginScope) -> None:
        async def sign(request: HttpRequest, send: Send) -> HttpResponse:
            fields = [*request.headers.fields(), ("X-Signature", text)]
            return await send(request.copy(headers=Headers(fields)))

        scope.on_send(sign)

    async with (
        wiretap() as tap,
        HttpClient(engine, install(WebSockets), install(signed)) as client,
    ):
        with pytest.raises(UnsafeHeaderError, match="X-Signature"):
            await client.get(f"http://127.0.0.1:{tap.port}/")
        with pytest.raises(UnsafeHeaderError, match="X-Signature"):
            await client.web_socket_session(f"ws://127.0.0.1:{tap.port}/")
    assert not tap.heard


@pytest.mark.parametrize("text", EVIL[:4])
async def test_an_engine_writes_no_such_header(engine: EngineFactory, text: str) -> None:
    """Whatever stands above it."""
    client = engine()
    async with wiretap() as tap:
        with pytest.raises(KtorClientError):
            await client.open_web_socket(
                handshake(f"ws://127.0.0.1:{tap.port}/", ("X-Id", text)), WebSocketOptions()
            )
        await client.close()
    assert not any(tap.heard)


@pytest.mark.parametrize("text", EVIL)
async def test_what_can_be_quoted_is_quoted(engine: EngineFactory, text: str) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        requests.append(peer.request)
        await peer.read_close()
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url, params={"q": text}):
            pass
    assert requests[0].count(b"\r\n\r\n") == 1
    assert b"X-Evil: 1" not in requests[0]
    assert b"\0" not in requests[0]
    assert requests[0].split(b"\r\n")[0].count(b" ") == 2


async def test_a_location_cannot_smuggle(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(
            b"HTTP/1.1 302 Found\r\nLocation: /x HTTP/1.1\tX-Evil: 1\r\nContent-Length: 0\r\n\r\n"
        )
        again = await peer.read_eof()
        assert b"X-Evil: 1" not in again

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises((RedirectError, ConnectError, WebSocketHandshakeError)):
            await client.web_socket_session(server.url)


# --- redirects of handshakes


def _redirecting(location: str, status: int = 302) -> Script:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(
            f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\n"
            "Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )

    return script


def _keeping(requests: list[bytes]) -> Script:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        requests.append(peer.request)
        await peer.read_close()
        await peer.send(close_frame(1000))

    return script


SECRETS = {"Authorization": f"Bearer {SECRET}", "Cookie": f"id={SECRET}", "X-Api-Key": SECRET}


async def test_within_an_origin_headers_follow(engine: EngineFactory) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        if not requests:
            await peer.read_request()
            requests.append(peer.request)
            await peer.send(
                b"HTTP/1.1 307 Go\r\nLocation: ../there?a=1\r\n"
                b"Connection: close\r\nContent-Length: 0\r\n\r\n"
            )
        else:
            await _keeping(requests)(peer)

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(
            server.url + "a/b", headers=SECRETS, subprotocols=["x"]
        ) as session:
            assert str(session.call.request.url) == server.url + "there?a=1"
    first, second = requests
    assert second.startswith(b"GET /there?a=1 HTTP/1.1\r\n")
    for name, value in SECRETS.items():
        assert f"{name}: {value}\r\n".encode() in second
    assert b"Sec-WebSocket-Protocol: x\r\n" in second
    keys = [r.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0] for r in (first, second)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_to_another_origin_secrets_do_not_follow(engine: EngineFactory, scheme: str) -> None:
    requests: list[bytes] = []
    async with raw_server(_keeping(requests)) as target:
        location = target.url.replace("ws", scheme, 1) + "elsewhere"
        async with raw_server(_redirecting(location)) as server:
            async with HttpClient(engine, install(WebSockets)) as client:
                async with client.web_socket(server.url, headers=SECRETS, subprotocols=["x"]):
                    pass
    assert requests[0].startswith(b"GET /elsewhere HTTP/1.1\r\n")
    assert SECRET.encode() not in requests[0]
    assert f"Host: 127.0.0.1:{target.port}\r\n".encode() in requests[0]
    assert b"Sec-WebSocket-Protocol: x\r\n" in requests[0]


async def test_a_password_in_the_url_does_not_follow(engine: EngineFactory) -> None:
    requests: list[bytes] = []
    async with raw_server(_keeping(requests)) as target:
        async with raw_server(_redirecting(target.url)) as server:
            async with HttpClient(engine, install(WebSockets)) as client:
                url = server.url.replace("://", f"://user:{SECRET}@")
                async with client.web_socket(url) as session:
                    assert SECRET not in repr(session.call)
    assert b"uthorization" not in requests[0]


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_wss_never_falls_back_to_ws(engine: EngineFactory, scheme: str) -> None:
    async with wiretap() as tap:
        location = f"{scheme}://127.0.0.1:{tap.port}/"
        async with raw_server(_redirecting(location), tls=server_context()) as server:
            trusting = partial(engine, ssl_context=client_context())
            async with HttpClient(trusting, install(WebSockets)) as client:
                with pytest.raises((WebSocketHandshakeError, RedirectError)):
                    await client.web_socket_session(server.url, headers=SECRETS)
    assert not tap.heard


async def test_ws_may_become_wss(engine: EngineFactory) -> None:
    requests: list[bytes] = []
    async with raw_server(_keeping(requests), tls=server_context()) as target:
        async with raw_server(_redirecting(target.url)) as server:
            trusting = partial(engine, ssl_context=client_context())
            async with HttpClient(trusting, install(WebSockets)) as client:
                async with client.web_socket(server.url) as session:
                    assert session.call.request.url.scheme == "wss"
    assert len(requests) == 1


async def test_redirects_without_end(engine: EngineFactory) -> None:
    async with raw_server(_redirecting("/again")) as server:
        async with HttpClient(engine, install(WebSockets)) as client:
            with pytest.raises(RedirectError):
                await client.web_socket_session(server.url)


# --- nothing is told: by logs, errors, `repr`


def told(error: BaseException) -> str:
    """Return all that an error shows: texts, `repr`, notes, traceback, of its causes too."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += (one.__cause__, one.__context__)
    texts = [f"{one}\n{one!r}\n{getattr(one, '__notes__', ())}" for one in seen]
    texts += traceback.format_exception(error, limit=0)
    if isinstance(error, ResponseError):
        response = error.response
        texts += map(repr, (response, response.request, response.request.headers))
    return "\n".join(texts)


@pytest.fixture(params=["own", "adopted"])
async def made(
    request: pytest.FixtureRequest, engine: EngineFactory
) -> AsyncGenerator[HttpClientEngine]:
    """An engine with a session of its own, or around one of the caller's."""
    async with AsyncExitStack() as stack:
        adopting: dict[str, Any] = {}
        if request.param == "adopted" and engine is AiohttpEngine:
            adopting["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        elif request.param == "adopted" and engine is HttpxEngine:
            adopting["client"] = await stack.enter_async_context(httpx.AsyncClient())
        made = engine(**adopting)
        stack.push_async_callback(made.close)
        yield made


async def _no_answer(peer: Peer) -> None:
    await peer.read_request()


async def _half_a_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 101 Switch\r\nUpgr")


async def _no_http(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"SSH-2.0-none\r\n")


async def _reset(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def _refused(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")


async def _redirected_to_garbage(peer: Peer) -> None:
    await peer.read_request()
    place = f"ftp://me:{SECRET}@h/?{SECRET}#{SECRET}".encode()
    await peer.send(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n")


async def _redirected_for_ever(peer: Peer) -> None:
    with suppress(asyncio.IncompleteReadError):
        while True:
            await peer.read_request()
            place = f"/?token={SECRET}".encode()
            await peer.send(
                b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n"
            )


async def _echoes(peer: Peer) -> None:
    await peer.read_request()
    body = peer.request
    await peer.send(
        b"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body),
        body,
    )


FAILURES: list[Script] = [
    _no_answer,
    _half_a_head,
    _no_http,
    _reset,
    _refused,
    _redirected_to_garbage,
    _redirected_for_ever,
    _echoes,
]


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("script", FAILURES)
async def test_no_error_shows_a_secret(
    made: HttpClientEngine, script: Script, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with raw_server(script) as server:
        url = f"{scheme}://me:{SECRET}@127.0.0.1:{server.port}/?{SECRET}&a={SECRET}"
        async with HttpClient(made, install(WebSockets), _expecting_success) as client:
            with pytest.raises(KtorClientError) as caught:
                if scheme == "ws":
                    await client.web_socket_session(
                        url, headers=SECRETS, subprotocols=["v1.channel.k8s.io", f"a.{SECRET}"]
                    )
                else:
                    await client.get(url, headers=SECRETS)
    assert SECRET not in told(caught.value)
    assert SECRET not in caplog.text


def _expecting_success(config: HttpClientConfig) -> None:
    config.expect_success = True


async def test_logs_at_info_show_no_query(
    made: HttpClientEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """And what else the application does with httpx is logged as before."""
    caplog.set_level(logging.INFO)

    async def answers(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(
            b"HTTP/1.1 401 No\r\nSet-Cookie: id=" + SECRET.encode() + b"; x\x7f=\r\n",
            b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        )

    async with raw_server(answers) as server, HttpClient(made, install(WebSockets)) as client:
        with suppress(ConnectError):  # of a field that is none
            await client.get(f"http://127.0.0.1:{server.port}/a?token={SECRET}", headers=SECRETS)
        with suppress(ConnectError, WebSocketHandshakeError):
            await client.web_socket_session(f"ws://127.0.0.1:{server.port}/a?{SECRET}")
        assert SECRET not in caplog.text
        if isinstance(made, HttpxEngine) and made.capabilities:
            async with httpx.AsyncClient() as theirs:
                with suppress(httpx.HTTPError):
                    await theirs.get(f"http://127.0.0.1:{server.port}/b?page=2")
            logged = [one.getMessage() for one in caplog.records if one.name == "httpx"]
            assert all("/a?..." in text or "/b?page=2" in text for text in logged)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("other", "the server chose subprotocol 'other'; offered: v1.channel.k8s.io, \\*\\*\\*"),
        (f"v1.channel.k8s.io, bearer.{SECRET}", "subprotocol 'v1.channel.k8s.io, \\*\\*\\*'"),
        (f"BEARER.{SECRET.upper()}", "subprotocol '\\*\\*\\*'"),
        (SECRET, "subprotocol '\\*\\*\\*'"),
    ],
)
async def test_a_token_as_subprotocol_is_not_shown(
    engine: EngineFactory, chosen: str, expected: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(f"Sec-WebSocket-Protocol: {chosen}")

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        offered = ["v1.channel.k8s.io", f"bearer.{SECRET}"]
        with pytest.raises(WebSocketHandshakeError, match=expected) as caught:
            await client.web_socket_session(server.url, subprotocols=offered)
    assert SECRET not in told(caught.value)
    assert SECRET.upper() not in told(caught.value)


@pytest.mark.parametrize(
    "offered",
    [(f"{SECRET}==",), (f"{SECRET} x",), ("chat", f"{SECRET}\ud800"), (SECRET, SECRET), SECRET],
)
async def test_an_offer_that_cannot_be_is_not_shown(engine: EngineFactory, offered: Any) -> None:
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises((ValueError, TypeError), match="subprotocol") as caught:
            client.web_socket("ws://127.0.0.1/", subprotocols=offered)
    assert SECRET not in told(caught.value)


async def test_what_is_no_header_or_url_is_shown_to_where_it_goes_wrong(
    engine: EngineFactory,
) -> None:
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(UnsafeHeaderError, match=r"'Authorization:\.\.\.'") as caught:
            client.web_socket("ws://h/", headers={f"Authorization: Bearer {SECRET}": ""})
        assert SECRET not in told(caught.value)
        for url in (
            f"ws://me:{SECRET}/x@h/",
            f"ws://h/ ?token={SECRET}",
            f"ws://h/#access_token={SECRET}",
            f"ws://h:0/?a=b@c&token={SECRET}",
            f"ftp://h/?{SECRET}",
            f"me:{SECRET}@h/",
        ):
            with pytest.raises(InvalidUrlError) as refused:
                client.web_socket(url)
            assert SECRET not in told(refused.value)
        with pytest.raises(InvalidUrlError) as refused:
            client.web_socket(host=f"me:{SECRET}@h")
        assert SECRET not in told(refused.value)
        with pytest.raises(InvalidUrlError) as refused:
            client.web_socket("ws://h/", path=f"/a?token={SECRET}\n")
        assert SECRET not in told(refused.value)


def test_options_are_not_shown() -> None:
    def make(proxy: str) -> Any:
        return None

    with pytest.raises(TypeError, match="make made None, which is not an Http") as caught:
        HttpClient(partial(make, proxy=f"http://me:{SECRET}@proxy:3128"))
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_proxy_that_fails_shows_no_password(engine: EngineFactory, scheme: str) -> None:
    for answer in (b"HTTP/1.1 407 No\r\n\r\n", b"SSH-2.0-none\r\n", b""):
        async with http_proxy(answer=answer) as log:
            through = partial(engine, proxy=log.url.replace("://", f"://me:{SECRET}@"))
            async with HttpClient(through, install(WebSockets), _expecting_success) as client:
                with pytest.raises(KtorClientError) as caught:
                    if scheme == "ws":
                        await client.web_socket_session(f"ws://h/?token={SECRET}")
                    else:
                        await client.get(f"http://h/?token={SECRET}")
        assert SECRET not in told(caught.value)


# --- nothing is told to logs


async def test_no_secret_reaches_a_log(
    engine: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    async def refusing(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(refusing) as server:
        async with HttpClient(engine, install(WebSockets)) as client:
            url = server.url.replace("://", f"://user:{SECRET}@")
            with pytest.raises(WebSocketHandshakeError) as caught:
                await client.web_socket_session(url, headers=SECRETS)
            response = caught.value.response
            texts += [repr(x) for x in (caught.value, response, response.request, client)]
            texts.append(repr(response.request.headers))
    texts += [record.getMessage() for record in caplog.records if record.name.startswith("ktor")]
    assert not [text for text in texts if SECRET in text]
