"""TLS with an authority of one's own, client certificates, and Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.resolver import Address, Resolver
from ktor_client.engines import AiohttpEngine
from ktor_client.errors import ConnectError, ProxyError, TlsError
from ktor_client.frames import TextFrame
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server
from tests.support.certificates import client_context, server_context
from tests.support.leaks import Held
from tests.support.proxy_server import http_proxy
from tests.support.raw_server import TEXT, Peer, frame, raw_server
from tests.support.receiver import get, open_link, start


async def serve(peer: Peer) -> None:
    """Answer a handshake with a 101 and a message, a request with two bytes."""
    try:
        await peer.read_request()
    except (asyncio.IncompleteReadError, OSError):
        return
    if "upgrade" in peer.headers:
        await peer.send(peer.switch(trailing=frame(TEXT, peer.headers["host"].encode())))
        await peer.read_eof()
    else:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def test_a_client_certificate(engine: EngineFactory) -> None:
    context = server_context(client_certificate=True)
    async with raw_server(serve, tls=context) as server:
        client = engine(ssl_context=client_context(certificate=True))
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame(f"127.0.0.1:{server.port}")
        response = await client.execute(get(f"https://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == b"ok"
        await client.close()


async def test_without_the_client_certificate(engine: EngineFactory) -> None:
    context = server_context(client_certificate=True)
    async with raw_server(serve, tls=context) as server:
        client = engine(ssl_context=client_context())
        with pytest.raises(ConnectError, match=f"127.0.0.1:{server.port}"):
            await open_link(client, server.url)
        await client.close()


async def test_a_name_that_ends_in_a_dot(
    engine: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a name from the root on; certificates leave the dot out."""

    async def addresses(_: Resolver, host: str, port: int) -> list[Address]:
        assert host == "example.org."
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", port))]

    monkeypatch.setattr(Resolver, "addresses", addresses)
    async with raw_server(serve, tls=server_context("example.org")) as server:
        client = engine(ssl_context=client_context())
        url = f"wss://example.org.:{server.port}/"
        receiver = start((await open_link(client, url)).link)
        assert await receiver.next() == TextFrame(f"example.org.:{server.port}")
        await client.close()


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
async def test_a_unix_socket(engine: EngineFactory, tmp_path: Path, scheme: str) -> None:
    """Whatever the host, the socket is the one of the option; wss and https have TLS on it."""
    path = os.fspath(tmp_path / "socket")
    tls = server_context("example.org") if scheme in ("wss", "https") else None
    client = engine(unix_socket=path, ssl_context=client_context())
    async with raw_server(serve, tls=tls, path=path):
        if scheme in ("ws", "wss"):
            upgrade = await open_link(client, f"{scheme}://example.org/")
            receiver = start(upgrade.link)
            assert await receiver.next() == TextFrame("example.org")
            assert upgrade.link is not None
            assert upgrade.link.peer_address is None
        else:
            response = await client.execute(get(f"{scheme}://example.org/"))
            assert await response.body_as_bytes() == b"ok"
        await client.close()


@pytest.mark.parametrize("way", ["direct", "unix"])
async def test_the_time_for_a_handshake_is_ours(
    engine: EngineFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Asyncio has a limit of its own, which a longer `connect_timeout` must not meet."""
    path = os.fspath(tmp_path / "socket") if way == "unix" else None
    async with raw_server(serve, tls=server_context(), path=path) as server:
        monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", 1e-6)
        client = engine(ssl_context=client_context(), **({"unix_socket": path} if path else {}))
        url = f"https://127.0.0.1{'' if path else f':{server.port}'}/"
        assert (await client.execute(get(url))).status == 200
        await client.close()


@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_a_port_without_tls_says_so_at_once(engine: EngineFactory, scheme: str) -> None:
    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        url = f"{scheme}://127.0.0.1:{server.port}/echo"
        with pytest.raises(TlsError, match=f"127.0.0.1:{server.port}.*WRONG_VERSION_NUMBER"):
            await (client.get(url) if scheme == "https" else client.web_socket_session(url))


@pytest.mark.parametrize("way", ["direct", "session", "unix", "proxy"])
@pytest.mark.parametrize("is_reset", [False, True], ids=["ended", "reset"])
async def test_a_peer_that_hangs_up_during_the_handshake(
    engine: EngineFactory, tmp_path: Path, way: str, is_reset: bool
) -> None:
    """Asyncio says no more of it than `ConnectionResetError`."""
    path = os.fspath(tmp_path / "socket") if way == "unix" else None

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        if is_reset:
            peer.reset()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(raw_server(script, path=path))
        options: dict[str, Any] = {}
        if way == "session":
            if engine is not AiohttpEngine:
                pytest.skip("its words are those of others")
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession())
        elif way == "unix":
            options["unix_socket"] = path
        elif way == "proxy":
            options["proxy"] = f"https://127.0.0.1:{server.port}"
        client = await stack.enter_async_context(HttpClient(engine(**options)))
        text = "could not agree on TLS with .*: the connection ended during the handshake"
        with pytest.raises(ProxyError if way == "proxy" else TlsError, match=text) as caught:
            await client.get(f"https://127.0.0.1:{server.port}/")
        assert caught.value.nothing_sent
        assert ("reset" in str(caught.value).lower()) is (is_reset and way != "unix")
        await client.engine.close()


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("wss", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
        ("wss", b"\0\0\x12\x04\0\0\0\0\0"),  # HTTP/2
        ("https", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
    ],
    ids=["refusal", "no HTTP", "last answer"],
)
async def test_a_peer_that_says_no_farewell(
    engine: EngineFactory, scheme: str, answer: bytes
) -> None:
    """TLS has a farewell of its own; a connection that is dropped waits for nobody's."""
    held: list[Held] = []
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        held.append(Held())
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a duplex one
        await peer.send(answer)
        await gone.wait()
        peer.writer.transport.abort()

    async with raw_server(script, tls=server_context()) as server:
        client = engine(ssl_context=client_context())
        url = f"{scheme}://127.0.0.1:{server.port}/"
        with contextlib.suppress(ConnectError):
            if scheme == "wss":
                await open_link(client, url)
            else:
                response = await client.execute(get(url))
                assert await response.body_as_bytes() == b"ok"
        held[0].sockets -= 1  # the client's
        try:
            await held[0].again()
        finally:
            gone.set()
            await server.finished.wait()
            await client.close()


@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_the_name_of_the_certificate_is_an_option(engine: EngineFactory, scheme: str) -> None:
    """And what is asked for as SNI; the Host field stays the URL's."""
    context = server_context("example.org")
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with raw_server(serve, tls=context) as server:
        trusting = partial(engine, ssl_context=client_context(), server_hostname="Example.ORG.")
        async with HttpClient(trusting, install(WebSockets)) as client:
            if scheme == "wss":
                async with client.web_socket(server.url) as session:
                    assert await session.receive_text() == f"127.0.0.1:{server.port}"
            else:
                await client.get(f"https://127.0.0.1:{server.port}/")
        other = partial(engine, ssl_context=client_context(), server_hostname="example.com")
        async with HttpClient(other, install(WebSockets)) as client:
            with pytest.raises(TlsError, match=r"example\.com"):
                await ask(client, f"{scheme}://127.0.0.1:{server.port}/")
    assert asked == ["example.org", "example.com"]


async def ask(client: HttpClient, url: str) -> None:
    await (client.web_socket_session(url) if url.startswith("ws") else client.get(url))


@pytest.mark.parametrize(
    ("scheme", "way"),
    [
        *((scheme, way) for scheme in ("https", "wss") for way in ("direct", "tunnel", "proxy")),
        ("ws", "proxy"),
        ("http", "proxy"),
    ],
)
async def test_a_context_that_offers_http2(engine: EngineFactory, scheme: str, way: str) -> None:
    """What was agreed on is looked at: bytes of HTTP/2 are no answer to HTTP/1.1."""
    mine, theirs = client_context(), server_context()
    for context in (mine, theirs):
        context.set_alpn_protocols(["h2", "http/1.1"])
    heard = bytearray()

    class Http2(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.extend(data)

    server = await asyncio.get_running_loop().create_server(Http2, "127.0.0.1", 0, ssl=theirs)
    port = server.sockets[0].getsockname()[1]
    async with AsyncExitStack() as stack:
        stack.callback(server.close)
        options: dict[str, Any] = {}
        if way == "tunnel":
            log = await stack.enter_async_context(http_proxy())
            options["proxy"] = log.url
        elif way == "proxy":
            options["proxy"] = f"https://127.0.0.1:{port}"
        made = partial(engine, ssl_context=mine, **options)
        kind = ProxyError if way == "proxy" else TlsError
        async with HttpClient(made, install(WebSockets)) as client:
            with pytest.raises(kind, match=r"'h2' \(HTTP/2\).*set_alpn_protocols\(\['http/1.1"):
                await ask(client, f"{scheme}://127.0.0.1:{port}/")
    assert not heard
