"""The first promises, on each engine and loop."""

from __future__ import annotations

import asyncio
import sys

import pytest

from ktor_client import CloseReason, ConnectionClosedError, Frame, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.raw_server import TEXT, Peer, frame, raw_server


async def test_a_message_goes_there_and_back(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert await peer.read_frame() == (0x81, b"hello")
        await peer.send(frame(TEXT, b"world"))
        assert await peer.read_close() == (1000, "")
        await peer.send(frame(8, b"\x03\xe8"))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            await session.send("hello")
            assert await session.incoming.receive() == Frame.Text("world")
        assert session.close_reason == CloseReason(1000)
        assert session.close_reason.clean


async def test_frames_behind_the_101_are_the_first_to_come(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"early") + frame(TEXT, b"bird"))
        await peer.read_close()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert [await session.receive_text() for _ in range(2)] == ["early", "bird"]


async def test_a_lost_connection_is_1006(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"last words"))
        await peer.read_frame()
        peer.reset()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session(server.url)
        await session.send("go")
        assert await session.receive_text() == "last words"
        with pytest.raises(ConnectionClosedError) as caught:
            await session.incoming.receive()
        assert caught.value.reason.code == 1006
        assert caught.value.initiator == "peer"
        assert (await session.close_reason).code == 1006


async def test_a_silent_peer_cannot_hold_close(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_eof()

    plugin = install(WebSockets, close_timeout=0.05)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        session = await client.web_socket_session(server.url)
        async with asyncio.timeout(5):
            await session.close(CloseReason(4000, "enough"))
        assert session.close_reason == CloseReason(4000, "enough")
        assert not session.close_reason.clean


async def test_a_stack_too_deep_for_send_leaves_the_session_whole(engine: EngineFactory) -> None:
    texts: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        while texts[-1:] != [b"end"]:
            texts.append((await peer.read_frame())[1])
        await peer.send(frame(TEXT, b"heard"))
        await peer.read_close()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:

            async def send_below(depth: int) -> None:
                if depth:
                    await send_below(depth - 1)
                else:
                    await session.send("first")
                    await session.send("second")

            depth, failed = sys.getrecursionlimit() - 200, 0
            while failed < 20:
                try:
                    await send_below(depth)
                except RecursionError:
                    failed += 1
                depth += 1
            await session.send("end")
            assert await session.receive_text() == "heard"
    assert set(texts) <= {b"first", b"second", b"end"}
