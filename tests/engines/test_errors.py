"""Every way in which a connection fails: one of our errors, which says what happened and where."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import httpx
import pytest

from ktor_client.engine import HttpClientEngine, WebSocketOptions
from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.resolver import Address, Resolver
from ktor_client.engines import AiohttpEngine, HttpxEngine
from ktor_client.errors import (
    ClientClosedError,
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    InvalidUrlError,
    KtorClientError,
    ProxyError,
    TlsError,
)
from ktor_client.http import HttpResponse
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get, handshake

Call = Callable[[HttpClientEngine, str], Awaitable[object]]


async def _get(engine: HttpClientEngine, url: str) -> HttpResponse:
    return await engine.execute(get(url.replace("ws", "http", 1)))


async def _open(engine: HttpClientEngine, url: str) -> object:
    return await engine.open_web_socket(handshake(url), WebSocketOptions())


@pytest.fixture(params=[_get, _open], ids=["http", "WebSocket"])
def call(request: pytest.FixtureRequest) -> Call:
    """A request, or a handshake."""
    call: Call = request.param
    return call


async def failure(
    error: type[KtorClientError], client: HttpClientEngine, call: Call, url: str, where: str
) -> KtorClientError:
    """Return the error, which is of exactly that class, and close the engine."""
    with pytest.raises(error) as caught:
        await call(client, url)
    assert type(caught.value) is error
    assert str(caught.value).startswith(type(client).__name__)
    assert where in str(caught.value)
    assert caught.value.__cause__ is not None
    await client.close()
    return caught.value


async def test_nobody_listens(engine: EngineFactory, call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await failure(
        ConnectError, engine(), call, f"ws://127.0.0.1:{port}/?token=s3cret", f"127.0.0.1:{port}"
    )
    assert "could not connect to" in str(error)
    assert str(error).count(f"{port}") == 2  # ours, and in what the system said
    assert "s3cret" not in str(error)
    assert error.nothing_sent


async def test_a_refused_connection_is_called_that(engine: EngineFactory, call: Call) -> None:
    """By whatever name and engine; one cause is enough."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for where, options in (
        (f"127.0.0.1:{port}", {}),
        (f"localhost:{port}", {}),
        (f"127.0.0.1:{port}", {"proxy": f"http://127.0.0.1:{port}"}),
        (f"127.0.0.1:{port}", {"proxy": f"socks5://localhost:{port}"}),
    ):
        kind = ProxyError if options else ConnectError
        error = await failure(kind, engine(**options), call, f"ws://{where}/", f"{port}")
        assert f"Connection refused (127.0.0.1, port {port})" in str(error)
        cause = error.__cause__
        assert cause is not None
        assert cause.__cause__ is None
        assert cause.__context__ is None or cause.__suppress_context__


async def test_a_name_that_does_not_resolve(engine: EngineFactory, call: Call) -> None:
    await failure(DnsError, engine(), call, "ws://nobody.invalid:81/", "resolve nobody.invalid:81")


async def test_a_name_that_cannot_be_looked_up(engine: EngineFactory, call: Call) -> None:
    client = engine()
    with pytest.raises((InvalidUrlError, DnsError), match=type(client).__name__):
        await call(client, f"ws://{'a' * 64}.invalid/")
    await client.close()


async def test_a_certificate_of_nobody_we_know(engine: EngineFactory, call: Call) -> None:
    async with raw_server(_read, tls=server_context()) as server:
        error = await failure(TlsError, engine(), call, server.url, f"127.0.0.1:{server.port}")
        assert "does not trust the certificate" in str(error)
        assert str(error).endswith("; to trust it, give the engine an ssl_context that does")
        assert error.nothing_sent


async def test_a_certificate_for_another_name(engine: EngineFactory, call: Call) -> None:
    async with raw_server(_read, tls=server_context("elsewhere.example")) as server:
        client = engine(ssl_context=client_context())
        error = await failure(TlsError, client, call, server.url, f"127.0.0.1:{server.port}")
        assert "ssl_context" not in str(error)  # it is trusted, for another name


async def test_no_tls_on_that_port(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.reader.read(1)
        assert hello == b"\x16", "not a TLS ClientHello: sent in clear"
        await peer.send(b"HTTP/1.1 400 This is no TLS\r\n\r\n")

    async with raw_server(script) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        client = engine(ssl_context=client_context())
        error = await failure(TlsError, client, call, url, f"127.0.0.1:{server.port}")
        assert str(error).endswith("; no TLS is spoken there, so ws:// or http:// may be meant")


async def test_the_end_during_the_tls_handshake(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)

    async with raw_server(script) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        client = engine(ssl_context=client_context())
        with pytest.raises(ConnectError, match=f"127.0.0.1:{server.port}"):
            await call(client, url)
        await client.close()


async def test_the_tls_handshake_takes_too_long(engine: EngineFactory, call: Call) -> None:
    async with raw_server(_read) as server:
        client = engine(ssl_context=client_context(), connect_timeout=0.05)
        url = f"wss://127.0.0.1:{server.port}/?token=s3cret"
        error = await failure(ConnectTimeoutError, client, call, url, "within 0.05 s")
        assert f"127.0.0.1:{server.port}" in str(error)
        assert "s3cret" not in str(error)
        await server.finished.wait()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_the_server_hangs_up(engine: EngineFactory, call: Call, tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()

    async with raw_server(script, tls=server_context() if tls else None) as server:
        client = engine(ssl_context=client_context())
        error = await failure(ConnectError, client, call, server.url, f"127.0.0.1:{server.port}")
        assert not error.nothing_sent


async def test_the_server_resets(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        peer.reset()

    async with raw_server(script) as server:
        where = f"127.0.0.1:{server.port}"
        error = await failure(ConnectError, engine(), call, server.url, where)
        assert not error.nothing_sent


async def test_the_end_within_the_head(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 101 x\r\nSet-Cookie: s3cret\r\n")

    async with raw_server(script) as server:
        error = await failure(ConnectError, engine(), call, server.url, f"{server.port}")
        assert "isconnected" in str(error)
        assert "s3cret" not in str(error)


Ending = Callable[[Peer], Awaitable[None]]


async def _hangs_up(peer: Peer) -> None:
    """Say nothing."""


async def _after_interim(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 102 Wait\r\n\r\n")


async def _within_a_word(peer: Peer) -> None:
    await peer.send(b"HT")


async def _within_the_head(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 101 x\r\nUpgr")


async def _resets(peer: Peer) -> None:
    peer.reset()


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (_hangs_up, "Server disconnected"),
        (_after_interim, "Server disconnected within the head of its answer"),
        (_within_a_word, "Server disconnected within the head of its answer"),
        (_within_the_head, "Server disconnected within the head of its answer"),
        (_resets, r"\[Errno \d+\] Connection reset by peer"),
    ],
)
@pytest.mark.parametrize("is_adopted", [False, True], ids=["own", "adopted"])
async def test_a_connection_that_ends_is_told_alike(
    engine: EngineFactory, call: Call, ending: Ending, told: str, is_adopted: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await ending(peer)

    async with raw_server(script) as server, AsyncExitStack() as stack:
        if is_adopted and ending is not _within_the_head:  # libraries tell less, or differ
            told = told.removesuffix(" within the head of its answer")
            told += "( within the head of its answer)?"
        if not is_adopted:
            client = engine()
        elif engine is AiohttpEngine:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            client = AiohttpEngine(session=session)
        elif engine is HttpxEngine:
            client = HttpxEngine(client=await stack.enter_async_context(httpx.AsyncClient()))
            told = told.removesuffix(" within the head of its answer")  # httpx does not tell
        else:
            return
        error = await failure(ConnectError, client, call, server.url, f"127.0.0.1:{server.port}")
        text = str(error).partition(" ")[2]
        assert re.fullmatch(rf"got no answer from 127\.0\.0\.1:{server.port}: {told}", text)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 101 x\r\n: y\r\n\r\n",
    ],
    ids=["ssh", "status", "zeros", "header"],
)
async def test_no_http(engine: EngineFactory, call: Call, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(answer)

    async with raw_server(script) as server:
        url = f"{server.url}?token=s3cret"
        error = await failure(ConnectError, engine(), call, url, f"127.0.0.1:{server.port}: ")
        assert "s3cret" not in str(error)
        assert "message" not in str(error)  # as aiohttp writes beside a status that nobody sent
        assert "\n" not in str(error)


async def test_a_head_without_end(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        try:
            await peer.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                await peer.send(b"x" * 65536)
        except OSError:
            return

    async with raw_server(script) as server, asyncio.timeout(20):
        await failure(ConnectError, engine(), call, server.url, f"127.0.0.1:{server.port}")


async def test_no_such_unix_socket(engine: EngineFactory, call: Call, tmp_path: Path) -> None:
    client = engine(unix_socket=os.fspath(tmp_path / "none"))
    await failure(ConnectError, client, call, "ws://example.org/", "none")


async def test_the_engine_closes_under_a_request(engine: EngineFactory, call: Call) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        arrived.set()
        await peer.read_eof()

    arrived = asyncio.Event()
    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        waiting = asyncio.ensure_future(call(client, server.url))
        await arrived.wait()
        await client.close()
        with pytest.raises(KtorClientError):
            await waiting


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"limit": 0}, ValueError, "limit"),
        ({"limit": "5"}, TypeError, "limit"),
        ({"limit": True}, TypeError, "limit"),
        ({"ssl_context": True}, TypeError, "ssl.SSLContext"),
        ({"proxy": 5}, TypeError, "proxy"),
        ({"proxy": "ftp://u:s3cret@host"}, ValueError, "http, https or socks5"),
        ({"proxy": "http://u:s3cret@host:port"}, ValueError, "port"),
        ({"proxy": "http://u:s3cret@"}, ValueError, "proxy is a URL"),
        ({"proxy": "http://u:s3cret@host/path"}, ValueError, "proxy is a URL"),
        ({"connect_timeout": 0}, ValueError, "connect_timeout"),
        ({"connect_timeout": "1"}, TypeError, "connect_timeout"),
        ({"unix_socket": "/x", "proxy": "http://host"}, ValueError, "unix_socket"),
        ({"unix_socket": "/x", "trust_env": True}, ValueError, "unix_socket"),
        ({"unix_socket": b"/x"}, TypeError, "unix_socket"),
    ],
)
def test_options_that_cannot_be(
    engine: EngineFactory, options: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        engine(**options)
    assert "s3cret" not in str(caught.value)


async def _read(peer: Peer) -> None:
    try:
        await peer.read_eof()
    except (OSError, ssl.SSLError):
        return


async def test_closed_while_it_connects(
    engine: EngineFactory, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = engine()
    addresses = Resolver.addresses

    async def closing(resolver: Resolver, host: str, port: int) -> list[Address]:
        await client.close()
        return await addresses(resolver, host, port)

    monkeypatch.setattr(Resolver, "addresses", closing)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ClientClosedError, match="was closed"):
            await call(client, f"ws://127.0.0.1:{server.getsockname()[1]}/")
