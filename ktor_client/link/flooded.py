"""A link while long reads come on uvloop, which then read better into a buffer than as bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ktor_client.link.stand_in import StandIn

if TYPE_CHECKING:
    from ktor_client.link.stream import StreamLink

__all__ = ["FLOOD", "Flooded"]

FLOOD = 64 * 1024
"""Bytes of a read from which on uvloop is asked to read into a buffer."""


class Flooded(StandIn["StreamLink"], asyncio.BufferedProtocol):
    """What uvloop sees of the link meanwhile.

    Receiving in place costs more there: one read fills all of the room, far beyond the caches.
    """

    __slots__ = ("_buffer",)

    def __init__(self, link: StreamLink, buffer: memoryview) -> None:
        super().__init__(link)
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.flood_received(self._buffer[:nbytes], nbytes)
