"""The hot path of receiving: final, unmasked text and binary frames that arrived whole.

No state, no rare case and no error: at the first frame that is anything else, or wrong,
`decoder.py` takes over. What stands here was chosen by measuring; `benchmarks/micro_codec.py`
measures it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct
from struct import error as struct_error
from typing import Any, TypeAlias, cast

from ktor_client._twin import twin
from ktor_client.frames import BinaryFrame, Frame, TextFrame, new_binary, new_text

__all__ = ["MEDIUM", "ONE_READ", "take_copied", "take_plain"]

MEDIUM = 1536
"""Payload bytes up to which copying twice is cheaper than making a memoryview for each frame."""
ONE_READ = 4 + MEDIUM
"""Bytes of the longest of these frames; a read up to this is best taken as bytes."""
_FIRST = 4 * 1024
_WINDOW = 64 * 1024
"""Bytes that are copied at once: few where one long frame may follow another, then many."""
_WHOLE = b"\x81\x82"
"""First bytes of the frames that are taken here."""

_Form: TypeAlias = tuple[Callable[[memoryview, int], tuple[int, int]], int, int, int, int]
"""How long frames begin: what reads kind and length, the header's size, which kinds are text and
binary, and what is too short for this form."""
_head: Callable[[bytes | memoryview, int], tuple[int, int]] = cast("Any", Struct(">HH").unpack_from)
_LONG: _Form = (_head, 4, 0x817E, 0x827E, MEDIUM)
_LARGE: _Form = (cast("Any", Struct(">HQ").unpack_from), 10, 0x817F, 0x827F, 0xFFFF)

_new = object.__new__


@twin
def take_plain(
    data: memoryview, position: int, max_size: int, messages: deque[Frame], room: int = 0
) -> tuple[int, int]:
    """Append data frames that are whole.

    Returns:
        The position behind the last one; and 0, the bytes that took more work than their reading.
    """
    end = len(data)
    window = _FIRST
    while end - position >= 4 and data[position] in _WHOLE:
        before = position
        second = data[position + 1]
        if second > 125:
            form = _LONG if second == 126 else _LARGE
            position = _take_long(data, position, max_size, messages, form)
            if position > before:
                window = _FIRST
                continue
            if second != 126 or data[position + 2] << 8 | data[position + 3] > MEDIUM:
                break
        position += take_copied(data[position : position + window].tobytes(), max_size, messages)
        if position == before:
            break
        window = _WINDOW
    return position, 0


def _take_long(
    data: memoryview,
    position: int,
    max_size: int,
    messages: deque[Frame],
    form: _Form,
) -> int:
    """Take what follows in the same form, for what follows a long frame is one as a rule."""
    head, size, text_kind, binary_kind, shorter = form
    append = messages.append
    end = len(data)
    while end - position > shorter:
        kind, length = head(data, position)
        start = position + size
        stop = start + length
        if not shorter < length <= max_size or stop > end:
            break
        if kind == text_kind:
            try:
                text = str(data[start:stop], "utf-8")
            except UnicodeDecodeError:
                break
            append(new_text(text))
        elif kind == binary_kind:
            append(new_binary(data[start:stop].tobytes()))
        else:
            break
        position = stop
    return position


@twin
def take_copied(data: bytes, max_size: int, messages: deque[Frame]) -> int:
    """Append whole frames of less than 64 KiB; return how many bytes they were."""
    if max_size < 125:
        return 0
    append = messages.append
    end = len(data)
    last = end - 1
    position = 0
    try:
        while position < last:
            length = data[position + 1]
            if length < 126:
                start = position + 2
                stop = start + length
                if stop > end:
                    break
                first = data[position]
                if first == 0x81:
                    text = data[start:stop].decode()
                    frame = _new(TextFrame)
                    frame.text = text
                    frame._bits = 0
                    append(frame)
                elif first == 0x82:
                    binary = _new(BinaryFrame)
                    binary.data = data[start:stop]
                    binary._bits = 0
                    append(binary)
                else:
                    break
                position = stop
                continue
            before = position
            while True:  # what follows a longer frame is one as a rule
                kind, length = _head(data, position)
                start = position + 4
                stop = start + length
                if kind == 0x817E:
                    if stop > end or not 125 < length <= max_size:
                        return position
                    text = data[start:stop].decode()
                    frame = _new(TextFrame)
                    frame.text = text
                    frame._bits = 0
                    append(frame)
                elif kind == 0x827E:
                    if stop > end or not 125 < length <= max_size:
                        return position
                    binary = _new(BinaryFrame)
                    binary.data = data[start:stop]
                    binary._bits = 0
                    append(binary)
                else:
                    break
                position = stop
            if position == before:
                break
    except (UnicodeDecodeError, struct_error):  # no text, or a header that is not whole
        pass
    return position
