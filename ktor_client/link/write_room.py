"""The memory in which the links of an event loop mask long messages, one after the other.

Memory of a message's size goes back to the system when it is freed, as a rule; to get its pages
anew costs several times what masking costs.
"""

from __future__ import annotations

import asyncio
import sys
import weakref

from ktor_client.protocol.masking import Mask

__all__ = ["PIECE", "masked_in_room"]

PIECE = 1024 * 1024
"""Bytes of a message that are written at a time: each write wakes the peer."""
_CACHED = 64 * 1024
"""Bytes that are masked at a time, and copied before they leave the caches. Of both, the key's
length is a divisor."""
_HEAD = 14

_rooms: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, bytearray] = (
    weakref.WeakKeyDictionary()
)


def masked_in_room(
    loop: asyncio.AbstractEventLoop, head: bytes, payload: memoryview, key: bytes, mask: Mask
) -> memoryview:
    """Return `head` and, masked, up to `PIECE` bytes of payload: room that nobody else has.

    A transport may keep it; once there is no view of it any more, the next ones get it.
    """
    room = _rooms.get(loop)
    if room is None or not _is_free(room):
        room = _rooms[loop] = bytearray(_HEAD + PIECE)
    start = len(head)
    view = memoryview(room)[: start + len(payload)]
    view[:start] = head
    for at in range(0, len(payload), _CACHED):
        piece = mask(payload[at : at + _CACHED], key)
        view[start + at : start + at + len(piece)] = piece
    return view


def _is_free(room: bytearray) -> bool:
    """Whether there is no view of the room; only CPython notices at once when one has gone."""
    if sys.implementation.name != "cpython":
        return False
    try:
        room.append(room.pop())
    except BufferError:
        return False
    return True
