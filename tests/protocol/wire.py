"""Feeding a decoder as a link does, and what came of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ktor_client.frames import Frame
from ktor_client.protocol.decoder import Fed, FrameDecoder
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
    "Feeding",
    "Outcome",
    "TransportLike",
    "decode",
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


class Feeding:
    """A decoder, and all that has come of feeding it."""

    def __init__(self, max_size: int = 1 << 20, **options: Any) -> None:
        self.codec = FrameDecoder(deque(), max_size=max_size, **options)
        self.control: list[Frame] = []
        self.violation: Violation | None = None
        self.size = 0
        self.steps = 0

    @property
    def messages(self) -> list[Frame]:
        return list(self.codec.messages)

    def feed(self, data: bytes | memoryview) -> None:
        """Feed bytes, and let nothing of them rest."""
        while True:
            rest = self.took(self.codec.feed(data), len(data))
            if not rest:
                return
            data = rest

    def took(self, fed: Fed | None, size: int) -> bytes:
        """Keep what came of feeding; return the rest."""
        self.steps += 1
        if fed is None:
            self.size += size
            return b""
        self.control += fed.control
        self.size += fed.size
        assert self.violation is None or fed.violation is None
        self.violation = self.violation or fed.violation
        return fed.rest

    def fails(self, data: bytes | memoryview, match: str) -> None:
        """Feed bytes that break a rule."""
        self.feed(data)
        assert self.violation is not None
        assert re.search(match, self.violation.message), self.violation.message

    def outcome(self) -> Outcome:
        violation = self.violation
        found = None if violation is None else (violation.code, violation.message)
        return Outcome(self.messages, self.control, found, self.codec.finished)


def decode(data: bytes | Iterable[bytes], max_size: int = 1 << 20, **options: Any) -> Outcome:
    """Feed bytes, piece by piece, up to the first violation."""
    feeding = Feeding(max_size, **options)
    for piece in [data] if isinstance(data, bytes) else data:
        if feeding.violation is None:
            feeding.feed(memoryview(piece))
    return feeding.outcome()


def frames(data: bytes | Iterable[bytes], **options: Any) -> list[Frame]:
    """Return the messages of a stream that breaks no rule."""
    result = decode(data, **options)
    assert result.violation is None, result.violation
    return result.messages


def single_bytes(data: bytes) -> list[bytes]:
    """Cut a stream into single bytes."""
    return [data[i : i + 1] for i in range(len(data))]


class TransportLike(Feeding):
    """Reads into one shared buffer, or straight into an open payload, as `StreamLink` does.

    After each read the shared buffer is overwritten: whoever kept a view of it will be seen.
    """

    def __init__(self, max_size: int = 1 << 20, *, buffer_size: int = 64, **options: Any) -> None:
        super().__init__(max_size, **options)
        self.buffer = bytearray(buffer_size)
        self.direct_reads = 0

    def receive(self, data: bytes) -> None:
        """Hand `data` over in as many reads as the buffers make necessary."""
        at = 0
        while at < len(data) and self.violation is None:
            direct = self.codec.direct_buffer()
            room = memoryview(self.buffer) if direct is None else direct
            size = min(len(room), len(data) - at)
            room[:size] = data[at : at + size]
            at += size
            if direct is not None:
                self.direct_reads += 1
                self.took(self.codec.feed_direct(size), size)
            else:
                self.feed(bytes(room[:size]))
                self.buffer[:] = b"\xaa" * len(self.buffer)


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
