"""The user's word on success and on errors, restated from Ktor's HttpResponseValidatorTest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    ClientRequestError,
    ConnectError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    KtorClientError,
    RequestTimeoutError,
    WebSocketHandshakeError,
    expect_success,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    HttpCallValidator,
    HttpRequestRetry,
    HttpTimeout,
    LayerKind,
    PluginScope,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.testing import MockPeerSession, respond
from tests.support.raw_server import Peer, raw_server


class OwnError(Exception):
    """Of an application."""


class Seen:
    """Notes what the functions were given."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.responses: list[int] = []
        self.errors: list[tuple[Exception, str]] = []
        self._raises = raises

    async def validate(self, response: HttpResponse) -> None:
        await asyncio.sleep(0)
        self.responses.append(response.status)
        if self._raises is not None:
            raise self._raises

    def on_error(self, error: Exception, request: HttpRequest) -> None:
        self.errors.append((error, request.url.path))

    def validator(self) -> Any:
        return install(HttpCallValidator, validate=self.validate, on_error=self.on_error)


def answering(status: int, text: str = "Awesome response") -> MockEngine:
    return MockEngine(lambda _: respond(text, status))


@pytest.mark.parametrize("status", [200, 418, 500, 900])
async def test_a_response_is_validated_once(status: int) -> None:
    seen = Seen()
    async with HttpClient(answering(status), seen.validator()) as client:
        response = await client.get("/")
        assert await response.body_as_text() == "Awesome response"
        async with client.prepare_get("/") as streamed:
            assert await streamed.body_as_text() == "Awesome response"
    assert seen.responses == [status, status]
    assert seen.errors == []


async def test_only_the_final_response_is_validated() -> None:
    engine = MockEngine()
    engine.on_request("/", respond("", 302, {"Location": "/there"}))
    engine.on_request("/there", "ok")
    seen = Seen()
    async with HttpClient(engine, seen.validator()) as client:
        await client.get("/")
    assert seen.responses == [200]


async def test_what_validate_raises_is_the_callers_and_shown_to_on_error() -> None:
    mine = OwnError("not that")
    seen = Seen(mine)
    async with HttpClient(answering(200), seen.validator()) as client:
        with pytest.raises(OwnError) as caught:
            await client.get("/path")
    assert caught.value is mine
    assert seen.errors == [(mine, "/path")]


async def test_expect_success_judges_first() -> None:
    seen = Seen(OwnError("never"))
    async with HttpClient(answering(404), seen.validator(), expect_success=True) as client:
        with pytest.raises(ClientRequestError) as caught:
            await client.get("/")
        assert await caught.value.response.body_as_text() == "Awesome response"
        with pytest.raises(OwnError):
            await client.get("/", expect_success(False))
    assert seen.responses == [404]
    assert [type(error) for error, _ in seen.errors] == [ClientRequestError, OwnError]


async def test_expect_success_of_one_request() -> None:
    seen = Seen()
    async with HttpClient(answering(404), seen.validator()) as client:
        assert (await client.get("/")).status == 404
        with pytest.raises(ClientRequestError):
            await client.get("/", expect_success())
    assert seen.responses == [404]


async def test_validate_may_read_the_body() -> None:
    async def check(response: HttpResponse) -> None:
        if "error" in await response.body_as_text():
            raise OwnError("told in the body")

    texts = iter(["fine", "error"])
    engine = MockEngine(lambda _: next(texts))
    async with HttpClient(engine, install(HttpCallValidator, validate=check)) as client:
        assert await (await client.get("/")).body_as_text() == "fine"
        with pytest.raises(OwnError, match="told in the body"):
            await client.get("/")


async def test_errors_of_the_engine_and_of_plugins() -> None:
    mine = OwnError("of a plugin")

    @client_plugin
    def failing(scope: PluginScope) -> None:
        def fail(response: HttpResponse) -> None:
            raise mine

        scope.on_response(fail)

    lost = ConnectError("lost")
    for engine, blocks, error in (
        (MockEngine(lambda _: lost), (), lost),
        (answering(200), (install(failing),), mine),
    ):
        seen = Seen()
        async with HttpClient(engine, seen.validator(), *blocks) as client:
            with pytest.raises(type(error)) as caught:
                await client.get("/path")
        assert caught.value is error
        assert seen.errors == [(error, "/path")]


@pytest.mark.parametrize("later", [False, True])
async def test_what_on_error_raises_takes_the_errors_place(later: bool) -> None:
    def translate(error: Exception, request: HttpRequest) -> None:
        raise OwnError(f"{request.method} failed") from error

    async def translate_later(error: Exception, request: HttpRequest) -> None:
        await asyncio.sleep(0)
        translate(error, request)

    lost = ConnectError("lost")
    on_error = translate_later if later else translate
    engine = MockEngine(lambda _: lost)
    async with HttpClient(engine, install(HttpCallValidator, on_error=on_error)) as client:
        with pytest.raises(OwnError, match="GET failed") as caught:
            await client.get("/")
    assert caught.value.__cause__ is lost


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("translated", [False, True])
async def test_a_body_that_breaks_off_is_shown_once(streamed: bool, translated: bool) -> None:
    lost = ConnectError("lost")
    shown: list[Exception] = []

    def on_error(error: Exception, request: HttpRequest) -> None:
        shown.append(error)
        if translated:
            raise OwnError("broken") from error

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise lost

    engine = MockEngine(lambda _: respond(body()))
    async with HttpClient(engine, install(HttpCallValidator, on_error=on_error)) as client:
        with pytest.raises(OwnError if translated else ConnectError):
            if streamed:
                async with client.prepare_get("/") as response:
                    async for _ in response.chunks():
                        pass
            else:
                await client.get("/")
    assert shown == [lost]


@pytest.mark.parametrize("kind", [LayerKind.REDIRECT, LayerKind.COOKIES, LayerKind.AUTH])
@pytest.mark.parametrize("takes", [0, 1])
async def test_of_several_answers_the_callers_is_watched(kind: LayerKind, takes: int) -> None:
    """A layer sends twice, as one that hedges does, and takes one of the answers."""
    seen: list[Exception] = []

    async def breaking() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectError("broke off")

    @client_plugin
    def Hedging(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return [await send(request), await send(request)][takes]

        scope.on_send(layer, kind=kind)

    engine = MockEngine(lambda request: respond(breaking()))
    validator = install(HttpCallValidator, on_error=lambda error, request: seen.append(error))
    async with HttpClient(engine, install(Hedging), validator) as client:
        async with client.prepare_get("http://h/") as response:
            with pytest.raises(ConnectError) as caught:
                async for _ in response.chunks():
                    pass
    assert seen == [caught.value]


async def test_a_time_limit_that_breaks_a_stream_off() -> None:
    engine = MockEngine()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        await engine.clock.sleep(60)

    engine.on_request("/", lambda _: respond(body()))
    seen = Seen()
    limit = install(HttpTimeout, request_timeout=1)
    async with HttpClient(engine, limit, seen.validator()) as client:
        with pytest.raises(RequestTimeoutError):
            async with client.prepare_get("/") as response:
                await response.body_as_bytes()
    assert [type(error) for error, _ in seen.errors] == [RequestTimeoutError]


async def test_bodies_that_nobody_reads_are_not_shown() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectError("lost")

    engine = MockEngine()
    engine.on_request("/", lambda _: respond(breaking(), 302, {"Location": "/busy"}))
    engine.on_request("/busy", lambda _: respond(breaking(), 503), times=1)
    engine.on_request("/busy", lambda _: respond(breaking(), 404))
    seen = Seen()
    async with HttpClient(engine, seen.validator(), install(HttpRequestRetry)) as client:
        with pytest.raises(ClientRequestError):
            await client.get("/", expect_success())
    assert [type(error) for error, _ in seen.errors] == [ClientRequestError]


async def test_errors_of_a_reader_are_its_own() -> None:
    seen = Seen()
    async with HttpClient(answering(200), seen.validator()) as client:
        with pytest.raises(OwnError):
            async with client.prepare_get("/") as response:
                async for _ in response.chunks():
                    raise OwnError("while it reads")
    assert seen.errors == []


async def test_cancellation_passes_by() -> None:
    seen = Seen()
    begun = asyncio.Event()

    async def wait(request: HttpRequest) -> str:
        begun.set()
        await asyncio.Event().wait()
        return "never"

    async with HttpClient(MockEngine(wait), seen.validator()) as client:
        call = asyncio.create_task(client.get("/"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert seen.errors == []


async def test_handshakes() -> None:
    engine = MockEngine()

    async def peer(session: MockPeerSession) -> None:
        await session.send("open")

    engine.on_web_socket("/open", peer)
    engine.on_web_socket("/busy", respond("busy", 503))
    seen = Seen()
    async with HttpClient(engine, install(WebSockets), seen.validator()) as client:
        async with client.web_socket("/open") as session:
            assert await session.receive_text() == "open"
        with pytest.raises(WebSocketHandshakeError):
            await client.web_socket_session("/busy")
    assert seen.responses == [101]
    assert [type(error) for error, _ in seen.errors] == [WebSocketHandshakeError]


async def test_a_session_that_is_rejected_is_not_opened(engine: EngineFactory) -> None:
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_eof()
        ended.set()

    seen = Seen(OwnError("not that server"))
    async with raw_server(script) as server:
        async with HttpClient(partial(engine, limit=1), install(WebSockets), seen.validator()) as c:
            with pytest.raises(OwnError, match="not that server"):
                await c.web_socket_session(server.url)
            await ended.wait()
    assert seen.responses == [101]


@pytest.mark.parametrize("how", ["validate", "on_error", "expect_success"])
async def test_a_rejected_response_gives_its_connection_back(
    engine: EngineFactory, how: str
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            try:
                await peer.read_request()
                await peer.send(b"HTTP/1.1 404 No\r\nContent-Length: 300000\r\n\r\n", b"x" * 300000)
            except (asyncio.IncompleteReadError, OSError):
                return

    def reject(*_: object) -> None:
        raise OwnError("no")

    options: dict[str, Any] = {} if how == "expect_success" else {how: reject}
    async with raw_server(script) as server:
        url = server.url.replace("ws", "http")
        validator = install(HttpCallValidator, **options)
        expects = how != "validate"
        async with HttpClient(
            partial(engine, limit=1), validator, expect_success=expects
        ) as client:
            for _ in range(2):
                with pytest.raises((OwnError, KtorClientError)):
                    await client.get(url)
                with pytest.raises((OwnError, KtorClientError)):
                    async with client.prepare_get(url):
                        pass


@pytest.mark.parametrize("options", [{"validate": 200}, {"on_error": "log"}])
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="takes a function, not"):
        HttpClient(MockEngine(), install(HttpCallValidator, **options))


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(TypeError, match="did you mean 'validate'"):
        install(HttpCallValidator, validator=print)  # type: ignore[call-arg]  # pyright: ignore
