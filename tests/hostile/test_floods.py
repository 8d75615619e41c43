"""Peers that send more than anybody asked for, and consumers that do not keep up."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from ktor_client import (
    Channels,
    Frame,
    FrameTooBigError,
    HttpClient,
    PingTimeoutError,
    ProtocolViolationError,
    bounded,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from tests.hostile.conversation import conversation, saying
from tests.support.raw_server import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
    raw_server,
)

SIZE = 16 * 1024
MESSAGE = frame(BINARY, bytes(SIZE))


async def _settled(session: DefaultClientWebSocketSession) -> None:
    """Wait until nothing arrives any more."""
    before = -1
    while (now := session.statistics.bytes_received) != before:
        before = now
        await asyncio.sleep(0.05)


async def _flood(peer: Peer) -> None:
    """Send messages of 16 KiB until the client leaves."""
    try:
        while True:
            await peer.send(MESSAGE * 4)
    except OSError:
        pass  # the client has left


async def test_a_flood_meets_a_closed_window(engine: EngineFactory) -> None:
    async with conversation(engine, _flood, close_timeout=0.05) as session:
        await _settled(session)
        counts = session.statistics
        assert counts.bytes_received < 5 * 1024 * 1024
        assert counts.incoming_queued == counts.frames_received
        for _ in range(counts.incoming_queued + 500):  # reading goes on
            assert len(await session.receive_bytes()) == SIZE
        await _settled(session)
        assert session.statistics.incoming_queued * SIZE < 5 * 1024 * 1024


@pytest.mark.parametrize("capacity", [1, 2, 10])
async def test_marks_are_those_of_the_channel(engine: EngineFactory, capacity: int) -> None:
    channels = Channels(incoming=bounded(capacity))
    async with conversation(engine, _flood, close_timeout=0.05, channels=channels) as session:
        await _settled(session)
        # One read is parsed to its end: at most 256 KiB beyond the mark.
        assert session.statistics.incoming_queued <= capacity + 256 * 1024 // SIZE
        for _ in range(200):
            await session.incoming.receive()


async def test_a_slow_consumer_is_not_a_dead_peer(engine: EngineFactory) -> None:
    options = {"ping_interval": 0.05, "timeout": 0.2, "close_timeout": 0.05}
    async with conversation(engine, _flood, **options) as session:
        await _settled(session)
        await asyncio.sleep(0.6)  # some times the timeout
        assert session.is_open
        session.ping_interval = None
        queued = session.statistics.incoming_queued
        assert [await session.receive_bytes() for _ in range(queued)] == [bytes(SIZE)] * queued


async def test_a_dead_peer_is_found_once_the_consumer_is_back(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(MESSAGE * 100)
        assert (await peer.read_close())[0] == 1011  # it answers no ping at all

    options = {"ping_interval": 0.1, "timeout": 0.2, "channels": Channels(incoming=bounded(8))}
    async with conversation(engine, script, **options) as session:
        await _settled(session)
        await asyncio.sleep(0.6)
        assert session.is_open
        for _ in range(100):
            assert len(await session.receive_bytes()) == SIZE
        assert (await session.close_reason).code == 1011


async def test_no_ping_destroys_what_waits_in_the_kernel(engine: EngineFactory) -> None:
    """A peer that has said all and left answers what comes by a reset, which drops what waits."""
    count = 200

    async def script(peer: Peer) -> None:
        await peer.send(MESSAGE * count, close_frame(1000))
        peer.writer.close()

    options = {"ping_interval": 0.05, "timeout": 0.1, "channels": Channels(incoming=bounded(8))}
    async with conversation(engine, script, **options) as session:
        await _settled(session)
        await asyncio.sleep(0.4)
        assert len([message async for message in session]) == count
        assert session.close_reason.code == 1000


async def test_who_only_sends_hears_of_a_dead_network(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(MESSAGE * 100)
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await sent.wait()

    sent = asyncio.Event()
    options = {"ping_interval": 0.1, "timeout": 0.3, "channels": Channels(incoming=bounded(8))}
    async with conversation(engine, script, close_timeout=0.1, **options) as session:
        await _settled(session)
        with pytest.raises(PingTimeoutError, match="nothing of what we send was taken"):
            while True:
                await session.send(bytes(SIZE))
        sent.set()


async def test_a_slow_upload_is_not_a_dead_peer(engine: EngineFactory) -> None:
    """Our ping waits behind the message for longer than a pong may take."""
    size, arrived, said = 16 << 20, asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        total = 0
        while total < size:
            await asyncio.sleep(0.012)
            total += len(await peer.reader.readexactly(1 << 16))
        arrived.set()
        await said.wait()

    options = {"ping_interval": 0.1, "timeout": 2, "close_timeout": 0.1}
    async with conversation(engine, script, **options) as session:
        await session.send(bytes(size))
        await arrived.wait()
        assert session.is_open
        said.set()


async def test_pings_are_answered_though_nobody_receives(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(MESSAGE * 4, frame(PING, b"in the same read"), MESSAGE)
        assert await peer.read_frame() == (0x8A, b"in the same read")
        await peer.send(close_frame(1000))
        await peer.read_close()

    channels = Channels(incoming=bounded(1))
    async with conversation(engine, script, channels=channels) as session:
        for _ in range(5):
            await session.incoming.receive()
        await session.wait_closed()


# --- control frames


async def test_a_flood_of_pings_by_a_peer_that_reads_nothing(engine: EngineFactory) -> None:
    count, batch = 100_000, 500
    pongs: list[int] = []

    async def script(peer: Peer) -> None:
        sock: socket.socket = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        transport: Any = peer.writer.transport
        transport.pause_reading()
        for start in range(0, count, batch):
            await peer.send(
                *(frame(PING, b"%06d" % i + bytes(119)) for i in range(start, start + batch))
            )
        await peer.send(frame(TEXT, b"all sent"))
        transport.resume_reading()
        while not pongs or pongs[-1] != count - 1:
            first, payload = await peer.read_frame()
            assert first == 0x8A
            pongs.append(int(payload[:6]))
        await peer.send(close_frame(1000))
        await peer.read_close()

    async with conversation(engine, script) as session:
        assert await session.receive_text() == "all sent"
        await session.wait_closed()
    assert pongs == sorted(set(pongs))
    assert len(pongs) < count  # while nothing could be written, only the newest was kept


async def test_a_flood_of_pings_is_answered(engine: EngineFactory) -> None:
    count = 5000

    async def script(peer: Peer) -> None:
        await peer.send(*(frame(PING, b"%d" % i) for i in range(count)))
        last = b""
        while last != b"%d" % (count - 1):
            first, last = await peer.read_frame()
            assert first == 0x8A
        await peer.send(close_frame(1000))
        await peer.read_close()

    async with conversation(engine, script) as session:
        assert (await session.close_reason).code == 1000


async def test_a_flood_of_pongs_is_ignored(engine: EngineFactory) -> None:
    script, closes = saying(frame(PONG, b"x") * 50_000, frame(TEXT, b"after"))
    async with conversation(engine, script) as session:
        assert await session.receive_text() == "after"
        assert session.statistics.incoming_queued == 0
        assert session.latency is None
        await session.close()
    assert closes == [(1000, "")]


async def test_pings_between_fragments(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"a", fin=False))
        for i in range(20):
            await peer.send(frame(PING, b"%d" % i), frame(0, b"b", fin=False))
            assert await peer.read_frame() == (0x8A, b"%d" % i)
        await peer.send(frame(0, b"c"), close_frame(1000))
        await peer.read_close()

    async with conversation(engine, script) as session:
        assert await session.receive_text() == "a" + "b" * 20 + "c"


# --- fragments and sizes


async def test_a_hundred_thousand_empty_fragments(engine: EngineFactory) -> None:
    script, closes = saying(
        frame(BINARY, b"a", fin=False), frame(0, fin=False) * 100_000, frame(0, b"b")
    )
    async with conversation(engine, script) as session:
        assert await session.receive_bytes() == b"ab"
        await session.close()
    assert closes == [(1000, "")]


async def test_fragments_without_end(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(frame(BINARY, bytes(1000), fin=False))
        try:
            while True:
                await peer.send(frame(0, bytes(1000), fin=False) * 50)
        except OSError:
            pass  # the client has left

    async with conversation(engine, script, max_frame_size=1_000_000) as session:
        with pytest.raises(FrameTooBigError):
            await session.incoming.receive()
        reason = await session.close_reason
        assert reason.code == 1009
        assert "Message of 1001000 bytes" in reason.message  # at the first fragment beyond


async def test_a_message_in_single_bytes(engine: EngineFactory) -> None:
    data = frame(TEXT, "grüße".encode()) + frame(BINARY, bytes(200)) + close_frame(4000, "ende")

    async def script(peer: Peer) -> None:
        for i in range(len(data)):
            await peer.send(data[i : i + 1])
            await asyncio.sleep(0)
        await peer.read_close()

    async with conversation(engine, script) as session:
        assert await session.incoming.receive() == Frame.Text("grüße")
        assert await session.incoming.receive() == Frame.Binary(bytes(200))
        reason = await session.close_reason
        assert (reason.code, reason.message) == (4000, "ende")


# --- bombs


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _deflated(size: int) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [deflater.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join(pieces) + deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]


BOMB = _deflated(64 << 20)
PARTS = [BOMB[i : i + 1000] for i in range(0, len(BOMB), 1000)]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, BOMB, rsv=0x40),
        frame(TEXT, BOMB, rsv=0x40),
        frame(BINARY, PARTS[0], rsv=0x40, fin=False)
        + b"".join(frame(0, part, fin=False) for part in PARTS[1:]),
    ],
    ids=["binary", "text", "fragments"],
)
async def test_a_bomb_costs_at_most_the_limit(engine: EngineFactory, data: bytes) -> None:
    limit = 1 << 20
    closes: list[tuple[int | None, str]] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
        await peer.send(frame(TEXT, b"ready"))
        assert (await peer.read_frame())[0] == 0xC1
        await peer.send(data)
        closes.append(await peer.read_close())

    plugin = install(WebSockets, extensions=[WebSocketDeflate()], max_frame_size=limit)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "ready"
            await session.send("go")
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            with pytest.raises(FrameTooBigError):
                await session.incoming.receive()
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 8 * limit
            assert (await session.close_reason).code == 1009
        await server.finished.wait()
    assert closes[0][0] == 1009


async def test_damaged_compression_is_a_violation(engine: EngineFactory) -> None:
    closes: list[tuple[int | None, str]] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
        await peer.send(frame(BINARY, b"\xff" * 100, rsv=0x40))
        closes.append(await peer.read_close())

    plugin = install(WebSockets, extensions=[WebSocketDeflate()])
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        async with client.web_socket(server.url) as session:
            with pytest.raises(ProtocolViolationError):
                await session.incoming.receive()
        await server.finished.wait()
    assert closes[0][0] in (1002, 1007)
