"""TestEngine: apps that wait for more than there is, and apps that cancel themselves."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import HttpClient, WebSocketHandshakeError, install
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import Event, Receive, Scope, Send
from ktor_client.plugins import WebSockets
from tests.engines.asgi.apps import client_of
from tests.engines.asgi.test_misuse import BODY, HALF, START


async def test_an_app_that_waits_after_its_startup_has_failed() -> None:
    """As in the loop that the specification shows: a server ends there."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.failed", "message": "no disk"})

    async with asyncio.timeout(20), client_of(app) as client:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="startup failed: no disk"):
                await client.get("/")


@pytest.mark.parametrize("word", ["complete", "failed"])
async def test_what_comes_after_a_startup_that_has_failed(word: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})
        await send({"type": f"lifespan.startup.{word}", "message": "no light"})

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="startup failed: no disk"):
            await client.get("/")


@pytest.mark.parametrize("word", ["startup.failed", "shutdown.failed", "shutdown.complete"])
async def test_an_app_that_waits_for_something_else_after_its_last_word(word: str) -> None:
    """Such as a task of its own that does not end: a server goes on."""
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await receive()
                if word.startswith("shutdown"):
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                await send({"type": f"lifespan.{word}", "message": "no disk"})
                await asyncio.Event().wait()
            finally:
                ended.append(word)
        await send(START)
        await send(BODY)

    client = client_of(app, shutdown_timeout=0.01)
    async with asyncio.timeout(20):
        if word == "startup.failed":
            with pytest.raises(RuntimeError, match="startup failed: no disk"):
                await client.get("/")
        else:
            await client.get("/")
        if word == "shutdown.failed":
            with pytest.raises(RuntimeError, match="shutdown failed: no disk"):
                await client.close()
        else:
            await client.close()
    assert ended == [word]


@pytest.mark.parametrize("word", ["complete", "failed"])
async def test_an_app_that_waits_after_its_shutdown(word: str) -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await receive()
                await send({"type": "lifespan.startup.complete"})
                while True:
                    await receive()
                    await send({"type": f"lifespan.shutdown.{word}", "message": "no disk"})
            finally:
                ended.append(word)
        await send(START)
        await send(BODY)

    client = client_of(app)
    async with asyncio.timeout(20):
        await client.get("/")
        if word == "failed":
            with pytest.raises(RuntimeError, match="shutdown failed: no disk"):
                await client.close()
        else:
            await client.close()
    assert ended == [word]


ENDS = [asyncio.CancelledError, GeneratorExit]
"""What ends a task or a coroutine from outside."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("events", [[], [START, HALF], [START, BODY]])
async def test_an_app_that_cancels_itself(events: list[Event], end: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)
        raise end

    async with client_of(app, lifespan=False) as client, asyncio.timeout(20):
        with pytest.raises(RuntimeError, match=f"raised {end.__name__}, but nobody"):
            await client.get("/")
    if not events:
        async with client_of(app, lifespan=False, raise_app_exceptions=False) as client:
            assert (await client.get("/")).status == 500


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_open", [False, True])
async def test_an_app_that_cancels_its_web_socket(is_open: bool, end: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if is_open:
            await send({"type": "websocket.accept"})
        raise end

    client = client_of(app, lifespan=False)
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match=f"raised {end.__name__}, but nobody"):
            async with client.web_socket("/") as session:
                assert (await session.close_reason).code == 1011
            await client.close()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_denial_whose_app_is_cancelled(is_cancelled: bool) -> None:
    """Nobody waits for the rest of its body."""
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        begun.set()
        if is_cancelled:
            await asyncio.Event().wait()
        raise asyncio.CancelledError

    engine = TestEngine(app, lifespan=False, shutdown_timeout=0.01)
    async with asyncio.timeout(20), HttpClient(engine, install(WebSockets)) as client:
        opening = asyncio.ensure_future(client.web_socket_session("/"))
        await begun.wait()
        if is_cancelled:
            await engine.close()
        with pytest.raises(WebSocketHandshakeError):
            await opening


@pytest.mark.parametrize("end", ENDS)
async def test_a_lifespan_that_cancels_itself(end: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            raise end
        await send(START)
        await send(BODY)

    client = client_of(app)
    await client.get("/")
    with pytest.raises(RuntimeError, match=f"raised {end.__name__}, but nobody"):
        await client.close()


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_an_app_that_asks_on_and_on(scheme: str) -> None:
    """The loop goes on, and so does the end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response" if scheme == "ws" else "http.response"
        await send({"type": f"{kind}.start", "status": 403})
        await send({"type": f"{kind}.body"})
        while True:
            await receive()

    engine = TestEngine(app, lifespan=False, shutdown_timeout=0.01)
    async with HttpClient(engine, install(WebSockets)) as client:
        if scheme == "http":
            assert (await client.get("/")).status == 403
        else:
            with pytest.raises(WebSocketHandshakeError):
                await client.web_socket_session("/")
        await engine.close()
