"""Connections that are lost while their reader is slow: what was read, or can be, is delivered."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from ktor_client import Channels, CloseReason, ConnectionClosedError, HttpClient, bounded, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from tests.support.raw_server import BINARY, TEXT, Peer, close_frame, frame, raw_server

MARK = 4
FEW = Channels(incoming=bounded(MARK))


async def until_it_breaks(session: DefaultClientWebSocketSession) -> ConnectionClosedError:
    """Send until that raises."""
    with pytest.raises(ConnectionClosedError) as caught:
        while True:
            await session.send("is anybody there?")
            await asyncio.sleep(0.01)
    return caught.value


async def test_a_bomb_does_not_go_off_with_the_connection(engine: EngineFactory) -> None:
    """One read has brought 128 MiB, packed; they come as they are taken."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH))[:-4]
    bomb = frame(BINARY, packed, rsv=0x40) * 128

    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate", trailing=bomb)
        peer.reset()

    deflate = [WebSocketDeflate()]
    plugin = install(WebSockets, extensions=deflate, channels=FEW, ping_interval=None)
    async with (
        asyncio.timeout(50),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        error = await until_it_breaks(session)
        assert error.reason.code == 1006
        assert not session.is_open
        most = taken = 0
        with pytest.raises(ConnectionClosedError) as caught:
            while True:
                most = max(most, len(session.incoming))
                assert len(await session.receive_bytes()) == 1 << 20
                taken += 1
        assert caught.value.reason.code == 1006
        assert most <= 2 * MARK, "no more is unpacked than the marks and a step's work allow"
        assert taken > MARK
        assert session.close_reason.code == 1006


@pytest.mark.parametrize("then", ["receive", "close", "cancel", "client.close"])
async def test_a_rest_that_nobody_has_taken_yet(engine: EngineFactory, then: str) -> None:
    count = 40

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=b"".join(frame(TEXT, b"%d" % i) for i in range(2 * MARK)))
        await peer.read_frame()
        rest = b"".join(frame(TEXT, b"%d" % i) for i in range(2 * MARK, count))
        await peer.send(rest + close_frame(4000, "enough"))

    plugin = install(WebSockets, channels=FEW, close_timeout=3600)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        await asyncio.sleep(0)  # now nothing more is read
        await session.send("go on, and leave")
        await server.finished.wait()
        await until_it_breaks(session)  # a reset has answered the first one
        if then == "client.close":
            await client.close()
        elif then == "cancel":
            session.cancel()
        elif then == "close":
            await session.close()
        got: list[str | bytes] = []
        with pytest.raises(ConnectionClosedError) as caught:
            while True:
                got.append(await session.receive_text())
        assert got == [str(number) for number in range(len(got))]
        assert len(got) >= MARK
        if then == "receive":  # all of it, and how it ended
            assert len(got) == count
            assert caught.value.reason == CloseReason(4000, "enough")
            assert not caught.value.reason.clean, "ours could not be sent"
        await session.wait_closed()
