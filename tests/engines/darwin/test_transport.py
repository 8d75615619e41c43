"""An `nw_connection` as an asyncio transport: marks, pauses, ends and errors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client.engine.readable import poll_of
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.transport import READ_SIZE, WINDOW, AppleTransport, Leftover
from tests.engines.darwin.double import Double
from tests.engines.darwin.traffic import END, HEADER, RESET, WAIT, Counting, connected, known, party

MORE_THAN_ANY_KERNEL_TAKES = 64 * 1024 * 1024


async def test_marks_for_writing(bridge: Bridge) -> None:
    async with party() as peer:
        transport, protocol = await connected(bridge, peer.port)
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.set_write_buffer_limits(low=100)
        assert transport.get_write_buffer_limits() == (100, 400)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        with pytest.raises(ValueError, match=r"high \(1\) must be at least low \(2\)"):
            transport.set_write_buffer_limits(high=1, low=2)
        transport.abort()
        await protocol.lost


async def test_what_a_transport_says_of_itself(bridge: Bridge) -> None:
    async with party() as peer:
        transport, protocol = await connected(bridge, peer.port)
        assert transport.get_protocol() is protocol
        assert transport.get_extra_info("peername") == ("127.0.0.1", peer.port)
        assert transport.get_extra_info("socket") is None
        assert transport.get_extra_info("sslcontext", "none") == "none"
        assert transport.get_extra_info("leftover") is None
        assert transport.is_reading()
        assert not transport.can_write_eof()
        transport.write(b"")
        assert transport.get_write_buffer_size() == 0
        transport.pause_reading()
        assert not transport.is_reading()
        transport.close()
        transport.close()
        transport.write(b"too late")
        assert transport.get_write_buffer_size() == 0
        await protocol.lost
        assert protocol.error is None
        transport.abort()


async def test_a_paused_transport_holds_the_peer_back(bridge: Bridge) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(100_000))
                try:
                    async with asyncio.timeout(0.2):
                        await writer.drain()
                except TimeoutError:
                    is_held_back.set()
                    await writer.drain()
        writer.close()
        is_over.set()

    is_held_back, is_over = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        transport, protocol = await connected(bridge, server.sockets[0].getsockname()[1])
        transport.pause_reading()
        await is_held_back.wait()
        assert not protocol.got
        assert sum(map(len, transport._incoming)) <= READ_SIZE
        transport.resume_reading()
        transport.resume_reading()
        await protocol.has(READ_SIZE + 1)
        transport.abort()
        await protocol.lost
        await is_over.wait()


async def test_a_peer_that_reads_nothing_pauses_the_writer(bridge: Bridge) -> None:
    """Nothing is taken that the network does not take, and a drop loses the rest."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_end.wait()
        writer.transport.abort()

    may_end = asyncio.Event()
    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1000)
    async with server:
        transport, protocol = await connected(bridge, server.sockets[0].getsockname()[1])
        transport.write(bytes(MORE_THAN_ANY_KERNEL_TAKES))
        assert not protocol.writable.is_set()
        unsent = transport.get_write_buffer_size()
        assert unsent == MORE_THAN_ANY_KERNEL_TAKES - WINDOW
        transport.close()
        assert not protocol.lost.done()
        transport.abort()
        transport.sent(WINDOW // 2, None)
        assert not protocol.writable.is_set()
        await protocol.lost
        may_end.set()
        assert transport.get_write_buffer_size() == 0


async def test_a_protocol_that_raises(bridge: Bridge) -> None:
    class Raising(Counting):
        def data_received(self, data: bytes) -> None:
            raise LookupError("not mine")

    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: seen.append(about))
    async with party() as peer:
        transport, protocol = await connected(bridge, peer.port, Raising())
        transport.write(HEADER.pack(WAIT, 10, 0))
        await protocol.lost
        assert [type(one["exception"]) for one in seen] == [LookupError]
        seen.clear()


async def test_a_protocol_that_goes_on_behind_the_end(bridge: Bridge) -> None:
    class Lasting(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.ended = asyncio.Event()

        def eof_received(self) -> Any:
            super().eof_received()
            self.ended.set()
            return True

    async with party() as peer:
        protocol = Lasting()
        transport, _ = await connected(bridge, peer.port, protocol)
        transport.write(HEADER.pack(END, 10, 5))
        transport.write(b"12345")
        await protocol.ended.wait()
        assert not transport.is_closing()
        transport.write(b"678")
        transport.close()
        await protocol.lost
        assert await peer.heard.get() == b"12345678"


async def test_another_protocol_takes_over(bridge: Bridge) -> None:
    async with party() as peer:
        transport, first = await connected(bridge, peer.port)
        second = Counting()
        second.transport = transport
        second.events.append("made")
        transport.set_protocol(second)
        transport.write(HEADER.pack(END, 1000, 0))
        await second.lost
        assert bytes(second.got) == known(1000, 1)
        assert not first.got
        assert first.events == ["made"]


async def test_bytes_that_nobody_has_read_are_seen(bridge: Bridge) -> None:
    """What the pool asks of an idle connection, before the loop has been told."""
    async with party() as peer:
        transport, protocol = await connected(bridge, peer.port)
        poll = poll_of(transport)
        assert not poll(0)
        transport.pause_reading()
        transport.write(HEADER.pack(WAIT, 10, 0))
        while not poll(0):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)
        while not transport._incoming:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0)
        assert poll(0)
        transport.abort()
        await protocol.lost


async def test_a_connection_that_is_lost_before_its_protocol(bridge: Bridge) -> None:
    async with party() as peer:
        transport = AppleTransport(bridge, "127.0.0.1", peer.port, None)
        await transport.opened()
        await transport.drop()
        with pytest.raises(ConnectionResetError, match="the connection is lost"):
            transport.begin(Counting())


async def test_errors_behind_our_own_end(bridge: Bridge, double: Double) -> None:
    """A write that fails while the connection closes ends it at once, with the error."""
    listener = socket.create_server(("127.0.0.1", 0))
    transport, protocol = await connected(bridge, listener.getsockname()[1])
    accepted, _ = listener.accept()
    transport.write(bytes(MORE_THAN_ANY_KERNEL_TAKES))
    transport.close()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    accepted.close()
    await protocol.lost
    assert isinstance(protocol.error, ConnectionError)
    listener.close()


async def test_a_reset_is_no_end(bridge: Bridge) -> None:
    async with party() as peer:
        transport, protocol = await connected(bridge, peer.port)
        transport.write(HEADER.pack(RESET, 5, 0))
        await protocol.lost
        assert isinstance(protocol.error, ConnectionResetError)
        assert protocol.events == ["made", "lost"]


@pytest.mark.parametrize("take", [lambda left: left.recv(3), lambda left: left.close()])
def test_what_is_left_is_read_like_a_socket(take: Callable[[Leftover], Any]) -> None:
    pieces = deque([b"abcde", b"f"])
    left = Leftover(pieces)
    if take(left) is None:
        assert left.recv(10) == b""
    else:
        assert [left.recv(10), left.recv(10), left.recv(10)] == [b"de", b"f", b""]
