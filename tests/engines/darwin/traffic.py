"""Bytes both ways over a transport of Apple's: a peer of known bytes, a protocol that counts."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.credentials import Credentials
from ktor_client.engines._darwin.tls import AppleTls
from ktor_client.engines._darwin.transport import AppleTransport
from tests.support.certificates import authority_pem, server_context
from tests.support.fake_link import steps

HEADER = struct.Struct("!BII")
END, RESET, WAIT = 0, 1, 2
"""What the peer does once it has sent its bytes and read ours: end, reset, or wait for our end."""


def known(size: int, of: int) -> bytes:
    """Return bytes of which no two pieces are alike."""
    return Random(of * 1_000_003 + size).randbytes(size)


class Party:
    """The peer: it sends what the header asks for, and keeps what it gets."""

    def __init__(self) -> None:
        self.port = 0
        self.tls_port = 0
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        got = b""
        try:
            head = await reader.readexactly(HEADER.size)
            ending, sends, gets = HEADER.unpack(head)
            writer.write(known(sends, 1))
            if ending == RESET:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                got = await reader.readexactly(gets)
                writer.transport.abort()
            else:
                while len(got) < gets and (piece := await reader.read(65536)):
                    got += piece
                await writer.drain()
                if ending == WAIT or writer.can_write_eof():
                    if ending == END:
                        writer.write_eof()
                    got += await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.heard.put_nowait(got)
            writer.close()


@asynccontextmanager
async def party() -> AsyncGenerator[Party]:
    """Run a peer."""
    one = Party()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    over_tls = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=server_context())
    one.port, one.tls_port = (each.sockets[0].getsockname()[1] for each in (server, over_tls))
    try:
        yield one
    finally:
        await steps(20)  # those that have just been connected are accepted, and begin
        for each in (server, over_tls):
            each.close()
            await each.wait_closed()
        if one.tasks:
            await asyncio.wait(one.tasks)


class Counting(asyncio.Protocol):
    """Keeps what comes, and may pause while it does."""

    transport: AppleTransport

    def __init__(self, pauses: Random | None = None) -> None:
        self.got = bytearray()
        self.error: Exception | None = None
        self.events: list[str] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()
        self.writable.set()
        self._pauses = pauses
        self._more = asyncio.Event()

    async def has(self, size: int) -> None:
        """Return when so many bytes have come."""
        while len(self.got) < size:
            self._more.clear()
            await self._more.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("AppleTransport", transport)
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        assert self.events == ["made"], self.events
        self.got += data
        self._more.set()
        if self._pauses is not None and self._pauses.random() < 0.3:
            self.transport.pause_reading()
            delay = self._pauses.random() / 1000
            asyncio.get_running_loop().call_later(delay, self.transport.resume_reading)

    def eof_received(self) -> None:
        self.events.append("eof")

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.error = exc
        self.writable.set()
        leftover: Any = self.transport.get_extra_info("leftover")
        while leftover is not None and (piece := leftover.recv(1000)):
            self.got += piece
        self.lost.set_result(None)


async def connected(
    bridge: Bridge, port: int, protocol: Counting | None = None, tls: AppleTls | None = None
) -> tuple[AppleTransport, Counting]:
    """Return an open transport, and the protocol that it reads for."""
    configure = None if tls is None else tls.handshake("127.0.0.1", None).configure
    transport = AppleTransport(bridge, "127.0.0.1", port, configure)
    try:
        await transport.opened()
        protocol = protocol or Counting()
        transport.begin(protocol)
    except BaseException:
        await transport.drop()
        raise
    return transport, protocol


def trusting(bridge: Bridge) -> AppleTls:
    """Return TLS that trusts the peer."""
    return AppleTls(bridge, ["http/1.1"], Credentials.of(authority_pem(), False, None))


async def converse(bridge: Bridge, peer: Party, seed: int, tls: AppleTls | None = None) -> None:
    """Exchange bytes as a seed says, and check that each side got what the other one has sent."""
    random = Random(seed)
    ending = random.choice((END, RESET, WAIT))
    sends, gets = random.randrange(30_000), random.randrange(30_000)
    pauses = Random(seed) if random.random() < 0.5 else None
    port = peer.port if tls is None else peer.tls_port
    transport, protocol = await connected(bridge, port, Counting(pauses), tls)
    transport.write(HEADER.pack(ending, sends, gets))
    ours, at = known(gets, 2), 0
    while at < gets and not transport.is_closing():
        size = random.randrange(1, 9000)
        transport.write(memoryview(ours)[at : at + size])
        at += size
        await protocol.writable.wait()
        if random.random() < 0.2:
            await asyncio.sleep(0)
    if ending == WAIT:
        await protocol.has(sends)
        transport.close()
    await protocol.lost
    heard = await peer.heard.get()
    assert bytes(protocol.got) == known(sends, 1), f"seed {seed}: ours is not what was sent"
    assert heard == ours, f"seed {seed}: the peer's is not what was sent"
    assert (protocol.error is None) == (ending != RESET), f"seed {seed}: {protocol.error!r}"
    assert protocol.events == (["made", "eof", "lost"] if ending == END else ["made", "lost"])
    assert transport.is_closing()
