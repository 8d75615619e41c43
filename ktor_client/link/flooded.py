"""A link while long reads come on uvloop, which then read better into a buffer than as bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktor_client.link.stream import StreamLink

__all__ = ["FLOOD", "Flooded"]

FLOOD = 64 * 1024
"""Bytes of a read from which on uvloop is asked to read into a buffer."""


class Flooded(asyncio.BufferedProtocol):
    """What uvloop sees of the link meanwhile.

    Receiving in place costs more there: one read fills all of the room, far beyond the caches.
    """

    def __init__(self, link: StreamLink, buffer: memoryview) -> None:
        self._link = link
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._link.flood_received(self._buffer[:nbytes], nbytes)

    def eof_received(self) -> None:
        self._link.eof_received()

    def pause_writing(self) -> None:
        self._link.pause_writing()

    def resume_writing(self) -> None:
        self._link.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.connection_lost(exc)
