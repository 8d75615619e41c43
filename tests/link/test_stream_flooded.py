"""Long reads on uvloop: it is asked for bytes or for a buffer, whichever costs less."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import Frame, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.link import LinkOptions, StreamLink
from ktor_client.link.flooded import FLOOD
from ktor_client.link.read_buffer import READ_SIZE
from ktor_client.plugins import WebSockets
from tests.support.certificates import client_context, server_context
from tests.support.fake_transport import FakeTransport
from tests.support.raw_server import BINARY, TEXT, Peer, close_frame, frame, raw_server
from tests.support.receiver import Receiver

LONG = frame(BINARY, bytes(FLOOD))


class UvloopTransport(FakeTransport):
    """Notes for which protocol it reads, as uvloop does: when it begins to read."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol | None = None
        self.reads_for: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert not self.closing
        self.protocol = protocol

    def resume_reading(self) -> None:
        super().resume_reading()
        self.reads_for = self.protocol


UvloopTransport.__module__ = "uvloop.loop"


def flooded() -> tuple[StreamLink, UvloopTransport, Receiver, asyncio.BufferedProtocol]:
    """Return a link after its first long read, and what its transport now reads for."""
    transport, receiver = UvloopTransport(), Receiver()
    link = StreamLink(transport)
    link.start(receiver, LinkOptions(max_frame_size=1 << 20))
    link.data_received(LONG)
    assert isinstance(transport.reads_for, asyncio.BufferedProtocol)
    assert not isinstance(transport.reads_for, asyncio.Protocol), "uvloop would give bytes"
    return link, transport, receiver, transport.reads_for


def fill(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    room = protocol.get_buffer(-1)
    memoryview(room)[: len(data)] = data
    protocol.buffer_updated(len(data))


async def test_long_reads_go_into_a_buffer() -> None:
    link, transport, receiver, protocol = flooded()
    link.send_text("leaves at once")
    link.send_text("leaves at the end of the step, whatever comes in it")
    fill(protocol, LONG + LONG[:100])
    assert len(memoryview(protocol.get_buffer(-1))) == READ_SIZE, "not into the payload"
    fill(protocol, LONG[100:])
    assert list(receiver.messages) == [Frame.Binary(bytes(FLOOD))] * 3
    assert (link.frames_received, link.bytes_received) == (3, 3 * len(LONG))
    assert transport.reads_for is protocol
    assert len(transport.writes) == 1
    await asyncio.sleep(0)
    assert len(transport.writes) == 2


async def test_a_short_read_brings_bytes_back() -> None:
    link, transport, receiver, protocol = flooded()
    receiver.messages.clear()
    fill(protocol, LONG[:FLOOD])
    fill(protocol, LONG[FLOOD:] + frame(TEXT, b"short"))
    assert transport.reads_for is link
    assert receiver.messages.pop() == Frame.Text("short")
    link.data_received(LONG)
    assert transport.reads_for is not link


async def test_a_transport_that_pauses_reads_on_when_there_is_room() -> None:
    link, transport, receiver, protocol = flooded()
    link.pause()
    await asyncio.sleep(0)
    assert not transport.reading
    fill(protocol, frame(TEXT, b"was under way"))
    assert transport.protocol is link
    assert not transport.reading
    receiver.messages.clear()
    link.resume()
    assert transport.reads_for is link


async def test_a_transport_that_closes_is_left_alone() -> None:
    link, transport, receiver, protocol = flooded()
    transport.closing = True
    fill(protocol, frame(TEXT, b"the last"))
    assert transport.protocol is protocol
    assert receiver.messages.pop() == Frame.Text("the last")
    protocol.eof_received()
    assert receiver.is_cut
    error = ConnectionResetError()
    protocol.connection_lost(error)
    assert await receiver.end is error
    assert not link.writable


async def test_backpressure_of_sending() -> None:
    link, _, _, protocol = flooded()
    protocol.pause_writing()
    assert not link.writable
    protocol.resume_writing()
    assert link.writable


async def test_other_transports_have_one_way() -> None:
    transport, receiver = FakeTransport(), Receiver()
    link = StreamLink(transport)
    link.start(receiver, LinkOptions(max_frame_size=1 << 20))
    link.data_received(LONG)  # which has no `set_protocol`
    assert len(receiver.messages) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
async def test_floods_and_short_messages_by_turns(engine: EngineFactory, tls: bool) -> None:
    sizes = [1, 70_000, 2_000_000, 5, 1000, 65_536, 125, 300_000, 126, 65_535]
    counts = [1 + 1_000_000 // size if size > 900 else 1 for size in sizes]

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        for number, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            await peer.send(frame(BINARY, bytes([number]) * size) * count)
            assert (await peer.read_frame())[1] == b"%d" % number
        await peer.send(close_frame(1000))
        await peer.read_close()

    async with raw_server(script, tls=server_context() if tls else None) as server:
        made = engine(ssl_context=client_context())
        async with HttpClient(made, install(WebSockets)) as client, asyncio.timeout(50):
            async with client.web_socket(server.url) as session:
                for number, (size, count) in enumerate(zip(sizes, counts, strict=True)):
                    for _ in range(count):
                        assert await session.receive_bytes() == bytes([number]) * size
                    await session.send(str(number))
                assert (await session.close_reason).code == 1000
        await made.close()
