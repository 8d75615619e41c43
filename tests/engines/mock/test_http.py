"""MockEngine: HTTP handlers, routes, the queue, history, capabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    ConnectError,
    FrameTooBigError,
    HttpClient,
    HttpRequest,
    UnsupportedCapabilityError,
    WebSocketCapability,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import ExpectationError, MockResponse, respond
from ktor_client.plugins import WebSockets
from tests.engines.mock.scripts import echo


class TestHttp:
    async def test_a_handler(self) -> None:
        async def handler(request: HttpRequest) -> MockResponse:
            return respond(f"{request.method} {request.url.target}", 201, {"X-Id": "7"})

        async with HttpClient(MockEngine(handler)) as client:
            response = await client.get("/a", params={"b": 1})
            assert (response.status, response.headers["x-id"]) == (201, "7")
            assert await response.body_as_text() == "GET /a?b=1"

    async def test_routes(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_request("/text", "text")
        engine.on_request("/bytes", b"bytes")
        engine.on_request("/page?n=2", "second")
        engine.on_request("/page", "first")
        engine.on_request("POST /text", lambda request: respond(json={"posted": True}))
        engine.on_request("http://elsewhere/text?q=1", "elsewhere")
        engine.on_request(lambda request: request.url.path.startswith("/any"), respond(status=204))
        assert await (await client.get("/text")).body_as_text() == "text"
        assert await (await client.get("/bytes")).body_as_bytes() == b"bytes"
        assert await (await client.get("http://elsewhere/text?q=1")).body_as_text() == "text"
        assert await (await client.get("/page", params={"n": 2})).body_as_text() == "second"
        assert await (await client.get("/page", params={"n": 3})).body_as_text() == "first"
        assert (await client.get("/anything")).status == 204

    async def test_null(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_request("/null", respond(json=None))
        response = await client.post("/null", json=None)
        request = engine.request_history[0]
        assert (request.body, request.headers["content-type"]) == (b"null", "application/json")
        assert await response.body_as_text() == "null"
        await client.post("/null")
        assert engine.request_history[1].body is None
        with pytest.raises(TypeError, match="either body= or json="):
            await client.post("/null", body="", json=None)

    async def test_the_first_open_route_counts(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        engine.on_request("/", "first", times=1)
        engine.on_request("GET /", "then", times=2)
        engine.on_request("http://localhost/", "at last")
        bodies = [await (await client.get("/")).body_as_text() for _ in range(4)]
        assert bodies == ["first", "then", "then", "at last"]

    async def test_a_queue(self, engine: MockEngine, client: HttpClient) -> None:
        engine.enqueue(respond(status=503, headers={"Retry-After": "1"}), "fine")
        assert (await client.get("/")).retry_after == 1.0
        assert await (await client.get("/")).body_as_text() == "fine"

    async def test_exceptions(self, engine: MockEngine, client: HttpClient) -> None:
        def handler(request: HttpRequest) -> str:
            raise ConnectError("no route to host")

        engine.on_request("/raised", handler)
        engine.on_request("/given", ConnectError("no route to host"))
        for path in ("/raised", "/given"):
            with pytest.raises(ConnectError, match="no route"):
                await client.get(path)

    async def test_exception_classes(self, engine: MockEngine, client: HttpClient) -> None:
        engine.enqueue(ConnectError)
        engine.on_request("/given", ConnectError)
        engine.on_request("/returned", lambda request: ConnectError)
        for path in ("/queued", "/given", "/returned"):
            with pytest.raises(ConnectError) as raised:
                await client.get(path)
            assert raised.value.args == ()

    async def test_history_has_the_bodies(self, engine: MockEngine, client: HttpClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        engine.on_request("/", "ok")
        await client.post("/", body=chunks())
        await client.get("/")
        assert [request.body for request in engine.request_history] == [b"one two", None]
        assert [response.status for response in engine.response_history] == [200, 200]

    async def test_a_body_that_streams(self, engine: MockEngine, client: HttpClient) -> None:
        ended = []

        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"one"
                yield b"two"
            finally:
                ended.append(True)

        engine.on_request("/", lambda request: respond(chunks()))
        async with client.prepare_get("/") as response:
            async for chunk in response.chunks():
                assert chunk == b"one"
                break
        assert ended == [True]

    @pytest.mark.parametrize("with_its_engine", [False, True])
    async def test_a_stream_that_is_closed_while_a_task_reads_it(
        self, engine: MockEngine, client: HttpClient, with_its_engine: bool
    ) -> None:
        ended = []

        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"one"
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        engine.on_request("/", lambda request: respond(chunks()))
        async with asyncio.timeout(20), client.prepare_get("/") as response:
            reading = asyncio.ensure_future(response.body_as_bytes())
            for _ in range(10):
                await asyncio.sleep(0)
            await (engine if with_its_engine else response).close()
            with pytest.raises(ConnectError, match="the response was closed"):
                await reading
        assert ended == [True]

    async def test_a_stream_that_is_no_generator(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        class Countdown:
            left = 3

            def __aiter__(self) -> Countdown:
                return self

            async def __anext__(self) -> bytes:
                self.left -= 1
                if self.left < 0:
                    raise StopAsyncIteration
                return b"%d " % self.left

        engine.on_request("/", respond(Countdown()))
        assert await (await client.get("/")).body_as_bytes() == b"2 1 0 "

    async def test_headers_that_respond_leaves_alone(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        problem = {"Content-Type": "application/problem+json"}
        engine.enqueue(
            respond(status=799, headers={"Content-Length": "1000"}),
            respond("<p>", headers={"content-type": "text/html"}),
            respond(json={}, headers=problem),
        )
        head = await client.head("/")
        assert (head.status, head.reason, head.headers["content-length"]) == (799, "", "1000")
        assert (await client.get("/")).headers.get_all("content-type") == ["text/html"]
        assert (await client.get("/")).headers.get_all("content-type") == [*problem.values()]
        assert repr(respond(status=404)) == "respond(status=404)"

    async def test_head(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_request("/", "text")
        response = await client.head("/")
        assert response.headers["content-length"] == "4"
        assert await response.body_as_bytes() == b""

    async def test_streams_of_something_else_than_bytes(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def chunks() -> AsyncIterator[Any]:
            yield "text"

        engine.on_request("/", respond(chunks()))
        with pytest.raises(TypeError, match="a streamed body yields bytes, not str; encode it"):
            await client.get("/")
        with pytest.raises(TypeError, match="a streamed body yields bytes, not str; encode it"):
            await client.post("/", body=chunks())

    async def test_nobody_scripted_it(self) -> None:
        engine = MockEngine()
        engine.on_request("POST /a", "x")
        client = HttpClient(engine)
        with pytest.raises(ExpectationError) as failed:
            await client.get("/a")
        assert str(failed.value) == (
            "MockEngine has no answer for GET http://localhost/a; there are routes for POST /a. "
            'Add one: engine.on_request("/a", ...)'
        )
        with pytest.raises(ExpectationError, match="has no answer for GET"):
            await client.close()  # told again, since an application may have caught it

    async def test_a_handler_that_returns_nothing(self) -> None:
        async with HttpClient(MockEngine(lambda request: None)) as client:  # type: ignore[arg-type,return-value]
            with pytest.raises(TypeError, match=r"handler <lambda> returned None; return respond"):
                await client.get("/")

    def test_impossible_scripts(self) -> None:
        engine = MockEngine()
        for wrong in (
            lambda: engine.on_request("no slash", "x"),
            lambda: engine.on_request("/", "x", times=0),
            lambda: respond("text", json={}),
            lambda: respond(status=99),
        ):
            with pytest.raises(ValueError):  # noqa: PT011  # four different texts
                wrong()
        for mistyped in (
            lambda: engine.on_request(5, "x"),  # type: ignore[arg-type]
            lambda: engine.on_web_socket("/", "text"),  # type: ignore[arg-type]
            lambda: engine.on_web_socket("/", echo, subprotocols="chat"),
            lambda: respond(5),  # type: ignore[arg-type]
            lambda: MockEngine("text"),  # type: ignore[arg-type]
            lambda: MockEngine(ConnectError),
            lambda: engine.on_request("/", FrameTooBigError),  # which needs arguments
            lambda: engine.enqueue(FrameTooBigError),
        ):
            with pytest.raises(TypeError):
                mistyped()


class TestCapabilities:
    async def test_without_any(self) -> None:
        engine = MockEngine(capabilities=frozenset())
        async with HttpClient(engine, install(WebSockets)) as client:
            with pytest.raises(UnsupportedCapabilityError) as refused:
                client.web_socket("/")
        assert str(refused.value) == (
            "Engine MockEngine doesn't support WebSocketCapability; "
            "engines that do: cio, aiohttp, httpx, darwin, browser"
        )
        assert engine.handshakes == []

    async def test_some(self) -> None:
        async with MockEngine(capabilities=[WebSocketCapability]) as engine:
            engine.on_web_socket("/", echo)
            async with HttpClient(engine, install(WebSockets)) as client:
                async with client.web_socket("/") as session:
                    assert session.ping_interval is None
            async with HttpClient(engine, install(WebSockets, max_fragments=131_072)) as client:
                with pytest.raises(UnsupportedCapabilityError, match="max_fragments needs"):
                    client.web_socket("/")


async def test_a_coroutine_function_does_not_match(engine: MockEngine) -> None:
    """It would match everything."""

    async def is_mine(request: HttpRequest) -> bool:
        raise AssertionError

    match: Any = is_mine
    with pytest.raises(TypeError, match="match is a plain function, not a coroutine function"):
        engine.on_request(match, "hello")
    with pytest.raises(TypeError, match="match is a plain function, not a coroutine function"):
        engine.on_web_socket(match, ConnectError("no"))
