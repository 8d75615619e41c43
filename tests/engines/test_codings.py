"""Content codings through each engine: decoded alike, whoever carried the bytes."""

from __future__ import annotations

import asyncio
import gzip
import logging
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import brotli
import httpx
import pytest
from backports import zstd

from ktor_client import HttpClient, install
from ktor_client.config import Block
from ktor_client.engine import HttpClientEngine
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine, MockEngine, TestEngine
from ktor_client.engines._mock import respond
from ktor_client.errors import (
    ClientRequestError,
    ConnectError,
    ResponseError,
    WebSocketHandshakeError,
)
from ktor_client.http import Headers, HttpMethod, HttpRequest, HttpResponse, Url
from ktor_client.http import decoded as decoded_module
from ktor_client.http.body import WrappedBody
from ktor_client.http.codings import max_decoded_size
from ktor_client.plugin import HttpClientPlugin, PluginScope, Send
from ktor_client.plugins import HttpCallValidator, HttpTimeout, Logging, LogLevel, WebSockets
from ktor_client.testing import echo_server
from tests.support.raw_server import Peer, Script, raw_server
from tests.support.receiver import get, open_link

PLAIN = b"unpacked" * 200_000


def answering(status: int, encoding: str, body: bytes, *fields: str) -> Script:
    """Return a script that answers so; the client may leave before the end."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = [f"HTTP/1.1 {status} X", f"Content-Encoding: {encoding}", *fields]
        try:
            await peer.send("\r\n".join([*head, f"Content-Length: {len(body)}\r\n\r\n"]).encode())
            await peer.send(body)
        except OSError:
            pass

    return script


PACKED = {
    "gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "br": brotli.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
    "deflate, gzip": gzip.compress(zlib.compress(PLAIN)),
    "identity": PLAIN,
}

Respond = Callable[[str, bytes], HttpClient]


def of_mock(coding: str, body: bytes) -> HttpClient:
    answer = respond(body, headers={"Content-Encoding": coding})
    return HttpClient(MockEngine(lambda _: answer))


def of_mock_streaming(coding: str, body: bytes) -> HttpClient:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    return HttpClient(MockEngine(lambda _: respond(pieces(), headers={"Content-Encoding": coding})))


def of_app(coding: str, body: bytes) -> HttpClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"content-encoding", coding.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return HttpClient(TestEngine(app, lifespan=False))


@pytest.mark.parametrize("coding", PACKED)
async def test_a_packed_body(engine: EngineFactory, coding: str) -> None:
    async with (
        raw_server(answering(200, coding, PACKED[coding])) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        assert await (await client.get(url)).body_as_bytes() == PLAIN
        async with client.prepare_get(url) as response:
            chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == PLAIN
        assert all(chunks)


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("made", [of_mock, of_mock_streaming, of_app])
async def test_in_memory(made: Respond, coding: str) -> None:
    async with made(coding, PACKED[coding]) as client:
        assert await (await client.get("/")).body_as_bytes() == PLAIN
    if coding != "identity":
        async with made(coding, PACKED[coding][: len(PACKED[coding]) // 2]) as client:
            with pytest.raises(ConnectError, match="ended in the middle of its "):
                await client.get("/")


@pytest.mark.parametrize("coding", PACKED)
async def test_on_an_adopted_session(coding: str) -> None:
    async with (
        raw_server(answering(200, coding, PACKED[coding])) as server,
        asyncio.timeout(20),
        aiohttp.ClientSession() as session,
        httpx.AsyncClient() as httpx_client,
    ):
        for engine in (AiohttpEngine(session=session), HttpxEngine(client=httpx_client)):
            async with HttpClient(engine) as client:
                response = await client.get(f"http://127.0.0.1:{server.port}/")
                assert await response.body_as_bytes() == PLAIN


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_packed_body_without_a_byte(engine: EngineFactory, coding: str) -> None:
    client = engine()
    async with raw_server(answering(200, coding, b"")) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == b""
        assert await response.body_as_text() == ""
        await client.close()


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_status_without_a_body(engine: EngineFactory, method: str, status: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(f"HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\n\r\n".encode())

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        response = await client.request(method, f"http://127.0.0.1:{server.port}/")
        assert (response.status, await response.body_as_text()) == (status, "")


# --- broken ---


@pytest.mark.parametrize("how", ["read", "streamed"])
async def test_a_body_that_ends_in_the_middle(engine: EngineFactory, how: str) -> None:
    """Its length was kept, so that only the coding tells."""
    body = PACKED["gzip"][:-100]
    client = engine()
    async with raw_server(answering(200, "gzip", body)) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        told = rf"^the body from 127.0.0.1:{server.port} ended in the middle of its gzip data$"
        with pytest.raises(ConnectError, match=told):
            if how == "read":
                await response.body_as_bytes()
            else:
                async for _ in response.chunks():
                    pass
        await client.close()


async def test_a_body_without_its_trailer(engine: EngineFactory) -> None:
    """Some servers leave gzip's end out."""
    client = engine()
    async with raw_server(answering(200, "gzip", PACKED["gzip"][:-8])) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == PLAIN
        await client.close()


async def test_the_slot_of_a_damaged_body_is_free_again(engine: EngineFactory) -> None:
    async with (
        raw_server(answering(200, "gzip", gzip.compress(b"")[:10] + b"\xff" * 3_000_000)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1)) as client,
    ):
        for _ in range(3):
            with pytest.raises(ConnectError, match="has damaged gzip data"):
                await client.get(f"http://127.0.0.1:{server.port}/")
        await client.engine.close()


# --- what plugins wrap ---

LOGGER = logging.getLogger("tests.codings")
LOGGER.setLevel(logging.INFO)


class Own(HttpClientPlugin):
    """A layer that hands up a body of its own."""

    def install(self, scope: PluginScope) -> None:
        scope.on_send(self._wrap)

    async def _wrap(self, request: HttpRequest, send: Send) -> HttpResponse:
        return (await send(request)).copy(body=WrappedBody).copy(body=WrappedBody)


wrapping = pytest.mark.parametrize(
    "plugin",
    [
        lambda config: None,
        install(HttpTimeout, request_timeout=60),
        install(Logging, level=LogLevel.BODY, logger=LOGGER),
        install(HttpCallValidator, on_error=lambda error, request: None),
        install(Own),
    ],
    ids=["none", "timeout", "logging", "validator", "own"],
)


# --- unknown ---


@wrapping
async def test_an_unknown_coding(engine: EngineFactory, plugin: Block) -> None:
    async with (
        raw_server(answering(200, "exi", b"\x80raw")) as server,
        asyncio.timeout(20),
        HttpClient(engine, plugin) as client,
    ):
        response = await client.get(f"http://127.0.0.1:{server.port}/")
        assert await response.body_as_bytes() == b"\x80raw"
        assert [chunk async for chunk in response.chunks()] == [b"\x80raw"]
        for reading in (response.body_as_text(), response.body(str), response.body(dict)):
            with pytest.raises(ResponseError, match="'exi' is not known here") as caught:
                await reading
            assert caught.value.response is response
        assert await response.body(bytes) == b"\x80raw"


async def test_an_unknown_coding_hides_no_status(engine: EngineFactory) -> None:
    async with (
        raw_server(answering(403, "exi", b"\x80raw", "Retry-After: 9")) as server,
        asyncio.timeout(20),
        HttpClient(engine, install(WebSockets)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        response = await client.get(url)
        assert (response.status, response.retry_after) == (403, 9)
        strict = client.config(lambda config: setattr(config, "expect_success", True))
        with pytest.raises(ClientRequestError, match="gave 403") as caught:
            await strict.get(url)
        assert await caught.value.response.body_as_bytes() == b"\x80raw"
        await strict.close()
        with pytest.raises(WebSocketHandshakeError, match="but was 403") as refused:
            await client.web_socket_session(server.url)
        assert refused.value.retry_after == 9
        assert await refused.value.response.body_as_bytes() == b"\x80raw"


# --- sizes ---


async def test_a_limit_for_bodies_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_module, "MAX_DECODED_SIZE", len(PLAIN) - 1)
    async with of_mock("gzip", PACKED["gzip"]) as client:
        with pytest.raises(ResponseError, match=r"has more than 1599999 bytes .*max_decoded_size"):
            await client.get("/")
        async with client.prepare_get("/") as response:
            assert sum([len(chunk) async for chunk in response.chunks()]) == len(PLAIN)


@wrapping
async def test_the_limit_holds_for_bodies_that_plugins_wrap(
    engine: EngineFactory, plugin: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_module, "MAX_DECODED_SIZE", len(PLAIN) - 1)
    async with raw_server(answering(200, "gzip", PACKED["gzip"])) as server:
        url = server.url.replace("ws", "http", 1)
        async with HttpClient(engine, plugin) as client:
            with pytest.raises(ResponseError, match=r"has more than 1599999 bytes .*; stream it"):
                await client.get(url)
            async with client.prepare_get(url) as response:
                assert sum([len(chunk) async for chunk in response.chunks()]) == len(PLAIN)


async def test_a_limit_of_the_requests_own() -> None:
    async def read(client: HttpClient, limit: int, *, streamed: bool) -> int:
        def block(request: Any) -> None:
            request.attributes[max_decoded_size] = limit

        async with client.prepare_get("/", block) as response:
            if streamed:
                return sum([len(chunk) async for chunk in response.chunks()])
            return len(await response.body_as_bytes())

    async with of_mock("gzip", PACKED["gzip"]) as client:
        for streamed in (False, True):
            assert await read(client, len(PLAIN), streamed=streamed) == len(PLAIN)
            with pytest.raises(ResponseError, match=r"more than 1000 bytes .*; raise") as caught:
                await read(client, 1000, streamed=streamed)
            assert caught.value.response.status == 200


async def test_others_have_their_turn_while_a_bomb_is_decoded() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with of_mock("gzip", gzip.compress(bytes(50_000_000))) as client:
        other = asyncio.create_task(count())
        async with client.prepare_get("/") as response:
            before = turns
            await response.body_as_bytes()
        assert turns - before > 5
        other.cancel()


# --- refused handshakes ---


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_a_packed_refusal(engine: EngineFactory, coding: str) -> None:
    client = engine()
    async with raw_server(answering(403, coding, PACKED[coding])) as server:
        upgrade = await open_link(client, server.url)
        assert await upgrade.response.body_as_bytes() == PLAIN[: 1 << 20]
        await client.close()


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_a_refusal_that_is_a_bomb(engine: EngineFactory, coding: str) -> None:
    """Of a refusal a mebibyte is kept, and not much more is ever unpacked."""
    bomb = gzip.compress(bytes(100_000_000))
    if "," in coding:
        bomb = gzip.compress(bomb)
    client = engine()
    async with raw_server(answering(403, coding, bomb)) as server, asyncio.timeout(50):
        tracemalloc.start()
        try:
            upgrade = await open_link(client, server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert await upgrade.response.body_as_bytes() == bytes(1 << 20)
        assert peak < 8 << 20
        await client.close()


# --- what is asked for ---


async def _accepted(client: HttpClient, url: str, **headers: str) -> list[str]:
    seen = await (await client.get(url, headers=headers)).body(dict)
    return [value for name, value in seen["headers"] if name.lower() == "accept-encoding"]


async def test_what_is_accepted(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine) as client:
        url = f"{server.http_url}/request"
        assert await _accepted(client, url) == ["gzip, deflate, br, zstd"]
        assert await _accepted(client, url, **{"accept-encoding": "identity"}) == ["identity"]
        assert await _accepted(client, url, range="bytes=0-9") == ["identity"]
        assert await _accepted(client, url, range="bytes=0-9", **{"accept-encoding": "gzip"}) == [
            "gzip"
        ]


async def test_what_is_accepted_on_an_adopted_session() -> None:
    own = {"Accept-Encoding": "gzip"}
    async with (
        echo_server() as server,
        aiohttp.ClientSession() as session,
        aiohttp.ClientSession(headers=own) as own_session,
        httpx.AsyncClient() as httpx_client,
        httpx.AsyncClient(headers=own) as own_client,
    ):
        engines: list[tuple[HttpClientEngine, str]] = [
            (AiohttpEngine(session=session), "gzip, deflate, br, zstd"),
            (AiohttpEngine(session=own_session), "gzip"),
            (HttpxEngine(client=httpx_client), "gzip, deflate, br, zstd"),
            (HttpxEngine(client=own_client), "gzip"),
        ]
        for engine, accepted in engines:
            async with HttpClient(engine) as client:
                url = f"{server.http_url}/request"
                assert await _accepted(client, url) == [accepted]
                part = await _accepted(client, url, range="bytes=0-9")
                assert part == ["gzip" if accepted == "gzip" else "identity"]


async def test_what_a_layer_makes_of_a_response_is_decoded() -> None:
    request = HttpRequest(HttpMethod.Get, Url.parse("http://h/"))
    packed = Headers({"Content-Encoding": "gzip"})

    def response() -> HttpResponse:
        return HttpResponse(request, 200, packed, PACKED["gzip"])

    assert await response().copy(status=201).body_as_bytes() == PLAIN
    assert await response().copy(headers=Headers()).body_as_bytes() == PLAIN
    assert await response().copy(body=b"mine").body_as_text() == "mine"
    read = response()
    await read.body_as_bytes()
    assert await read.copy(status=201).body_as_bytes() == PLAIN
    wrapped = response().copy(body=lambda body: body)
    assert b"".join([chunk async for chunk in wrapped.chunks()]) == PLAIN
    sizes: list[int] = []

    class Counted(WrappedBody):
        async def chunks(self) -> AsyncIterator[bytes]:
            async with self.source() as chunks:
                async for chunk in chunks:
                    sizes.append(len(chunk))
                    yield chunk

    counted = response().copy(wire=Counted)
    assert await counted.body_as_bytes() == PLAIN
    assert sum(sizes) == len(PACKED["gzip"])
    unknown = HttpResponse(request, 200, Headers({"Content-Encoding": "exi"}), b"raw").copy()
    with pytest.raises(ResponseError, match="exi"):
        await unknown.body_as_text()


async def test_bytes_in_hand_are_what_came() -> None:
    """An engine may give a whole body; its headers say how it is coded."""
    request = HttpRequest(HttpMethod.Get, Url.parse("http://h/"))
    packed = Headers({"Content-Encoding": "gzip"})
    assert await HttpResponse(request, 200, packed, PACKED["gzip"]).body_as_bytes() == PLAIN
    assert await HttpResponse(request, 200, packed, b"").body_as_bytes() == b""
