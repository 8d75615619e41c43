"""Long messages are masked into memory that lasts, for as long as nobody else looks at it."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.link.sender import STEP
from ktor_client.link.write_room import _CACHED, PIECE
from ktor_client.plugins import WebSockets
from tests.support.certificates import client_context, server_context
from tests.support.fake_transport import FakeTransport, link_on, unmasked
from tests.support.raw_server import CLOSE, Peer, close_frame, raw_server

SIZES = [STEP + 1, PIECE, PIECE + 1, 2 * PIECE + 3, STEP + 1]


class Keeping(FakeTransport):
    """Keeps what it is given, as a transport does whose socket takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.kept.append(memoryview(data))


def message(number: int, size: int) -> bytes:
    return bytes([number, 255 - number, 3]) * (size // 3) + bytes(size % 3)


@pytest.mark.parametrize("interpreter", ["cpython", "pypy"])
async def test_what_a_transport_keeps_stays_as_it_is(
    interpreter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name=interpreter))
    link, _, _ = link_on()
    transport = Keeping()
    link._transport = transport
    messages = [message(number, size) for number, size in enumerate(SIZES)]
    for data in messages:
        link.send_binary(data)
    assert b"".join(transport.kept) == b"".join(transport.writes)
    assert unmasked(b"".join(transport.kept)) == [(0x82, data) for data in messages]
    assert link.taken == sum(map(len, transport.kept))


async def test_the_same_memory_serves_the_next_message() -> None:
    link, _, _ = link_on()
    rooms: list[int] = []

    class Looking(FakeTransport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            assert isinstance(data, memoryview)
            rooms.append(id(data.obj))

    link._transport = Looking()
    for size in SIZES:
        link.send_binary(bytes(size))
    assert len(rooms) == 8
    assert len(set(rooms)) == 1


@pytest.mark.parametrize("written", [0, 1])
async def test_a_message_that_cannot_be_ended_ends_the_connection(
    engine: EngineFactory, written: int
) -> None:
    """With nothing written yet, it is as if the message had never been there."""
    ended: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        try:
            while True:
                first, payload = await peer.read_frame()
                ended.append(payload)
                if first & 0x0F == CLOSE:
                    return await peer.send(close_frame(1000))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with asyncio.timeout(20), client.web_socket(server.url) as session:
            link: Any = session._link
            mask, left = link._mask, written * (PIECE // _CACHED) + 1

            def failing(payload: Any, key: bytes) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    raise MemoryError("there is none")
                return mask(payload, key)

            link._mask = failing
            with pytest.raises(MemoryError):
                await session.send(bytes(2 * PIECE))
            if not written:
                await session.send("next")
            else:
                assert (await session.close_reason).code == 1006
        await asyncio.wait_for(server.finished.wait(), 20)
    assert ended == ([] if written else [b"next", b"\x03\xe8"])


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_a_peer_that_reads_late_gets_each_message(engine: EngineFactory, tls: bool) -> None:
    messages = [message(number, 3 * PIECE + number) for number in range(4)]
    is_read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await is_read.wait()
        for data in messages:
            _, payload = await peer.read_frame()
            assert payload == data
        await peer.send(close_frame(1000))
        await peer.read_close()

    async with raw_server(script, tls=server_context() if tls else None) as server:
        made = engine(ssl_context=client_context())
        async with HttpClient(made, install(WebSockets)) as client, asyncio.timeout(50):
            async with client.web_socket(server.url) as session:
                sending = asyncio.ensure_future(asyncio.gather(*map(session.send, messages)))
                await asyncio.sleep(0)
                is_read.set()
                await sending
                assert (await session.close_reason).code == 1000
        await made.close()
