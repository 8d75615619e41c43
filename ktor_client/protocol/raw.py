"""Data frames as raw sessions see them, each as it came. Which may come is not checked here."""

from __future__ import annotations

from ktor_client.frames import (
    CONTINUATION,
    NOT_FINAL,
    RSV_MASK,
    BinaryFrame,
    Frame,
    TextFrame,
)
from ktor_client.protocol.rules import decode_text

__all__ = ["raw_frame"]

_BINARY = 2
_new = object.__new__


def raw_frame(kind: int, first: int, payload: bytes) -> Frame:
    """Return the frame of a message of `kind`, which began with the byte `first`.

    Raises:
        Violation: 1007, for a whole text.
    """
    bits = first & RSV_MASK
    if not first & 0x80:
        bits |= NOT_FINAL
    if not first & 0x0F:
        bits |= CONTINUATION
    frame: Frame
    if kind == _BINARY:
        binary = _new(BinaryFrame)
        binary.data = payload
        frame = binary
    else:
        text = _new(TextFrame)
        if bits:
            text._data = payload
        else:
            text.text = decode_text(payload)
        frame = text
    if bits:
        frame._bits = bits
    return frame
