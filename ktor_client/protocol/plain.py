"""The hot path of receiving: final, unmasked text and binary frames that arrived whole.

No state and no rare case: at the first byte that is anything else, `decoder.py` takes over. What
stands here was chosen by measuring; `benchmarks/micro_codec.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.protocol.rules import not_utf8

__all__ = ["ONE_READ", "SHORT", "take_plain", "take_short"]

_WINDOW = 16 * 1024
SHORT = 512
"""Payload bytes up to which copying twice is cheaper than making a memoryview for each frame."""
ONE_READ = 4 + SHORT
"""Bytes of the longest of these frames; a read up to this is best taken as bytes."""

_TEXT_16 = 0x817E
_BINARY_16 = 0x827E
"""The first two bytes of a final frame whose length stands in the next two."""
_LARGE = 0x10000
"""Payload bytes from which on the length stands in eight bytes."""

_new = object.__new__
_head = Struct(">HH").unpack_from
_large_head = Struct(">BBQ").unpack_from


def take_plain(
    data: memoryview, position: int, max_size: int, append: Callable[[Frame], None]
) -> int:
    """Append data frames that are whole; return the position behind the last one.

    Raises:
        Violation: 1007.
    """
    end = len(data)
    kind = length = 0
    is_long = False  # what follows a long frame is a long frame as a rule
    while end - position >= 4:
        start = position + 4
        if is_long or data[position + 1] == 126:
            kind, length = _head(data, position)
            is_long = length > SHORT and (kind == _TEXT_16 or kind == _BINARY_16)
        if not is_long and data[position + 1] == 127:
            start = position + 10
            if start > end:
                break
            first, _, length = _large_head(data, position)
            kind = first << 8 | 126  # as if the length stood in two bytes
            if length < _LARGE or not (kind == _TEXT_16 or kind == _BINARY_16):
                break
            is_long = True
        if is_long:
            stop = start + length
            if length > max_size or stop > end:
                break
            if kind == _TEXT_16:
                try:
                    text = str(data[start:stop], "utf-8")
                except UnicodeDecodeError as error:
                    raise not_utf8("Text") from error
                frame = _new(TextFrame)
                frame.text = text
                append(frame)
            else:
                binary = _new(BinaryFrame)
                binary.data = data[start:stop].tobytes()
                append(binary)
            position = stop
        elif max_size < SHORT:
            break
        else:
            taken = take_short(data[position : position + _WINDOW].tobytes(), append)
            if not taken:
                break
            position += taken
    return position


def take_short(data: bytes, append: Callable[[Frame], None]) -> int:
    """Take whole frames of at most 512 bytes; return how many bytes they were."""
    end = len(data)
    last = end - 1
    position = 0
    while position < last:
        length = data[position + 1]
        start = position + 2
        if length > 125:
            start += 2
            if length != 126 or start > end:
                return position
            length = data[position + 2] << 8 | data[position + 3]
            if not 126 <= length <= SHORT:
                return position
        stop = start + length
        if stop > end:
            return position
        first = data[position]
        if first == 0x81:
            try:
                text = data[start:stop].decode()
            except UnicodeDecodeError as error:
                raise not_utf8("Text") from error
            frame = _new(TextFrame)
            frame.text = text
            append(frame)
        elif first == 0x82:
            binary = _new(BinaryFrame)
            binary.data = data[start:stop]
            append(binary)
        else:
            return position
        position = stop
    return position
