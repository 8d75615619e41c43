"""The hot path of receiving with one extension, such as permessage-deflate; see `plain.py`.

Final, unmasked text and binary frames that arrived whole, transformed or not. No state and no rare
case: at the first frame that is anything else, `decoder.py` takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.rules import not_utf8
from ktor_client.protocol.violation import Violation

__all__ = ["take_coded"]

_new = object.__new__
_head = Struct(">HH").unpack_from


def take_coded(
    data: memoryview,
    position: int,
    max_size: int,
    coding: tuple[ExtensionCodec, int],
    append: Callable[[Frame], None],
    room: int,
) -> tuple[int, int]:
    """Append whole data frames; return the position behind the last one, and their decoded bytes.

    `coding` is the codec and its RSV bit, or 0 if it transforms every message. At `room` decoded
    bytes it ends early.

    Raises:
        Violation: 1007, 1009, or what the codec raises.
    """
    codec, rsv = coding
    decode = codec.decode
    end = len(data)
    total = 0
    while end - position >= 4 and total < room:
        kind, length = _head(data, position)
        start = position + 4
        second = kind & 0xFF
        if second < 126:
            length = second
            start -= 2
        elif second > 126 or length < 126:
            break
        stop = start + length
        if stop > end or length > max_size:
            break
        first = kind >> 8
        opcode = first & ~rsv
        if opcode != 0x81 and opcode != 0x82:
            break
        payload = data[start:stop].tobytes()
        if opcode != first or not rsv:
            payload = decode(payload, first=True, fin=True, limit=max_size)
        size = len(payload)
        if size > max_size:
            raise Violation.too_big(None, max_size)
        total += size
        if opcode == 0x81:
            try:
                text = payload.decode()
            except UnicodeDecodeError as error:
                raise not_utf8("Text") from error
            frame = _new(TextFrame)
            frame.text = text
            append(frame)
        else:
            binary = _new(BinaryFrame)
            binary.data = payload
            append(binary)
        position = stop
    return position, total
