"""An opening that took too long says how far it had come, whichever limit was over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from ktor_client import ConnectTimeoutError, HttpClient, OpenTimeoutError, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.resolver import Address, Resolver
from ktor_client.plugins import WebSockets
from tests.engine.test_happy_eyeballs import silent
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import Peer, raw_server

GIVE_UP = 0.4
"""Seconds of the limit that shall be over."""

Fails = Callable[..., Awaitable[str]]


async def _silent(peer: Peer) -> None:
    try:
        await peer.read_eof()
    except OSError:
        pass  # the client has left


@pytest.fixture(params=["open_timeout", "connect_timeout"])
def fails(request: pytest.FixtureRequest, engine: EngineFactory) -> Fails:
    """Open a WebSocket under either limit, and return what its error says."""

    async def fails(url: str, **options: object) -> str:
        error: type[Exception] = OpenTimeoutError
        plugin = install(WebSockets, open_timeout=GIVE_UP)
        if request.param == "connect_timeout":
            error, plugin = ConnectTimeoutError, install(WebSockets)
            options["connect_timeout"] = GIVE_UP
        made = engine(ssl_context=client_context(), **options)
        async with HttpClient(made, plugin) as client:
            with pytest.raises(error, match=f"within .*{request.param}") as caught:
                await client.web_socket_session(url)
        await made.close()
        return str(caught.value)

    return fails


async def test_no_connection_is_free(engine: EngineFactory) -> None:
    """Nothing was sent, so nobody is to be blamed for having said nothing."""
    asked: list[bytes] = []

    async def long_answer(peer: Peer) -> None:
        await peer.read_request()
        asked.append(peer.request)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbegi")
        await _silent(peer)

    made = partial(engine, limit=1)
    async with (
        raw_server(long_answer) as server,
        HttpClient(made, install(WebSockets, open_timeout=0.05)) as client,
    ):
        async with client.prepare_get(server.url.replace("ws", "http", 1)):
            with pytest.raises(OpenTimeoutError) as caught:
                await client.web_socket_session(server.url)
    assert str(caught.value).endswith("; it was still waiting for a free connection (limit=1)")
    assert len(asked) == 1


async def test_looking_up(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Resolver, host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(Resolver, "addresses", never)
    assert (await fails("ws://example.org/")).endswith("; it was still looking up example.org")


async def test_connecting(fails: Fails) -> None:
    with silent() as port:
        said = await fails(f"ws://127.0.0.1:{port}/")
    assert said.endswith(f"; it was still connecting to 127.0.0.1:{port}")


async def test_agreeing_on_tls(fails: Fails) -> None:
    async with raw_server(_silent) as server:
        said = await fails(f"wss://127.0.0.1:{server.port}/")
        await server.finished.wait()
    assert said.endswith(f"; it was still agreeing on TLS with 127.0.0.1:{server.port}")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_waiting_for_the_proxy(fails: Fails, scheme: str) -> None:
    async with raw_server(_silent) as server:
        proxy = f"{scheme}://127.0.0.1:{server.port}"
        said = await fails("ws://example.org/", proxy=proxy.replace("://", "://user:s3cret@"))
        await server.finished.wait()
    assert said.endswith(f"; it was still waiting for the proxy {proxy}")


async def test_agreeing_on_tls_with_the_proxy(fails: Fails) -> None:
    async with raw_server(_silent) as server:
        proxy = f"https://127.0.0.1:{server.port}"
        said = await fails("ws://example.org/", proxy=proxy)
        await server.finished.wait()
    assert said.endswith(f"; it was still agreeing on TLS with the proxy {proxy}")


async def test_agreeing_on_tls_behind_the_proxy(fails: Fails) -> None:
    async with raw_server(_answers_connect) as server:
        said = await fails("wss://example.org/", proxy=f"http://127.0.0.1:{server.port}")
        await server.finished.wait()
    assert said.endswith("; it was still agreeing on TLS with example.org:443")


async def _answers_connect(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await _silent(peer)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_the_answer_to_the_handshake(engine: EngineFactory, tls: bool) -> None:
    async with _listening(tls) as url:
        made = engine(ssl_context=client_context())
        async with HttpClient(made, install(WebSockets, open_timeout=GIVE_UP)) as client:
            with pytest.raises(OpenTimeoutError, match=r"open_timeout=0\.4 s; no answer came$"):
                await client.web_socket_session(url)
        await made.close()


@asynccontextmanager
async def _listening(tls: bool) -> AsyncGenerator[str, None]:
    async with raw_server(_silent, tls=server_context() if tls else None) as server:
        yield server.url
        await server.finished.wait()
