"""TestEngine: WebSockets of apps that frameworks never make."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    WebSocketHandshakeError,
    bounded,
    install,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import Event, Receive, Scope, Send
from ktor_client.plugins import WebSocketDeflate, WebSockets
from tests.engines.asgi.apps import accept, client_of, web_socket_app


async def test_a_slow_app_holds_the_client_back() -> None:
    go = asyncio.Event()
    received = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_session("/")
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for number in range(1000):
                await session.send(f"{number:1000}")
                sent += 1

        flooding = asyncio.create_task(flood())
        for _ in range(200):
            await asyncio.sleep(0)
        assert sent < 300  # incoming of the app, what is under way, and no more
        assert not flooding.done()
        go.set()
        await flooding
        await session.close()
    assert received == [f"{number:1000}" for number in range(1000)]


async def test_a_slow_client_holds_the_app_back() -> None:
    sent = 0

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await accept(receive, send)
        for number in range(1000):
            await send({"type": "websocket.send", "text": f"{number:1000}"})
            sent += 1

    small = install(WebSockets, channels=Channels(incoming=bounded(8)))
    async with HttpClient(TestEngine(web_socket_app(run)), small) as client:
        async with client.web_socket("/") as session:
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent < 300
            assert [text async for text in session] == [f"{number:1000}" for number in range(1000)]


async def test_closing_reaches_an_app_that_does_not_read() -> None:
    """The Close overtakes nothing and is not lost behind a full queue."""
    ended = asyncio.Event()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await ended.wait()
        events = [await receive() for _ in range(301)]
        assert [event["type"] for event in events[:300]] == ["websocket.receive"] * 300
        assert events[300] == {"type": "websocket.disconnect", "code": 4000, "reason": "done"}

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_session("/")
        sending = asyncio.create_task(send_many(session, 300))
        for _ in range(50):
            await asyncio.sleep(0)
        ended.set()
        await sending
        await session.close(CloseReason(4000, "done"))


async def send_many(session: Any, count: int) -> None:
    for _ in range(count):
        await session.send("x")


async def test_handlers_that_never_end_are_cancelled() -> None:
    ends: list[str] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async with client_of(web_socket_app(run), shutdown_timeout=0.01) as client:
        async with client.web_socket("/"):
            pass
    assert ends == ["cancelled"]


async def test_a_call_that_is_cancelled_leaves_nothing() -> None:
    entered = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with client_of(app, lifespan=False) as client:
        for call in (client.get("/"), client.web_socket_session("/")):
            entered.clear()
            calling = asyncio.ensure_future(call)
            await entered.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], "neither accepted nor denied"),
        ([{"type": "websocket.send", "text": "early"}], "before websocket.accept"),
        ([{"type": "websocket.accept"}, {"type": "websocket.accept"}], "that is open"),
        ([{"type": "websocket.close"}, {"type": "websocket.accept"}], "had denied"),
    ],
)
async def test_apps_that_break_the_order_are_told(events: list[Event], text: str) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    with pytest.raises(RuntimeError, match=text):
        async with client_of(web_socket_app(run)) as client:
            with suppress(WebSocketHandshakeError):
                await client.web_socket_session("/")


async def test_an_app_that_goes_on_after_the_client_has_gone() -> None:
    raised: list[str] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        assert (await receive())["type"] == "websocket.disconnect"
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError as error:
            raised.append(str(error))
            raise

    async with client_of(web_socket_app(run)) as client:
        async with client.web_socket("/"):
            pass
    assert "closed by the peer" in raised[0]


async def test_a_bug_in_the_cleanup_is_told() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        raise KeyError("room")

    client = client_of(web_socket_app(run))
    async with client.web_socket("/"):
        pass
    with pytest.raises(KeyError, match="room"):
        await client.close()


async def test_raw_sessions_see_the_frames() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.send", "bytes": b"raw"})
        await send({"type": "websocket.close", "code": 1001})

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_raw_session("/")
        assert await session.incoming.receive() == Frame.Binary(b"raw")
        close = await session.incoming.receive()
        assert close == Frame.Close(CloseReason(1001))
        await session.close()


async def test_deflate() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        event = await receive()
        await send({"type": "websocket.send", "text": event["text"]})
        await receive()

    deflate = WebSocketDeflate(threshold=0)
    engine = TestEngine(web_socket_app(run), extensions=[deflate])
    async with HttpClient(engine, install(WebSockets, extensions=[deflate])) as client:
        async with client.web_socket("/") as session:
            assert session.extensions
            await session.send("x" * 1000)
            assert await session.receive_text() == "x" * 1000
            assert session.statistics.bytes_sent < 100


async def test_a_connection_that_is_dropped() -> None:
    events: list[Event] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        events.append(await receive())
        events.append(await receive())

    engine = TestEngine(web_socket_app(run))
    engine.faults.drop(after=7, towards="server")
    async with HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session("/")
        await session.send("x")
        await session.send("y")
        with pytest.raises(ConnectionClosedError, match="dropped"):
            await session.incoming.receive()
    assert [event["type"] for event in events] == ["websocket.receive", "websocket.disconnect"]
    assert events[1]["code"] == 1006


async def test_a_message_that_is_too_big_for_the_app() -> None:
    received = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    async with client_of(web_socket_app(run), max_frame_size=3) as client:
        session = await client.web_socket_session("/")
        await session.send("yes")
        await session.send("four")
        assert (await session.close_reason).code == 1009
    assert received == ["yes"]
    with pytest.raises(ValueError, match="at least 1"):
        TestEngine(web_socket_app(run), max_frame_size=0)
