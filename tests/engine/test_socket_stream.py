"""The stream that a connection is before a library, or a link, has it."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from ktor_client.engine.socket_stream import SocketStream
from tests.support.certificates import client_context
from tests.support.raw_server import Peer, Script, raw_server


async def _connected(port: int) -> SocketStream:
    _, stream = await asyncio.get_running_loop().create_connection(SocketStream, "127.0.0.1", port)
    return stream


def _sends(*data: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(*data)

    return script


async def test_reading() -> None:
    async with raw_server(_sends(b"abcdef\r\nrest")) as server:
        stream = await _connected(server.port)
        assert await stream.read(2) == b"ab"
        assert await stream.read_exactly(1) == b"c"
        assert await stream.read_until(b"\r\n", 100) == b"def\r\n"
        assert await stream.read_exactly(4) == b"rest"
        assert await stream.read(100) == b""
        assert stream.is_readable
        with pytest.raises(EOFError):
            await stream.read_exactly(1)
        with pytest.raises(EOFError):
            await stream.read_until(b"x", 100)
        await stream.aclose()
        assert stream.is_lost


async def test_a_mark_that_does_not_come() -> None:
    async with raw_server(_sends(b"x" * 1000)) as server:
        stream = await _connected(server.port)
        with pytest.raises(OverflowError):
            await stream.read_until(b"\r\n", 500)
        await stream.aclose()


async def test_backpressure_both_ways() -> None:
    """What nobody reads is not taken from the socket; a write waits for the peer."""
    size = 64 * 1024 * 1024
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        sending = asyncio.ensure_future(peer.send(bytes(size)))
        done, _ = await asyncio.wait({sending}, timeout=0.2)
        held.set_result(not done)
        await sending
        await go_on.wait()
        assert len(await peer.reader.readexactly(size)) == size

    held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    async with raw_server(script) as server:
        stream = await _connected(server.port)
        assert await held
        left = size
        while left:
            left -= len(await stream.read(1 << 20))
        writing = asyncio.ensure_future(stream.write(bytes(size)))
        done, _ = await asyncio.wait({writing}, timeout=0.2)
        assert not done
        go_on.set()
        await writing
        await server.finished.wait()
        await stream.aclose()


async def test_a_write_that_waits_hears_of_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        peer.reset()

    async with raw_server(script) as server:
        stream = await _connected(server.port)
        with pytest.raises(OSError, match=r"reset|Broken"):
            await stream.write(bytes(64 * 1024 * 1024))
        with pytest.raises(OSError, match=r"reset|Broken"):
            await stream.write(b"more")
        with pytest.raises(OSError, match=r"reset|Broken"):
            await stream.read(1)
        await stream.aclose()


async def test_a_write_after_the_end() -> None:
    async with raw_server(_sends()) as server:
        stream = await _connected(server.port)
        assert await stream.read(1) == b""
        await stream.aclose()
        with pytest.raises(ConnectionResetError, match="closed"):
            await stream.write(b"x")


async def test_bytes_before_tls() -> None:
    async with raw_server(_sends(b"hello")) as server:
        stream = await _connected(server.port)
        assert await stream.read(1) == b"h"
        with pytest.raises(ssl.SSLError) as caught:
            await stream.start_tls(client_context(), "127.0.0.1")
        assert str(caught.value) == "the peer sent bytes before TLS began"
        await stream.aclose()


async def test_an_end_right_after_the_tls_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops then return no transport."""

    async def start_tls(*_: object, **__: object) -> None:
        return None

    async with raw_server(_sends()) as server:
        stream = await _connected(server.port)
        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", start_tls)
        with pytest.raises(ConnectionResetError, match="during the TLS handshake"):
            await stream.start_tls(client_context(), "127.0.0.1")
        await stream.aclose()


class Heir(asyncio.Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def test_handing_over() -> None:
    """What was read stays with the stream; the rest, and the end, are the heir's."""

    async def script(peer: Peer) -> None:
        await peer.send(b"first")
        assert await peer.reader.readexactly(2) == b"go"
        await peer.send(b"second")

    async with raw_server(script) as server:
        stream, heir = await _connected(server.port), Heir()
        assert await stream.read(1) == b"f"
        stream.detach()
        assert await stream.read(100) == b"irst"
        assert await stream.read(100) == b""
        stream.hand_over(heir)
        stream.transport.write(b"go")
        assert await heir.lost is None
        assert heir.data == b"second"
        stream.abort()
        await stream.aclose()


async def test_handing_over_what_is_lost() -> None:
    async with raw_server(_sends()) as server:
        stream, heir = await _connected(server.port), Heir()
        await stream.aclose()
        stream.hand_over(heir)
        assert await heir.lost is None


async def test_an_end_that_the_loop_had_promised_to_the_stream() -> None:
    """TLS transports tell the protocol that they had when the connection ended."""
    async with raw_server(_sends()) as server:
        stream, heir = await _connected(server.port), Heir()
        stream.hand_over(heir)
        stream.transport.abort()
        await heir.lost
        other = Heir()
        stream.hand_over(other)
        stream.connection_lost(None)
        assert await other.lost is None
