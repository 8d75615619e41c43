"""The hot path of receiving: final, unmasked text and binary frames that arrived whole.

No state and no rare case: at the first byte that is anything else, `decoder.py` takes over. What
stands here was chosen by measuring; `benchmarks/micro_codec.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.protocol.rules import not_utf8

__all__ = ["take_one", "take_plain"]

_WINDOW = 16 * 1024
_SHORT = 512
"""Payload bytes up to which copying twice is cheaper than making a memoryview for each frame."""

_ONE = 4 + _SHORT

_TEXT_16 = 0x817E
_BINARY_16 = 0x827E
"""The first two bytes of a final frame whose length stands in the next two."""

_new = object.__new__
_head = Struct(">HH").unpack_from
_length_64 = Struct(">Q").unpack_from


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
        if is_long or data[position + 1] == 126:
            kind, length = _head(data, position)
            is_long = length > _SHORT and (kind == _TEXT_16 or kind == _BINARY_16)
        if is_long:
            start = position + 4
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
        elif data[position + 1] == 127:
            taken = _take_large(data, position, max_size, append)
            if not taken:
                break
            position += taken
        elif max_size < _SHORT:
            break
        else:
            taken = _take_short(data[position : position + _WINDOW].tobytes(), append)
            if not taken:
                break
            position += taken
    return position


def _take_large(
    data: memoryview, position: int, max_size: int, append: Callable[[Frame], None]
) -> int:
    """Take one frame of 64 KiB or more; return how many bytes it was, 0 if it is not whole."""
    start = position + 10
    if start > len(data):
        return 0
    length: int = _length_64(data, position + 2)[0]
    stop = start + length
    if stop > len(data) or not 0x10000 <= length <= max_size:
        return 0
    if data[position] == 0x81:
        try:
            text = str(data[start:stop], "utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8("Text") from error
        frame = _new(TextFrame)
        frame.text = text
        append(frame)
    elif data[position] == 0x82:
        binary = _new(BinaryFrame)
        binary.data = data[start:stop].tobytes()
        append(binary)
    else:
        return 0
    return stop - position


def take_one(data: memoryview, max_size: int, append: Callable[[Frame], None]) -> bool:
    """Append the message that `data` is, if it is one frame and short; else leave all to others.

    So most reads are when nobody floods.
    """
    size = len(data)
    if not 2 <= size <= _ONE:
        return False
    raw = data.tobytes()
    start = 2
    if raw[1] != size - 2 or size > 127:
        start = 4
        if raw[1] != 126 or size < 130 or raw[2] << 8 | raw[3] != size - 4:
            return False
    if size - start > max_size:
        return False
    if raw[0] == 0x81:
        try:
            text = raw[start:].decode()
        except UnicodeDecodeError:
            return False
        frame = _new(TextFrame)
        frame.text = text
        append(frame)
    elif raw[0] == 0x82:
        binary = _new(BinaryFrame)
        binary.data = raw[start:]
        append(binary)
    else:
        return False
    return True


def _take_short(data: bytes, append: Callable[[Frame], None]) -> int:
    """Take whole frames of at most 512 bytes; return how many bytes they were."""
    new, text_type, binary_type = _new, TextFrame, BinaryFrame
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
            if not 126 <= length <= _SHORT:
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
            frame = new(text_type)
            frame.text = text
            append(frame)
        elif first == 0x82:
            binary = new(binary_type)
            binary.data = data[start:stop]
            append(binary)
        else:
            return position
        position = stop
    return position
