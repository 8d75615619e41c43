"""Sessions and clients that the caller brings: used as they are, and never closed."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import aiohttp
import httpx
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import Framework

from ktor_client import HttpClient, install
from ktor_client.causes import causes
from ktor_client.engine import HttpClientEngine, WebSocketOptions
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine
from ktor_client.errors import (
    ClientClosedError,
    ConnectError,
    RedirectError,
    RequestTimeoutError,
    UnsupportedCapabilityError,
)
from ktor_client.frames import BinaryFrame, TextFrame
from ktor_client.plugins import WebSockets
from tests.support.cancellation import cancelled_at
from tests.support.certificates import client_context, server_context, write_identity
from tests.support.proxy_server import http_proxy
from tests.support.raw_server import CLOSE, TEXT, Peer, frame, raw_server
from tests.support.receiver import get, handshake, open_link, start

Adopt = Callable[..., HttpClientEngine]


@pytest.fixture
async def adopt(engine: EngineFactory) -> AsyncIterator[Adopt]:
    """Makes an engine around an object of the library's own; both are closed after the test."""
    async with AsyncExitStack() as stack:

        def make(
            proxy: str | None = None, timeout: float | None = None, trust_env: bool = False
        ) -> HttpClientEngine:
            made: HttpClientEngine
            more: dict[str, Any] = {} if proxy is None else {"proxy": proxy}
            if engine is AiohttpEngine:
                session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=client_context()),
                    timeout=aiohttp.ClientTimeout(total=timeout),
                    trust_env=trust_env,
                    **more,
                )
                stack.push_async_callback(session.close)
                made = AiohttpEngine(session=session)
            else:
                client = httpx.AsyncClient(
                    verify=client_context(), timeout=timeout, trust_env=trust_env, **more
                )
                stack.push_async_callback(client.aclose)
                made = HttpxEngine(client=client)
            stack.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> ssl.SSLContext | None:
    """The server's context, or None."""
    return server_context() if request.param == "tls" else None


async def echo(peer: Peer) -> None:
    """Answer each frame with its payload until the client ends."""
    try:
        await peer.upgrade(trailing=frame(TEXT, b"early"))
        while True:
            first, payload = await peer.read_frame()
            await peer.send(frame(first & 0x0F, payload))
    except (asyncio.IncompleteReadError, OSError):
        return


async def test_a_web_socket(adopt: Adopt, tls: ssl.SSLContext | None) -> None:
    payload = bytes(range(256)) * 2048
    async with raw_server(echo, tls=tls) as server, asyncio.timeout(20):
        client = adopt()
        upgrade = await open_link(client, server.url)
        assert upgrade.response.status == 101
        receiver = start(upgrade.link)
        assert await receiver.next() == TextFrame("early")
        assert upgrade.link is not None
        upgrade.link.send_binary(payload)
        assert await receiver.next() == BinaryFrame(payload)
        assert upgrade.link.peer_address == f"127.0.0.1:{server.port}"
        upgrade.link.send_text("last")
        upgrade.link.close()
        await receiver.end
        await server.finished.wait()


async def test_it_stays_open(adopt: Adopt) -> None:
    async with raw_server(echo) as server, asyncio.timeout(20):
        client = adopt()
        receiver = start((await open_link(client, server.url)).link)
        await client.close()
        assert receiver.end.done()
        with pytest.raises(ClientClosedError, match="is closed"):
            await open_link(client, server.url)
        inner = _inner(client)
        again = (
            HttpxEngine(client=inner)
            if isinstance(inner, httpx.AsyncClient)
            else AiohttpEngine(session=inner)
        )
        receiver = start((await open_link(again, server.url)).link)
        assert await receiver.next() == TextFrame("early")
        await again.close()


async def test_the_caller_closes_it_first(adopt: Adopt, tls: ssl.SSLContext | None) -> None:
    """Closing the library's object does not hang on an open WebSocket, and nothing is left."""
    async with raw_server(echo, tls=tls) as server, asyncio.timeout(20):
        client = adopt()
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame("early")
        await _close(_inner(client))
        with pytest.raises(ClientClosedError, match=r"that (session|client) is closed"):
            await client.execute(get(server.url.replace("ws", "http", 1)))
        await client.close()
        await receiver.end


@pytest.mark.parametrize("when", ["request", "body", "rest"])
async def test_the_caller_closes_it_while_somebody_waits(adopt: Adopt, when: str) -> None:
    """Nobody waits for ever: aiohttp itself forgets who reads a body."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        if when == "rest":  # of a second answer on the connection
            await peer.read_request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        try:
            await peer.read_request()
        except asyncio.IncompleteReadError:  # aiohttp tries again, and then sees that it may not
            return
        if when != "request":
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        asked.set()
        await peer.read_eof()

    async with raw_server(script) as server, asyncio.timeout(20):
        engine = adopt()
        async with HttpClient(engine) as client:
            url = server.url.replace("ws", "http", 1)
            if when == "rest":
                assert await (await client.get(url)).body_as_text() == "ok"

            async def read() -> None:
                async with client.prepare_get(url) as response:
                    async for piece in response.chunks():
                        assert piece == b"half"
                        reading.set()

            reading = asyncio.Event()
            running = asyncio.ensure_future(read())
            await (asked if when == "request" else reading).wait()
            await _close(_inner(engine))
            kind = ClientClosedError if when == "request" else ConnectError
            with pytest.raises(kind, match=r"was closed|the whole body|lost the connection"):
                await running


@pytest.mark.parametrize(
    "location",
    ["mailto:s3cret", "http://me:s3cret/x@h/", "http://me:s3cret@h:x/", "//me:s3cret@[::1"],
)
async def test_a_location_that_is_no_url(adopt: Adopt, location: str) -> None:
    """Whoever reads it, it is the answer that is wrong, and no error shows what it says."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        await peer.send(head.encode())

    async with raw_server(script) as server, HttpClient(adopt()) as client:
        with pytest.raises((ConnectError, RedirectError)) as caught:
            await client.get(server.url.replace("ws", "http", 1))
        if location != "mailto:s3cret":
            assert not any("s3cret" in repr(error) for error in causes(caught.value))


async def test_the_server_ends(adopt: Adopt, tls: ssl.SSLContext | None) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe8"))

    async with raw_server(script, tls=tls) as server, asyncio.timeout(20):
        upgrade = await open_link(adopt(), server.url)
        receiver = start(upgrade.link)
        assert await receiver.next() == TextFrame("last")
        await receiver.end
        assert [control.data for control in receiver.controls] == [b"\x03\xe8"]


async def test_the_server_resets(adopt: Adopt) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_frame()
        peer.reset()

    async with raw_server(script) as server, asyncio.timeout(20):
        upgrade = await open_link(adopt(), server.url)
        receiver = start(upgrade.link)
        assert upgrade.link is not None
        upgrade.link.send_text("go")
        assert isinstance(await receiver.end, Exception)


async def test_backpressure_both_ways(adopt: Adopt) -> None:
    """A paused link holds the server back; a server that does not read makes the link wait."""
    count, payload = 400, bytes(65536)

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        sending = asyncio.ensure_future(peer.send(*[frame(2, payload)] * count))
        done, _ = await asyncio.wait({sending}, timeout=0.3)
        held.set_result(not done)
        await sending
        await read.wait()
        for _ in range(count):
            await peer.reader.readexactly(14 + len(payload))

    read = asyncio.Event()
    held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    async with raw_server(script) as server, asyncio.timeout(50):
        link = (await open_link(adopt(), server.url)).link
        assert link is not None
        receiver = start(link)
        link.pause()
        assert await held
        link.resume()
        for _ in range(count):
            await receiver.next()
        sent = 0
        while link.writable:
            link.send_binary(payload)
            sent += 1
            await asyncio.sleep(0)
            assert sent < count
        read.set()
        for _ in range(count - sent):
            while not link.writable:
                receiver.room.clear()
                await receiver.room.wait()
            link.send_binary(payload)
        await server.finished.wait()


async def test_a_refusal(adopt: Adopt) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nnope")

    async with raw_server(script) as server:
        upgrade = await open_link(adopt(), server.url)
        assert (upgrade.link, upgrade.response.status) == (None, 403)
        assert upgrade.response.retry_after == 3
        assert await upgrade.response.body_as_bytes() == b"nope"


async def test_nobody_listens(adopt: Adopt) -> None:
    async with raw_server(echo) as server:
        pass
    with pytest.raises(ConnectError, match=f"127.0.0.1:{server.port}"):
        await open_link(adopt(), server.url)


async def test_its_own_timeout_applies(adopt: Adopt) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.read_eof()

    async with raw_server(script) as server:
        client = adopt(timeout=0.05)
        with pytest.raises(RequestTimeoutError, match=f"127.0.0.1:{server.port}"):
            await client.execute(get(server.url.replace("ws", "http", 1)))


async def test_its_timeout_ends_with_the_handshake(adopt: Adopt) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await asyncio.sleep(1.2)
        await peer.send(frame(TEXT, b"late"))
        await peer.read_eof()

    async with raw_server(script) as server:
        receiver = start((await open_link(adopt(timeout=1), server.url)).link)
        assert await receiver.next() == TextFrame("late")


@pytest.mark.parametrize("how", ["option", "environment"])
async def test_ws_through_its_http_proxy_is_refused(
    adopt: Adopt, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go out as a GET in absolute form; wss has a tunnel there too."""

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"early"))
        await peer.read_eof()

    async with raw_server(script, tls=server_context()) as server, http_proxy() as log:
        if how == "option":
            if "proxy" not in inspect.signature(aiohttp.ClientSession).parameters:
                pytest.skip("aiohttp before 3.11 has no session-wide proxy")
            client = adopt(proxy=log.url)
        else:
            for name in ("http_proxy", "https_proxy"):
                monkeypatch.setenv(name, log.url)
            monkeypatch.setenv("no_proxy", "")
            client = adopt(trust_env=True)
        with pytest.raises(UnsupportedCapabilityError, match="ws:// through"):
            await open_link(client, "ws://example.org/")
        assert log.heads == []
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame("early")
        assert log.heads[0].startswith(b"CONNECT")


async def test_cancelled_at_every_await(adopt: Adopt) -> None:
    async with raw_server(echo) as server, asyncio.timeout(50):
        client = adopt()
        upgrade, at = None, 0
        while upgrade is None:
            at += 1
            opening = client.open_web_socket(handshake(server.url), WebSocketOptions())
            upgrade = await cancelled_at(opening, at)
        assert upgrade.link is not None
        upgrade.link.abort()
        # httpx is awaited by a task of ours: cancel at steps of the loop, too.
        for steps in range(40):
            task = asyncio.ensure_future(open_link(client, server.url))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                link = task.result().link
                assert link is not None
                link.abort()
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame("early")
        await client.close()


async def test_closed_while_connecting(adopt: Adopt) -> None:
    async def script(peer: Peer) -> None:
        # aiohttp begins a second time by itself, on a session that is not ours, and drops that.
        with contextlib.suppress(asyncio.IncompleteReadError):
            await peer.read_request()
            arrived.set()
            await peer.read_eof()

    arrived = asyncio.Event()
    async with raw_server(script) as server, asyncio.timeout(20):
        client = adopt()
        opening = asyncio.ensure_future(open_link(client, server.url))
        await arrived.wait()
        await client.close()
        await _close(_inner(client))
        with pytest.raises((ClientClosedError, ConnectError)):
            await opening


async def test_closed_but_answered(adopt: Adopt) -> None:
    """The answer to a call that began before the engine was closed is dropped."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        arrived.set()
        await closed.wait()
        if peer.request.startswith(b"GET /http"):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            await peer.send(peer.switch())
        await peer.read_eof()

    async with raw_server(script) as server, asyncio.timeout(20):
        for call in (
            lambda client: open_link(client, server.url),
            lambda client: client.execute(get(f"http://127.0.0.1:{server.port}/http")),
        ):
            arrived, closed, client = asyncio.Event(), asyncio.Event(), adopt()
            waiting = asyncio.ensure_future(call(client))
            await arrived.wait()
            await client.close()
            closed.set()
            with pytest.raises(ClientClosedError, match="was closed during the"):
                await waiting


async def test_a_session_closed_by_its_own_hook() -> None:
    async def close(session: aiohttp.ClientSession, *_: object) -> None:
        await session.close()

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(close)
    client = AiohttpEngine(session=aiohttp.ClientSession(trace_configs=[hooks]))
    with pytest.raises(ClientClosedError, match="closed during the request") as caught:
        await open_link(client, "ws://127.0.0.1:1/")
    assert caught.value.__cause__ is not None
    await client.close()


async def test_an_error_of_a_hook_passes() -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the hook's own")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(fail)
    async with aiohttp.ClientSession(trace_configs=[hooks]) as session:
        client = AiohttpEngine(session=session)
        with pytest.raises(RuntimeError, match="the hook's own"):
            await open_link(client, "ws://127.0.0.1:1/")
        await client.close()


async def test_a_transport_without_a_network() -> None:
    """Httpx can answer by itself; a body that is dropped then has no connection to drop."""

    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        yield b"more"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body()))
    async with httpx.AsyncClient(transport=transport) as inner:
        client = HttpxEngine(client=inner)
        response = await client.execute(get("http://example.org/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"some"
        await response.close()
        await chunks.aclose()
        assert (
            await (await client.execute(get("http://example.org/"))).body_as_bytes() == b"somemore"
        )
        await client.close()


@pytest.mark.parametrize("text", ["hello", ""])
async def test_a_transport_whose_answer_is_read_already(text: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    async with (
        httpx.AsyncClient(transport=transport) as inner,
        HttpClient(HttpxEngine(client=inner)) as client,
    ):
        response = await client.get("http://example.org/")
        assert await response.body_as_text() == text


async def test_a_refusal_by_a_transport_without_a_network() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"members only"

    transport = httpx.MockTransport(lambda _: httpx.Response(403, content=body()))
    async with httpx.AsyncClient(transport=transport) as client:
        engine = HttpxEngine(client=client)
        upgrade = await open_link(engine, "ws://example.org/")
        assert upgrade.link is None
        assert upgrade.response.status == 403
        assert await upgrade.response.body_as_text() == "members only"
        await engine.close()


async def test_nothing_is_written_after_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert await peer.read_eof() == b""

    async with raw_server(script) as server, httpx.AsyncClient() as inner:
        client = HttpxEngine(client=inner)
        async with asyncio.timeout(20):
            upgrade = await open_link(client, server.url)
            assert upgrade.link is not None
            receiver = start(upgrade.link)
            transport: asyncio.Transport = upgrade.link._transport  # type: ignore[attr-defined]
            upgrade.link.abort()
            upgrade.link.abort()
            transport.write(b"too late")
            await receiver.end
            await client.close()
            await server.finished.wait()


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 5},
        {"ssl_context": ssl.create_default_context()},
        {"proxy": "http://127.0.0.1:1"},
        {"trust_env": True},
        {"unix_socket": "/x"},
        {"connect_timeout": 3},
        {"limit": 100},  # what it is by default: the session's may be another
        {"trust_env": False},
        {"connect_timeout": 10},
    ],
)
async def test_socket_options_beside_it_are_refused(options: dict[str, object]) -> None:
    (name,) = options
    async with aiohttp.ClientSession() as session, httpx.AsyncClient() as client:
        with pytest.raises(TypeError, match=rf"session=.*takes no {name}"):
            AiohttpEngine(session=session, **options)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=rf"client=.*takes no {name}"):
            HttpxEngine(client=client, **options)  # type: ignore[arg-type]


async def test_timers_of_aiohttp_end_with_the_handshake() -> None:
    """Neither `total` nor `sock_read` outlives the 101."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at

    def spy(*args: object, **options: object) -> asyncio.TimerHandle:
        timers.append(call_at(*args, **options))  # type: ignore[arg-type]
        return timers[-1]

    timeout = aiohttp.ClientTimeout(total=500, sock_read=500)
    async with raw_server(echo) as server, aiohttp.ClientSession(timeout=timeout) as session:
        client = AiohttpEngine(session=session)
        loop.call_at = spy  # type: ignore[method-assign]
        try:
            upgrade = await open_link(client, server.url)
        finally:
            del loop.call_at
        long = [timer for timer in timers if timer.when() - loop.time() > 100]
        assert len(long) >= 2
        assert all(timer.cancelled() for timer in long), long
        assert upgrade.link is not None
        await client.close()


async def test_a_101_that_upgrades_nothing() -> None:
    """Aiohttp takes it for any response, whose connection it keeps: it must not be used again."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 101 Odd\r\nX-Odd: yes\r\n\r\n")
        assert await peer.read_eof() == b""

    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        aiohttp.ClientSession() as session,
    ):
        client = AiohttpEngine(session=session)
        upgrade = await open_link(client, server.url)
        assert upgrade.response.headers["x-odd"] == "yes"
        await start(upgrade.link).end
        await server.finished.wait()
        await client.close()


def _inner(client: HttpClientEngine) -> aiohttp.ClientSession | httpx.AsyncClient:
    inner: aiohttp.ClientSession | httpx.AsyncClient | None
    if isinstance(client, AiohttpEngine):
        inner = client._session
    else:
        assert isinstance(client, HttpxEngine)
        inner = client._client
    assert inner is not None
    return inner


async def _close(inner: aiohttp.ClientSession | httpx.AsyncClient) -> None:
    await (inner.close() if isinstance(inner, aiohttp.ClientSession) else inner.aclose())


def test_another_object_is_refused() -> None:
    with httpx.Client() as client, pytest.raises(TypeError, match=r"AsyncClient, not Client"):
        HttpxEngine(client=client)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"ClientSession, not str"):
        AiohttpEngine(session="http")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- a client of httpx that speaks HTTP/2, where requests share a connection


async def _http2_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            await send({"type": f"{(await receive())['type']}.complete"})
    is_slow = scope["path"] == "/slow"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(10 if is_slow else 1):
        await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
        await asyncio.sleep(0)
        if is_slow and number == 4:
            await _http2_halfway.wait()
    await send({"type": "http.response.body", "body": b""})


_http2_halfway = asyncio.Event()


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_other_requests_of_a_client_with_http2(
    tmp_path: Path, scheme: str, unused_tcp_port: int
) -> None:
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    write_identity(certificate, key)
    config = Config()
    config.bind = [f"127.0.0.1:{unused_tcp_port}"]
    config.certfile, config.keyfile = str(certificate), str(key)
    config.errorlog = config.accesslog = None
    stop = asyncio.Event()
    server = asyncio.create_task(
        serve(cast("Framework", _http2_app), config, shutdown_trigger=stop.wait)
    )
    _http2_halfway.clear()
    url = f"127.0.0.1:{unused_tcp_port}"
    async with httpx.AsyncClient(http2=True, verify=client_context()) as inner:
        while True:
            try:
                assert (await inner.get(f"https://{url}/")).http_version == "HTTP/2"
                break
            except httpx.ConnectError:  # it has not begun to listen
                await asyncio.sleep(0.01)
        slow = asyncio.create_task(inner.get(f"https://{url}/slow"))
        await asyncio.sleep(0)
        async with HttpClient(HttpxEngine(client=inner), install(WebSockets)) as client:
            if scheme == "wss":
                with pytest.raises(UnsupportedCapabilityError, match=r"AsyncClient\(http2=False\)"):
                    await client.web_socket_session(f"wss://{url}/ws")
            else:
                assert (await client.get(f"https://{url}/")).http_version == "2"
                async with client.prepare_get(f"https://{url}/slow"):
                    pass  # and closed in its middle
            _http2_halfway.set()
            assert (await slow).text == "0 1 2 3 4 5 6 7 8 9 "
            assert (await inner.get(f"https://{url}/")).status_code == 200
    stop.set()
    await asyncio.wait({server})
