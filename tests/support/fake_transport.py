"""A transport that only notes, a `StreamLink` on it, and the bytes that leave, taken apart."""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.link import LinkOptions, StreamLink
from ktor_client.link.sender import BATCH
from tests.support.receiver import Receiver


class FakeTransport(asyncio.Transport):
    """Takes what is written; ends when it is told to."""

    def __init__(self, peername: object = None) -> None:
        super().__init__({"peername": peername})
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.closing = False
        self.reading = True
        self.waiting = 0
        """Bytes of what was written that have not left."""
        self.limits: tuple[int | None, int | None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written to a transport that is closing"
        self.writes.append(bytes(data))

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def abort(self) -> None:
        self.closing = True
        self.calls.append("abort")


def link_on(
    leading: bytes = b"", *, start: bool = True, **options: Any
) -> tuple[StreamLink, FakeTransport, Receiver]:
    transport = FakeTransport()
    link = StreamLink(transport, leading)
    receiver = Receiver()
    if start:
        settings: dict[str, Any] = {"max_frame_size": 1 << 24}
        link.start(receiver, LinkOptions(**(settings | options)))
    return link, transport, receiver


def feed(link: StreamLink, data: bytes) -> None:
    """Do what a transport does when bytes have come."""
    rest = memoryview(data)
    while rest:
        buffer = link.get_buffer(-1)
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        link.buffer_updated(size)
        rest = rest[size:]


def spend_step(link: StreamLink) -> None:
    """Send as much as one step of the loop takes."""
    while link.writable:
        link.send_binary(bytes(BATCH))


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """Return first byte and payload of masked frames; they must be whole."""
    frames: list[tuple[int, bytes]] = []
    while data:
        first, size, at = data[0], data[1] & 0x7F, 2
        assert data[1] & 0x80, "not masked"
        if size > 125:
            at += 2 if size == 126 else 8
            size = int.from_bytes(data[2:at], "big")
        mask, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
        assert len(payload) == size
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        frames.append((first, plain.to_bytes(size, "big")))
        data = data[at + 4 + size :]
    return frames
