"""The receive buffer that all links and connections of an event loop share."""

from __future__ import annotations

import asyncio
import weakref

__all__ = ["READ_SIZE", "read_buffer"]

READ_SIZE = 256 * 1024
"""Bytes that one read brings at most; 64 KiB cost dearly with messages of that size."""

_KEPT = 4 * 1024 * 1024

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
        _keep_freed_memory()
        buffer = _buffers[loop] = memoryview(bytearray(READ_SIZE))
    return buffer


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed of long messages, instead of giving it back to the system.

    It adapts to the largest block that was freed: smaller ones are no mappings of their own any
    more, and twice as much may lie free. New pages for a message cost more than to receive it.
    """
    bytearray(_KEPT)
