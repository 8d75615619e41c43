"""Peers that end their side of the connection, with and without a Close, whatever we still hold."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ktor_client import CloseReason, ConnectionClosedError, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.frames import BinaryFrame
from ktor_client.plugins import WebSockets
from ktor_client.session import ClientWebSocketSession, DefaultClientWebSocketSession
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import TEXT, Peer, close_frame, frame, raw_server
from tests.support.receiver import open_link, start

FOR_EVER = 3600.0


async def fill(session: ClientWebSocketSession) -> list[asyncio.Task[None]]:
    """Send until a send has to wait for the peer."""
    sending: list[asyncio.Task[None]] = []
    while not sending or sending[-1].done():
        sending.append(asyncio.create_task(session.send(bytes(300_000))))
        await asyncio.sleep(0.02)
    return sending


async def ends_at_once(session: ClientWebSocketSession) -> None:
    """Check that everybody hears of the end, which is a loss."""
    for call in (session.incoming.receive(), session.send("lost"), session.flush()):
        with pytest.raises(ConnectionClosedError) as caught:
            await call
        assert caught.value.reason.code == 1006
    assert not session.is_open
    reason = await session.close_reason
    assert (reason.code, reason.initiator, reason.clean) == (1006, "peer", False)


@pytest.mark.parametrize("raw", [False, True])
async def test_while_bytes_of_ours_are_unsent(engine: EngineFactory, raw: bool) -> None:
    go, hold = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await go.wait()
        peer.writer.write_eof()
        await hold.wait()

    plugin = install(WebSockets, ping_interval=None, close_timeout=FOR_EVER)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session: ClientWebSocketSession
        if raw:
            session = await client.web_socket_raw_session(server.url)
        else:
            session = await client.web_socket_session(server.url)
        sending = await fill(session)
        receiving = asyncio.ensure_future(session.incoming.receive())
        go.set()
        with pytest.raises(ConnectionClosedError):
            await receiving
        await ends_at_once(session)
        ends = await asyncio.gather(*sending, return_exceptions=True)
        assert isinstance(ends[-1], ConnectionClosedError)
        hold.set()


async def test_over_tls_while_bytes_of_ours_are_unsent(engine: EngineFactory) -> None:
    """TLS has a farewell of its own; what it cannot send any more does not hold the session."""
    go, hold = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await go.wait()
        transport.close()
        await hold.wait()

    plugin = install(WebSockets, ping_interval=None, close_timeout=FOR_EVER)
    options: dict[str, Any] = {"ssl_context": client_context()}
    made: Any = engine
    async with (
        asyncio.timeout(30),
        raw_server(script, tls=server_context()) as server,
        HttpClient(lambda: made(**options), plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        sending = await fill(session)
        go.set()
        await ends_at_once(session)
        hold.set()
        await asyncio.gather(*sending, return_exceptions=True)


async def test_behind_the_101(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"first") + frame(TEXT, b"half", fin=False))
        peer.writer.write_eof()
        await peer.read_eof()

    plugin = install(WebSockets, ping_interval=None, close_timeout=FOR_EVER)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        assert await session.receive_text() == "first"
        await ends_at_once(session)


async def test_what_was_sent_before_still_leaves(engine: EngineFactory) -> None:
    """A peer that has ended its side may go on reading: it gets what the transport has."""
    go = asyncio.Event()
    got: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await go.wait()
        peer.writer.write_eof()
        transport.resume_reading()
        got.append(len(await peer.read_eof()))

    plugin = install(WebSockets, ping_interval=None, close_timeout=FOR_EVER)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        sending = await fill(session)
        sent = session.statistics.bytes_sent
        go.set()
        await ends_at_once(session)
        await asyncio.gather(*sending, return_exceptions=True)
        await server.finished.wait()
    assert got == [sent]


async def test_aborted_when_all_has_left(engine: EngineFactory) -> None:
    """The transport has closed itself, and takes no word any more."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await go.wait()
        peer.writer.write_eof()
        await peer.read_eof()

    client = engine()
    async with asyncio.timeout(30), raw_server(script) as server:
        link: Any = (await open_link(client, server.url)).link
        start(link)
        link.send(BinaryFrame(bytes(16 << 20)))  # more than the kernel takes
        go.set()
        await server.finished.wait()
        while not link._is_lost:  # noqa: ASYNC110  # the loop sets no event
            await asyncio.sleep(0.001)
        link.abort()
        await client.close()


@pytest.mark.parametrize("waits", ["for a message", "for nothing"])
async def test_with_a_close(engine: EngineFactory, waits: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"last") + close_frame(4000, "bye"))
        peer.writer.write_eof()
        assert await peer.read_close() == (4000, "bye")
        assert await peer.read_eof() == b""

    plugin = install(WebSockets, close_timeout=FOR_EVER)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session: DefaultClientWebSocketSession = await client.web_socket_session(server.url)
        if waits == "for a message":
            assert await session.receive_text() == "last"
            with pytest.raises(ConnectionClosedError):
                await session.receive_text()
        reason = await session.close_reason
        assert (reason, reason.clean) == (CloseReason(4000, "bye"), True)
        await session.wait_closed()
        await server.finished.wait()
