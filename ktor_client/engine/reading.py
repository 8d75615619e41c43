"""How asyncio reads a connection: into the loop's buffer, but for a long answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ktor_client.link.read_buffer import read_buffer

__all__ = ["LONG", "ReadInPlace"]

LONG = 64 * 1024
"""Bytes of a read from which on asyncio is asked for bytes, which are then not copied."""


class ReadInPlace(asyncio.BufferedProtocol, asyncio.Protocol):
    """A protocol of both kinds: asyncio reads into a buffer of ours, uvloop gives bytes.

    For bytes, asyncio makes room of 256 KiB for each read: three system calls, and page faults.
    """

    if not TYPE_CHECKING:
        __slots__ = ()  # the attributes are its subclasses'

    _room: memoryview
    _is_long: bool

    def _read_in_place(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, before there is a transport."""
        self._room = read_buffer(loop)
        self._is_long = False

    def _end_long(self, transport: asyncio.Transport | None) -> None:
        """Read into the buffer again: an answer has ended."""
        if self._is_long and transport is not None:
            self._is_long = False
            transport.set_protocol(self)

    def _transport_read(self) -> asyncio.Transport | None:
        """Return the transport, if there still is one."""
        raise NotImplementedError

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what asyncio has read."""
        self.data_received(self._room[:nbytes].tobytes())
        if nbytes >= LONG:
            transport = self._transport_read()
            if transport is not None:
                self._is_long = True
                transport.set_protocol(_Long(self))


class _Long(asyncio.Protocol):
    """A connection as asyncio sees it while reads are long."""

    __slots__ = ("_connection",)

    def __init__(self, connection: ReadInPlace) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.data_received(data)

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
