"""The receive buffer that all links and connections of an event loop share."""

from __future__ import annotations

import asyncio
import weakref

__all__ = ["READ_SIZE", "read_buffer"]

READ_SIZE = 256 * 1024
"""Bytes that one read brings at most; 64 KiB cost dearly with messages of that size."""

_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = (
    weakref.WeakKeyDictionary()
)


def read_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    """Return the loop's receive buffer, shared by its links and connections.

    Sharing is safe: between `get_buffer` and `buffer_updated` a loop runs nothing else, and
    `buffer_updated` copies out what it keeps.
    """
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(READ_SIZE))
    return buffer
