"""The hot path of receiving with one extension, such as permessage-deflate; see `plain.py`.

Final, unmasked text and binary frames that arrived whole, transformed or not. No state and no rare
case: at the first frame that is anything else, `decoder.py` takes over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from ktor_client.frames import Frame, new_binary, new_text
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.violation import Violation

__all__ = ["Road", "road_of"]

Road: TypeAlias = Callable[[memoryview, int, int, deque[Frame], int], tuple[int, int]]
"""`take_plain`, or what stands in for it."""

_head = Struct(">HH").unpack_from


def road_of(codec: ExtensionCodec, rsv: int) -> Road:
    """Return what takes whole frames in place of `take_plain`.

    `rsv` is the codec's RSV bit, or 0 if it transforms every message.
    """
    decode = codec.decode

    def take_coded(
        data: memoryview, position: int, max_size: int, messages: deque[Frame], room: int
    ) -> tuple[int, int]:
        """Append whole data frames; return the position behind them, and their decoded bytes.

        At `room` decoded bytes it ends early. Raises Violation: 1007, 1009, or the codec's.
        """
        append = messages.append
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
                    raise Violation.not_utf8("Text") from error
                append(new_text(text))
            else:
                append(new_binary(payload))
            position = stop
        return position, total

    return take_coded
