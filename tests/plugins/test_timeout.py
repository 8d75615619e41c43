"""Time limits of requests: what each covers, what it says, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    CONNECT_TIMEOUT,
    SOCKET_TIMEOUT,
    ConnectTimeoutError,
    HttpClient,
    HttpRequest,
    PluginNotInstalledError,
    RequestTimeoutError,
    SocketTimeoutError,
    install,
    timeout,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import HttpTimeout, WebSockets
from ktor_client.testing import MockPeerSession, respond
from tests.support.raw_server import Peer, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
SHORT = 0.05
"""Seconds of a limit that is to be over."""
LONG = 30
"""Seconds of a limit that is not."""


async def serve(peer: Peer) -> None:
    """Answer a request with nothing, with the beginning of a body, or with all of it."""
    while True:
        try:
            await peer.read_request()
        except (asyncio.IncompleteReadError, OSError):
            return
        target = peer.request.split()[1]
        if target == b"/silent":
            break
        await peer.send(HEAD, b"12345")
        if target == b"/stalling":
            break
        await peer.send(b"67890")
    await peer.read_eof()


def slow_engine() -> MockEngine:
    """Answer "/" after 5 virtual seconds, and "/stream" at once, with a body that takes 10."""
    engine = MockEngine()

    async def slow(request: HttpRequest) -> str:
        await engine.clock.sleep(5)
        return "Text"

    async def body() -> AsyncIterator[bytes]:
        for _ in range(10):
            await engine.clock.sleep(1)
            yield b"x"

    engine.on_request("/", slow)
    engine.on_request("/stream", lambda _: respond(body()))
    engine.on_request("/moved", lambda _: respond("", 302, {"Location": "/"}))
    return engine


# --- the whole request, in virtual time


@pytest.mark.parametrize("path", ["/", "/stream"])
async def test_a_request_in_time(path: str) -> None:
    engine = slow_engine()
    async with HttpClient(engine, install(HttpTimeout, request_timeout=11)) as client:
        assert (await client.get(path)).status == 200
        await engine.clock.sleep(60)  # and nothing is over behind its back
        assert (await client.head(path)).status == 200


@pytest.mark.parametrize(
    ("path", "under_way"), [("/", "waiting for the answer"), ("/stream", "reading the body")]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_out_of_time(path: str, under_way: str, method: str) -> None:
    engine = slow_engine()
    limit = install(HttpTimeout, request_timeout=timedelta(seconds=3))
    async with HttpClient(engine, limit) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            await client.request(method, f"{path}?token=s3cret")
    assert type(caught.value) is RequestTimeoutError
    assert str(caught.value) == (
        f"MockEngine did not finish {method} http://localhost{path}?... within "
        f"request_timeout=3 s; it was still {under_way}"
    )
    assert engine.clock.time() == 3


async def test_a_stream_that_is_read_later() -> None:
    engine = slow_engine()
    got = 0
    async with HttpClient(engine, install(HttpTimeout, request_timeout=3.5)) as client:
        with pytest.raises(RequestTimeoutError, match="still reading the body"):
            async with client.prepare_get("/stream") as response:
                async for chunk in response.chunks():
                    got += len(chunk)
        assert got == 3
        with pytest.raises(RequestTimeoutError, match="still reading the body"):
            async with client.prepare_get("/stream") as response:
                await engine.clock.sleep(60)
                await response.body_as_bytes()
        assert engine.clock.time() == 63.5


async def test_each_hop_of_redirects_has_its_time() -> None:
    engine = slow_engine()
    async with HttpClient(engine, install(HttpTimeout, request_timeout=6)) as client:
        assert (await client.get("/moved")).status == 200
    async with HttpClient(engine, install(HttpTimeout, request_timeout=4)) as client:
        with pytest.raises(RequestTimeoutError):
            await client.get("/moved")


async def test_a_limit_of_one_request() -> None:
    async with HttpClient(slow_engine(), install(HttpTimeout)) as client:
        with pytest.raises(RequestTimeoutError, match="request_timeout=1 s"):
            await client.get("/", timeout(request=1))
        assert (await client.get("/")).status == 200
    async with HttpClient(slow_engine(), install(HttpTimeout, request_timeout=1)) as client:
        assert (await client.get("/", timeout(request=60))).status == 200
        assert (await client.get("/", timeout(request=None))).status == 200


async def test_a_limit_of_the_callers_own_is_not_taken_for_it() -> None:
    engine = MockEngine(real_time=True)

    async def never(request: HttpRequest) -> str:
        await asyncio.Event().wait()
        return ""

    engine.on_request("/", never)
    async with HttpClient(engine, install(HttpTimeout, request_timeout=LONG)) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(SHORT):
                await client.get("/")
    assert not isinstance(caught.value, RequestTimeoutError)


async def test_an_error_of_a_handler_passes() -> None:
    mine = TimeoutError("of the handler's")
    async with HttpClient(MockEngine(lambda _: mine), install(HttpTimeout, request_timeout=1)) as c:
        with pytest.raises(TimeoutError) as caught:
            await c.get("/")
    assert caught.value is mine


async def test_sessions_have_no_limit_of_requests() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.delay(60)
        await session.send("late")

    engine = MockEngine()
    engine.on_web_socket("/", peer, delay=5)
    blocks = (install(WebSockets), install(HttpTimeout, request_timeout=1))
    async with HttpClient(engine, *blocks) as client:
        async with client.web_socket("/", timeout(request=1)) as session:
            assert await session.receive_text() == "late"


# --- and on the wire


@pytest.mark.parametrize("path", ["silent", "stalling"])
@pytest.mark.parametrize("streamed", [False, True], ids=["read", "streamed"])
async def test_a_request_out_of_time_gives_its_connection_back(
    engine: EngineFactory, path: str, streamed: bool
) -> None:
    async with raw_server(serve) as server:
        url = server.url.replace("ws", "http")
        async with HttpClient(partial(engine, limit=1), install(HttpTimeout)) as client:
            for _ in range(2):
                with pytest.raises(RequestTimeoutError, match=f"request_timeout={SHORT:g} s"):
                    if streamed:
                        late = client.prepare_get(url + path, timeout(request=SHORT))
                        async with late as response:
                            await response.body_as_bytes()
                    else:
                        await client.get(url + path, timeout(request=SHORT))
            response = await client.get(url, timeout(request=LONG))
            assert await response.body_as_bytes() == b"1234567890"


async def test_the_error_says_how_far_it_came(engine: EngineFactory) -> None:
    async def no_tls(peer: Peer) -> None:
        await peer.read_eof()

    async with raw_server(no_tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        async with HttpClient(engine, install(HttpTimeout, request_timeout=SHORT)) as client:
            with pytest.raises(RequestTimeoutError, match="it was still ") as caught:
                await client.get(url)
            await server.finished.wait()
    assert type(caught.value) is RequestTimeoutError


async def test_an_upload_that_nobody_reads(engine: EngineFactory) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with raw_server(deaf) as server:
        url = server.url.replace("ws", "http")
        async with HttpClient(engine, install(HttpTimeout, request_timeout=SHORT)) as client:
            with pytest.raises(RequestTimeoutError, match="request_timeout"):
                await client.post(url, body=endless())


async def test_an_open_session_outlives_every_limit(engine: EngineFactory) -> None:
    async def late(peer: Peer) -> None:
        await peer.upgrade()
        await asyncio.sleep(4 * SHORT)
        await peer.send(b"\x81\x04late")
        await peer.read_close()

    limits = install(HttpTimeout, request_timeout=SHORT)
    async with raw_server(late) as server:
        async with HttpClient(engine, install(WebSockets), limits) as client:
            async with client.web_socket(server.url) as session:
                assert await session.receive_text() == "late"


# --- engines without a socket


async def test_silence_in_virtual_time() -> None:
    engine = slow_engine()
    engine.on_web_socket("/", lambda session: session.send("late"), delay=5)
    limit = install(HttpTimeout, socket_timeout=3, connect_timeout=1)
    async with HttpClient(engine, limit, install(WebSockets)) as client:
        for opening in (client.get("/"), client.web_socket_session("/")):
            before = engine.clock.time()
            with pytest.raises(SocketTimeoutError) as caught:
                await opening
            assert str(caught.value) == (
                "MockEngine: no byte came from localhost:80 or went there for 3 s "
                "(socket_timeout); it was still waiting for the answer"
            )
            assert engine.clock.time() == before + 3
        assert len(await (await client.get("/stream")).body_as_bytes()) == 10
        with pytest.raises(SocketTimeoutError, match="still reading the body"):
            await client.get("/stream", timeout(socket=0.5))
        assert (await client.get("/", timeout(socket=None))).status == 200
        async with client.web_socket("/", timeout(socket=6)) as session:
            await engine.clock.sleep(60)
            assert await session.receive_text() == "late"


# --- what goes to the engine


async def test_the_engine_is_told_its_limits() -> None:
    engine = MockEngine(lambda _: "ok")
    limits = install(HttpTimeout, connect_timeout=3, socket_timeout=timedelta(seconds=4))
    async with HttpClient(engine, limits) as client:
        await client.get("/")
        await client.get("/", timeout(connect=1, socket=None))
    first, second = (request.engine_settings for request in engine.request_history)
    assert (first[CONNECT_TIMEOUT], first[SOCKET_TIMEOUT]) == (3.0, 4.0)
    assert (second[CONNECT_TIMEOUT], second[SOCKET_TIMEOUT]) == (1.0, None)


async def test_what_is_not_given_is_the_engines() -> None:
    engine = MockEngine(lambda _: "ok")
    async with HttpClient(engine, install(HttpTimeout, socket_timeout=None)) as client:
        await client.get("/")
    settings = engine.request_history[0].engine_settings
    assert CONNECT_TIMEOUT not in settings
    assert settings[SOCKET_TIMEOUT] is None


# --- mistakes


@pytest.mark.parametrize("option", ["request_timeout", "connect_timeout", "socket_timeout"])
@pytest.mark.parametrize(
    ("value", "kind"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_nonsense_is_refused(option: str, value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=option):
        HttpTimeout(**{option: value})
    with pytest.raises(kind, match=option.removesuffix("_timeout")):
        timeout(**{option.removesuffix("_timeout"): value})


async def test_the_block_needs_the_plugin() -> None:
    async with HttpClient(MockEngine(lambda _: "ok")) as client:
        with pytest.raises(PluginNotInstalledError, match=r"install\(HttpTimeout\)"):
            await client.get("/", timeout(request=1))


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(TypeError, match="did you mean 'request_timeout'"):
        install(HttpTimeout, request_timeouts=1)  # type: ignore[call-arg]  # pyright: ignore


def test_its_errors_are_timeouts() -> None:
    assert issubclass(ConnectTimeoutError, RequestTimeoutError)
    assert issubclass(RequestTimeoutError, TimeoutError)
