"""Feeding a decoder as a link does, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ktor_client.frames import Frame
from ktor_client.protocol.decoder import FrameDecoder
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.violation import Violation
from tests.support.raw_server import BINARY, CLOSE, PING, PONG, TEXT, frame

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "Outcome",
    "TransportLike",
    "decode",
    "decoder",
    "deflate",
    "frame",
    "frames",
    "single_bytes",
]

CONT = 0
KEY = b"\x37\xfa\x21\x3d"
"""The mask key of the examples in RFC 6455 5.7."""


class Outcome(NamedTuple):
    """All that a decoder tells."""

    messages: list[Frame]
    control: list[Frame]
    violation: tuple[int, str] | None
    finished: bool

    @property
    def code(self) -> int | None:
        return None if self.violation is None else self.violation[0]


def decoder(max_size: int = 1 << 20, **options: Any) -> FrameDecoder:
    """Return a decoder for the client's side."""
    return FrameDecoder(deque(), max_size=max_size, **options)


def outcome(codec: FrameDecoder, violation: Violation | None = None) -> Outcome:
    found = None if violation is None else (violation.code, violation.message)
    return Outcome(list(codec.messages), list(codec.control), found, codec.finished)


def decode(data: bytes | Iterable[bytes], max_size: int = 1 << 20, **options: Any) -> Outcome:
    """Feed bytes, piece by piece, up to the first violation."""
    codec = decoder(max_size, **options)
    pieces = [data] if isinstance(data, bytes) else data
    try:
        for piece in pieces:
            feed(codec, piece)
    except Violation as error:
        return outcome(codec, error)
    return outcome(codec)


def feed(codec: FrameDecoder, data: bytes) -> None:
    """Feed bytes, and let nothing of them rest."""
    codec.feed(memoryview(data))
    while codec.rest:
        codec.feed(b"")


def frames(data: bytes | Iterable[bytes], **options: Any) -> list[Frame]:
    """Return the messages of a stream that breaks no rule."""
    result = decode(data, **options)
    assert result.violation is None, result.violation
    return result.messages


def single_bytes(data: bytes) -> list[bytes]:
    """Cut a stream into single bytes."""
    return [data[i : i + 1] for i in range(len(data))]


class TransportLike:
    """Reads into one shared buffer, or straight into an open payload, as `StreamLink` does.

    After each read the shared buffer is overwritten: whoever kept a view of it will be seen.
    """

    def __init__(self, codec: FrameDecoder, buffer_size: int = 64) -> None:
        self.codec = codec
        self.buffer = bytearray(buffer_size)
        self.direct_reads = 0

    def receive(self, data: bytes) -> None:
        """Hand `data` over in as many reads as the buffers make necessary."""
        at = 0
        while at < len(data):
            direct = self.codec.direct_buffer()
            room = memoryview(self.buffer) if direct is None else direct
            size = min(len(room), len(data) - at)
            room[:size] = data[at : at + size]
            at += size
            if direct is not None:
                self.direct_reads += 1
                self.codec.feed_direct(size)
            else:
                feed(self.codec, bytes(room[:size]))
                self.buffer[:] = b"\xaa" * len(self.buffer)

    def outcome(self, pieces: Iterable[bytes]) -> Outcome:
        """Receive the pieces up to the first violation."""
        try:
            for piece in pieces:
                self.receive(piece)
        except Violation as error:
            return outcome(self.codec, error)
        return outcome(self.codec)


def deflate(
    answer: str = "", options: WebSocketDeflate | None = None
) -> Sequence[tuple[int, ExtensionCodec]]:
    """Return what a codec needs for permessage-deflate, negotiated with these parameters."""
    extension = WebSocketDeflate() if options is None else options
    parameters: list[tuple[str, str | None]] = []
    for part in filter(None, answer.split("; ")):
        name, _, value = part.partition("=")
        parameters.append((name, value or None))
    return [(extension.rsv, extension.accept(parameters))]
