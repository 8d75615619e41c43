"""How asyncio reads a connection: into the loop's buffer, but for a long answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ktor_client.link.read_buffer import read_buffer
from ktor_client.link.stand_in import StandIn

__all__ = ["LONG", "ReadInPlace"]

LONG = 64 * 1024
"""Bytes of a read from which on asyncio is asked for bytes, which are then not copied."""


class ReadInPlace(asyncio.BufferedProtocol, asyncio.Protocol):
    """A protocol of both kinds: asyncio reads into a buffer of ours, uvloop gives bytes.

    For bytes, asyncio makes room of 256 KiB for each read: three system calls, and page faults.
    """

    if not TYPE_CHECKING:
        __slots__ = ()  # the attributes are its subclasses'

    transport: Any
    """An `asyncio.Transport`; aiohttp's protocols have None once it is gone."""
    _room: memoryview
    _is_long: bool

    def _read_in_place(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, before there is a transport."""
        self._room = read_buffer(loop)
        self._is_long = False

    def _end_long(self) -> None:
        """Read into the buffer again: an answer has ended."""
        if self._is_long and self.transport is not None:
            self._is_long = False
            self.transport.set_protocol(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what asyncio has read."""
        self.data_received(self._room[:nbytes].tobytes())
        if nbytes >= LONG and self.transport is not None:
            self._is_long = True
            self.transport.set_protocol(_Long(self))


class _Long(StandIn[ReadInPlace], asyncio.Protocol):
    """A connection as asyncio sees it while reads are long."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)
