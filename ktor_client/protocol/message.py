"""A message that has begun: how many and how big its frames may be, and how they become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ktor_client.frames import Frame, new_binary, new_text
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.text import OpenText, decode_text
from ktor_client.protocol.violation import Violation

__all__ = ["MAX_FRAGMENTS", "OpenMessage", "Piece"]

Piece: TypeAlias = bytes | bytearray | memoryview
"""A payload, or what has come of it."""

MAX_FRAGMENTS = 131_072
"""Frames that a message may have: endless empty ones would keep a session busy for nothing."""

_TEXT = 1


class OpenMessage:
    """A message of which frames, or bytes of one, are still to come."""

    __slots__ = ("_codecs", "_data", "_text", "frames", "kind", "size")

    def __init__(self, first: int, codecs: Sequence[tuple[ExtensionCodec, int]] = ()) -> None:
        """Begin with the first byte of the first frame; `codecs` with the RSV bits of each."""
        self.kind = first & 0x0F
        self.size = 0
        """Bytes that it has so far, after inflation."""
        self._codecs = [codec for codec, rsv in codecs if not rsv or first & rsv] if codecs else ()
        self.frames = 0
        """Headers that have come; whoever takes one counts it."""
        self._text: OpenText | None = None
        self._data: bytearray | None = None

    @property
    def is_text(self) -> bool:
        """Whether its bytes are those of a text, to be taken as they come (RFC 6455 8.1)."""
        return self.kind == _TEXT and not self._codecs

    def expect(self, length: int, limit: int, max_fragments: int) -> None:
        """Check the header of its next frame.

        Raises:
            Violation: 1009, the message would be longer than `limit`; 1008, of too many frames.
        """
        if self.frames >= max_fragments:
            raise Violation.too_many_fragments(max_fragments)
        total = self.size + length
        # Compressed data may be longer than what it inflates to, if hardly ever an eighth.
        if total > limit + (limit // 8 + 1024 if self._codecs else 0):
            raise Violation.too_big(total, limit)

    def add(self, payload: Piece, limit: int, *, fin: bool) -> Frame | None:
        """Add the payload of the frame, or the next piece of it if it `is_text`.

        Returns:
            The message, if `fin` says that this was its end.

        Raises:
            Violation: 1007, it is not UTF-8; 1009, it inflates to more than `limit`; or what an
                extension raises.
        """
        for codec in self._codecs:
            payload = codec.decode(bytes(payload), first=self.frames == 1, fin=fin, limit=limit)
        self.size += len(payload)
        if self._codecs and self.size > limit:
            raise Violation.too_big(None, limit)
        if fin and self.size == len(payload):
            if self.kind == _TEXT:
                return new_text(decode_text(payload))
            return new_binary(bytes(payload))
        if self.kind == _TEXT:
            text = self._text = self._text or OpenText()
            text.take(payload, fin)
            return new_text(text.whole()) if fin else None
        data = self._data = bytearray() if self._data is None else self._data
        data += payload
        return new_binary(bytes(data)) if fin else None
