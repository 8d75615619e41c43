"""Every public coroutine, cancelled at each of its suspension points: nothing left, nothing lost.

Each test runs one call again and again, cancelled when it suspends for the first time, the second
time, and so on, until a run suspends less often and comes to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    bounded,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.testing import EchoServer, echo_server
from tests.support.cancellation import cancelled_at
from tests.support.leaks import Held
from tests.support.raw_server import Peer, close_frame, frame, raw_server

Session: TypeAlias = DefaultClientWebSocketSession


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server


@contextlib.asynccontextmanager
async def opened(
    engine: EngineFactory, url: str, **options: Any
) -> AsyncGenerator[tuple[HttpClient, Session]]:
    """Open a session; when it and its client are closed, nothing may be left."""
    before = Held()
    async with asyncio.timeout(30):
        async with HttpClient(engine, install(WebSockets, **options)) as client:
            session = await client.web_socket_session(url)
            yield client, session
            await session.close()
        await before.again()


async def to_the_end(call: Awaitable[object]) -> bool:
    """Return true: a run that was cancelled gives None."""
    await call
    return True


async def works(session: Session) -> None:
    await session.send("still works")
    assert await session.receive_text() == "still works"


# --- opening and leaving


async def chat(client: HttpClient, url: str) -> str:
    async with client.web_socket(url) as session:
        await session.send("hello")
        return await session.receive_text()


async def execute(client: HttpClient, url: str) -> str:
    async def block(session: Session) -> str:
        await session.send("hello")
        return await session.receive_text()

    return await client.web_socket(url).execute(block)


async def session_of_ones_own(client: HttpClient, url: str) -> str:
    async with await client.web_socket_session(url) as session:
        await session.send("hello")
        return await session.receive_text()


async def raw_session(client: HttpClient, url: str) -> str:
    async with client.web_socket_raw(url) as session:
        await session.send("hello")
        return (await session.incoming.receive()).data.decode()


@pytest.mark.parametrize("visit", [chat, execute, session_of_ones_own, raw_session])
async def test_a_whole_visit(
    engine: EngineFactory,
    server: EchoServer,
    visit: Callable[[HttpClient, str], Any],
) -> None:
    at = 0
    async with HttpClient(engine, install(WebSockets, close_timeout=5)) as client:
        before = Held()
        said: str | None = None
        while said is None:
            at += 1
            said = await cancelled_at(visit(client, f"{server.url}/echo"), at)
            await before.again()
            assert len(server.sessions) == 0
        assert said == "hello"
    assert at > 4


# --- within a session


async def test_receiving_loses_nothing(engine: EngineFactory) -> None:
    """The next message comes only when a receive has been cancelled and another one waits."""

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        for number in range(20):
            await peer.read_frame()
            await peer.send(frame(1, b"%d" % number))
        await peer.read_close()
        await peer.send(close_frame(1000))

    async def by_iteration(session: Session) -> str:
        async for message in session:
            return str(message)
        raise AssertionError("the session has ended")

    async def by_channel(session: Session) -> str:
        return (await session.incoming.receive()).data.decode()

    async def by_name(session: Session) -> str:
        return await session.receive_text()

    ways = [by_iteration, by_channel, by_name]
    async with raw_server(script) as server, opened(engine, server.url) as (_, session):
        for number in range(20):
            receive = ways[number % 3]
            assert await cancelled_at(receive(session), 1) is None
            waiting = asyncio.create_task(receive(session))
            await session.send("next")
            if number % 2:
                assert await waiting == str(number)
                continue
            while not waiting.done():
                await asyncio.sleep(0)
                if session.statistics.frames_received > number:
                    waiting.cancel()  # as its message comes, or just after
                    break
            await asyncio.wait({waiting})
            got = await receive(session) if waiting.cancelled() else waiting.result()
            assert got == str(number)


async def test_sending_sends_all_or_nothing(engine: EngineFactory) -> None:
    """A peer that does not read fills the transport; each `send` that waits is cancelled."""
    go_on = asyncio.Event()
    numbers: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await go_on.wait()
        while True:
            first, payload = await peer.read_frame()
            if first == 0x88:
                break
            assert len(payload) == 100_000
            numbers.append(int(payload[:8]))
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, opened(engine, server.url) as (_, session):
        sent: list[int] = []
        cancelled: list[int] = []
        number = 0
        while len(cancelled) < 10:
            number += 1
            message = b"%08d" % number + bytes(99_992)

            by_name = number % 2
            road = (
                session.send(message) if by_name else session.outgoing.send(Frame.Binary(message))
            )
            done = await cancelled_at(to_the_end(road), 1)
            (sent if done else cancelled).append(number)
            if not done and len(cancelled) < 3:
                await asyncio.sleep(0)  # cancelled in a step of its own too
        go_on.set()
        await session.send(b"%08d" % 0 + bytes(99_992))
    assert numbers == [*sent, 0]


@pytest.mark.parametrize("kind", ["ping", "flush", "wait_closed", "close_reason"])
async def test_what_waits_may_be_cancelled(
    engine: EngineFactory, server: EchoServer, kind: str
) -> None:
    async with opened(engine, f"{server.url}/echo") as (_, session):

        async def act() -> bool:
            if kind == "ping":
                await session.ping()
            elif kind == "flush":
                await session.flush()
            elif kind == "wait_closed":
                await session.wait_closed()
            else:
                await session.close_reason
            return True

        suspends = kind != "flush"  # there is nothing to flush
        for _ in range(3):
            assert await cancelled_at(act(), 1) is (None if suspends else True)
            await works(session)
        if kind == "ping":
            assert await cancelled_at(act(), 2)  # it suspends once
        assert session._core.pings._sent == {}


async def test_flush_behind_a_full_transport(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await go_on.wait()
        while (await peer.read_frame())[0] != 0x88:
            pass
        await peer.send(close_frame(1000))

    go_on = asyncio.Event()
    async with raw_server(script) as server, opened(engine, server.url) as (_, session):
        while session._core.link.writable:
            await session.send(bytes(100_000))
            await asyncio.sleep(0)
        waiting = asyncio.create_task(session.send(bytes(100_000)))
        await asyncio.sleep(0)
        flushing = asyncio.create_task(session.flush())
        await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.wait({flushing})
        assert flushing.cancelled()
        go_on.set()
        await waiting
        await session.flush()


async def test_a_stream_is_sent_or_the_session_ends(
    engine: EngineFactory, server: EchoServer
) -> None:
    async def chunks() -> AsyncIterator[str]:
        for chunk in ("one", "two"):
            await asyncio.sleep(0)
            yield chunk

    at = 0
    done: bool | None = None
    while done is None:
        at += 1
        async with opened(engine, f"{server.url}/echo") as (_, session):
            done = await cancelled_at(to_the_end(session.send_stream(chunks())), at)
            if done:
                assert await session.receive_text() == "onetwo"
            elif at == 1:  # nothing was sent yet
                await works(session)
            else:
                await session.wait_closed()
                assert session.close_reason.code == 1011
                assert session.close_reason.initiator == "local"
    assert at == 3


async def test_close_goes_on_without_its_caller(engine: EngineFactory, server: EchoServer) -> None:
    at = 0
    done: bool | None = None
    while done is None:
        at += 1
        async with opened(engine, f"{server.url}/echo?id={at}") as (_, session):
            done = await cancelled_at(to_the_end(session.close(CloseReason(4000, "enough"))), at)
            assert not session.is_open
            reason = await session.close_reason
            assert (reason, reason.clean) == (CloseReason(4000, "enough"), True)
            with pytest.raises(ConnectionClosedError):
                await session.send("late")
    assert at == 2


async def test_many_receivers_are_cancelled_with_the_session(
    engine: EngineFactory, server: EchoServer
) -> None:
    channels = Channels(incoming=bounded(1))
    async with opened(engine, f"{server.url}/echo", channels=channels) as (_, session):
        waiting = [asyncio.create_task(session.receive_text()) for _ in range(5)]
        await session.send("for the first")
        assert await waiting[0] == "for the first"
        for task in waiting[1:4]:
            task.cancel()
        await session.send("for the last")
        assert await waiting[4] == "for the last"


# --- HTTP


async def test_get(engine: EngineFactory, server: EchoServer) -> None:
    at = 0
    text: str | None = None
    before = Held()
    async with asyncio.timeout(30), HttpClient(engine) as client:
        while text is None:
            at += 1
            response = await cancelled_at(client.get(f"{server.http_url}/hello"), at)
            text = None if response is None else await response.body_as_text()
        assert text == await (await client.get(f"{server.http_url}/hello")).body_as_text()
    await before.again()
    assert at > 1


async def test_a_body_that_streams(engine: EngineFactory, server: EchoServer) -> None:
    async def read(client: HttpClient) -> int:
        async with client.prepare_get(f"{server.http_url}/chunks") as response:
            return sum([len(chunk) async for chunk in response.chunks()])

    at = 0
    size: int | None = None
    before = Held()
    async with asyncio.timeout(30), HttpClient(engine) as client:
        while size is None:
            at += 1
            size = await cancelled_at(read(client), at)
        assert size == await read(client) > 0
    await before.again()
    assert at > 1


# --- the client's end


async def test_closing_the_client(engine: EngineFactory, server: EchoServer) -> None:
    """Sessions are dropped where they stand, the engine is closed all the same."""
    before = Held()
    at = 0
    done: bool | None = None
    while done is None:
        at += 1
        client = HttpClient(engine, install(WebSockets))
        sessions = [await client.web_socket_session(f"{server.url}/echo") for _ in range(3)]
        await client.get(f"{server.http_url}/hello")

        async with asyncio.timeout(30):
            done = await cancelled_at(to_the_end(client.close()), at)
            assert client.is_closed
            await client.close()
            for session in sessions:
                await session.wait_closed()
            await before.again()
    assert at > 1
